/*
 * The sections of a configuration, in the order in which they are read: what is referred to comes first. Every error
 * is collected, so that one run tells all of them; only then is the configuration kept or given up as a whole.
 *
 * The values live in the struct conf, the strings in blocks beside it, so that conf_free needs to know no setting.
 */
#include "config.h"

#include "base/conf_parts.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define TRUSTS_MAX    1000
#define RESOLVERS_MAX 100
#define FEEDS_MAX     64
#define BLOCK_SIZE    65536

struct conf_block {
    struct conf_block *next;
    size_t used, size;
    char data[];
};

struct conf_whole { /* what conf_free frees */
    struct conf conf;
    struct conf_block *blocks;
    uint32_t *order;
    struct conf_who *who;
};

/* `size` octets of a block. */
static char *take(struct conf_block **blocks, size_t size)
{
    if (!*blocks || (*blocks)->size - (*blocks)->used < size) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        struct conf_block *block = malloc(sizeof *block + room);
        if (!block)
            abort();
        *block = (struct conf_block){.next = *blocks, .size = room};
        *blocks = block;
    }
    char *taken = (*blocks)->data + (*blocks)->used;
    (*blocks)->used += size;
    return taken;
}

const char *conf_string(struct conf_block **blocks, const char *text)
{
    size_t size = strlen(text) + 1;
    return size == 1 ? "" : memcpy(take(blocks, size), text, size);
}

void *conf_memory(struct conf_block **blocks, size_t count, size_t size)
{
    const size_t unit = alignof(void *);
    if (!count)
        return NULL;
    char *taken = take(blocks, count * size + unit - 1);
    return memset(taken + (unit - (uintptr_t)taken % unit) % unit, 0, count * size);
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        abort();
    return memory;
}

#define ROW_COUNT(rows)    (sizeof(rows) / sizeof(rows)[0])
#define MEMBER(type, name) offsetof(struct type, name), sizeof(((struct type *)0)->name)
#define NUMBER(type, name, min, max, initial)                                                                          \
    {                                                                                                                  \
#name, conf_read_number, MEMBER(type, name), min, max, initial, NULL, NULL, false                              \
    }

static const struct conf_word level_words[] = {
    {"error", LOG_LEVEL_ERROR}, {"warning", LOG_LEVEL_WARNING}, {"notice", LOG_LEVEL_NOTICE},
    {"info", LOG_LEVEL_INFO},   {"debug", LOG_LEVEL_DEBUG},     {NULL, 0},
};

static const struct conf_word mode_words[] = {
    {"subagent", AGENT_SUBAGENT}, {"standalone", AGENT_STANDALONE}, {"none", AGENT_NONE}, {NULL, 0}};

static const struct conf_word dnssec_words[] = {{"off", DNSSEC_OFF}, {"validate", DNSSEC_VALIDATE}, {NULL, 0}};

static const struct conf_word tls_words[] = {{"1.2", 0x0303}, {"1.3", 0x0304}, {NULL, 0}};

static const struct conf_row agent_rows[] = {
    {"mode", conf_read_word, MEMBER(conf_agent, mode), 1, 64, AGENT_SUBAGENT, NULL, mode_words, false},
    {"agentx_socket", conf_read_text, MEMBER(conf_agent, agentx_socket), 1, 255, 0, "/var/agentx/master", NULL, false},
    NUMBER(conf_agent, reconnect, 1, 60, 2),
    {"listen", conf_read_text, MEMBER(conf_agent, listen), 1, 1000, 0, "udp:127.0.0.1:16161", NULL, false},
    {"access_file", conf_read_file, MEMBER(conf_agent, access_file), 0, 1000, 0, "", NULL, false},
    {"vantage", conf_read_text, MEMBER(conf_agent, vantage), 0, CONF_VANTAGE_MAX, 0, "", NULL, false},
    {"state_dir", conf_read_path, MEMBER(conf_agent, state_dir), 1, 1000, 0, LOCALSTATEDIR "/lib/fedwarden", NULL,
     false},
    NUMBER(conf_agent, notifications_per_minute, 0, 1000000, 600),
    NUMBER(conf_agent, notifications_burst, 1, 100000, 16),
    NUMBER(conf_agent, notifications_kept, 1, 100000, 10000),
    {"resend_alarms", conf_read_switch, MEMBER(conf_agent, resend_alarms), 0, 1, false, NULL, NULL, false},
};

static const struct conf_row budget_rows[] = {
    NUMBER(conf_budget, dns_try, 1, 600000, 1500),  NUMBER(conf_budget, dns, 1, 600000, 5000),
    NUMBER(conf_budget, connect, 1, 600000, 4000),  NUMBER(conf_budget, proxy, 1, 600000, 6000),
    NUMBER(conf_budget, starttls, 1, 600000, 8000), NUMBER(conf_budget, tls, 1, 600000, 6000),
    NUMBER(conf_budget, after, 1, 600000, 300),     NUMBER(conf_budget, app, 1, 600000, 4000),
    NUMBER(conf_budget, walk, 1, 600000, 15000),    NUMBER(conf_budget, fetch, 1, 600000, 15000),
};

static void read_budgets(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                         void *into)
{
    conf_rows_read(reader, budget_rows, ROW_COUNT(budget_rows), setting, (char *)into + row->offset);
}

static const struct conf_row collector_rows[] = {
    NUMBER(conf_collectors, threads, 1, 16, 1),
    NUMBER(conf_collectors, in_flight, 1, 65536, 512),
    NUMBER(conf_collectors, dns_in_flight, 1, 10000, 100),
    NUMBER(conf_collectors, endpoints_per_partner, 1, 64, 8),
    NUMBER(conf_collectors, handshakes_per_second, 0, 100000, 200),
    NUMBER(conf_collectors, queue, 1024, 1048576, 16384),
    NUMBER(conf_collectors, jitter, 0, 20, 2),
    NUMBER(conf_collectors, first_spread, 0, 86400, 60),
    NUMBER(conf_collectors, confirm, 0, 3, 3),
    {"budgets", read_budgets, MEMBER(conf_collectors, budget), 0, 0, 0, NULL, NULL, false},
};

static const struct conf_row trust_rows[] = {
    {"name", conf_read_name, MEMBER(conf_trust, name), 1, CONF_NAME_MAX, 0, "", NULL, true},
    {"ca_file", conf_read_certificates, MEMBER(conf_trust, ca_file), 0, 1000, 0, "", NULL, false},
    {"ca_dir", conf_read_folder, MEMBER(conf_trust, ca_dir), 0, 1000, 0, "", NULL, false},
    {"crl_file", conf_read_crls, MEMBER(conf_trust, crl_file), 0, 1000, 0, "", NULL, false},
    {"crl_urls", conf_read_urls, MEMBER(conf_trust, crl_urls), 0, CONF_CRL_URLS_MAX, 0, NULL, NULL, false},
    {"crl_proxy", conf_read_proxy, MEMBER(conf_trust, crl_proxy), 0, 1000, 0, "", NULL, false},
    {"certificate", conf_read_certificates, MEMBER(conf_trust, certificate), 0, 1000, 0, "", NULL, false},
    {"key", conf_read_key, MEMBER(conf_trust, key), 0, 1000, 0, "", NULL, false},
    {"tls_min", conf_read_word, MEMBER(conf_trust, tls_min), 1, 64, 0x0303, NULL, tls_words, false},
    {"pins", conf_read_pins, MEMBER(conf_trust, pins), 0, CONF_PINS_MAX, 0, NULL, NULL, false},
    {"inspection_cas", conf_read_inspection, MEMBER(conf_trust, inspection), 0, CONF_INSPECTION_MAX, 0, NULL, NULL,
     false},
};

static const struct conf_row resolver_rows[] = {
    {"name", conf_read_name, MEMBER(conf_resolver, name), 1, CONF_NAME_MAX, 0, "", NULL, true},
    {"address", conf_read_address, MEMBER(conf_resolver, address), 1, 64, 0, NULL, NULL, true},
    NUMBER(conf_resolver, port, 1, 65535, 53),
    {"trusted", conf_read_switch, MEMBER(conf_resolver, trusted), 0, 1, 0, NULL, NULL, false},
};

static const struct conf_row edge_rows[] = {
    {"networks", conf_read_networks, MEMBER(conf_edge, networks), 0, 1000, 0, NULL, NULL, false},
    {"domains", conf_read_domains, MEMBER(conf_edge, domains), 0, 1000, 0, NULL, NULL, false},
    {"ports", conf_read_ports, MEMBER(conf_edge, ports), 0, 64, 0, NULL, NULL, false},
    NUMBER(conf_edge, sources_max, 16, 65536, 4096),
};

static const struct conf_row feed_rows[] = {
    {"name", conf_read_name, MEMBER(conf_feed, name), 1, CONF_NAME_MAX, 0, "", NULL, true},
    {"preset", conf_read_preset, MEMBER(conf_feed, preset), 1, 1000, 0, "", NULL, true},
    {"file", conf_read_log, MEMBER(conf_feed, file), 0, 1000, 0, "", NULL, false},
    {"journal", conf_read_switch, MEMBER(conf_feed, journal), 0, 1, 0, NULL, NULL, false},
    {"unit", conf_read_text, MEMBER(conf_feed, unit), 0, 255, 0, "", NULL, false},
    {"identifier", conf_read_text, MEMBER(conf_feed, identifier), 0, 255, 0, "", NULL, false},
    NUMBER(conf_feed, priority, 0, 7, 7),
    {"head", conf_read_text, MEMBER(conf_feed, head), 0, 64, 0, "", NULL, false},
    {"enabled", conf_read_switch, MEMBER(conf_feed, enabled), 0, 1, 1, NULL, NULL, false},
};

static const struct conf_row inbox_rows[] = {
    {"path", conf_read_socket, MEMBER(conf_inbox, path), 0, 1000, 0, "", NULL, false},
    {"mode", conf_read_mode, MEMBER(conf_inbox, mode), 0, 0777, 0660, NULL, NULL, false},
    {"group", conf_read_group, MEMBER(conf_inbox, group), 0, 64, 0, "", NULL, false},
    NUMBER(conf_inbox, connections_max, 1, 1024, 64),
};

static const struct conf_row tlsrpt_rows[] = {
    {"directory", conf_read_drop, MEMBER(conf_tlsrpt, directory), 0, 1000, 0, "", NULL, false},
    NUMBER(conf_tlsrpt, keep_files, 0, 1000000, 1000),
    NUMBER(conf_tlsrpt, keep_days, 0, 36500, 90),
};

/* The number of groups in a list of them; 0 with an error when it is something else. */
static size_t list_length(struct conf_reader *reader, const config_setting_t *setting, size_t max)
{
    int type = config_setting_type(setting);
    size_t length = type == CONFIG_TYPE_LIST ? (size_t)config_setting_length(setting) : 0;
    if (type != CONFIG_TYPE_LIST && !(type == CONFIG_TYPE_ARRAY && config_setting_length(setting) == 0)) {
        conf_wrong(reader, setting, "must be a list of groups: ( { name = \"a\"; ... }, { name = \"b\"; ... } )");
    } else if (length > max) {
        conf_wrong(reader, setting, "has %zu elements: at most %zu are possible", length, max);
        return 0;
    }
    return length;
}

struct named { /* one element of a list by a key that may stand there once */
    const char *name;
    uint32_t number;
    uint32_t position;
};

static int compare_named(const void *left, const void *right)
{
    const struct named *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    if (!order && a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return order ? order : a->position < b->position ? -1 : a->position > b->position;
}

/* Tells of every element whose `key` an earlier one has. Sorts `named`. */
static void check_unique(struct conf_reader *reader, const config_setting_t *list, const char *key, struct named *named,
                         size_t count)
{
    if (count > 1)
        qsort(named, count, sizeof *named, compare_named);
    size_t first = 0;
    for (size_t i = 1; i < count; i++) {
        const struct named *a = &named[first], *b = &named[i];
        if (strcmp(a->name, b->name) != 0 || a->number != b->number) {
            first = i;
            continue;
        }
        if (!*a->name && !a->number)
            continue;
        const config_setting_t *here = config_setting_get_member(config_setting_get_elem(list, b->position), key);
        const config_setting_t *there = config_setting_get_member(config_setting_get_elem(list, a->position), key);
        struct conf_place place = conf_source_place(reader->source, config_setting_source_line(there));
        char value[CONF_NAME_MAX + 4];
        text_format(value, sizeof value, *b->name ? "\"%s\"" : "%s%u", b->name, b->number);
        conf_wrong(reader, here, "%s is taken already, at %s:%u: every %s may stand there once", value, place.file,
                   place.line, key);
    }
}

/* The names of a list's elements in their order, checked to be unique. */
static const char **unique_names(struct conf_reader *reader, const config_setting_t *list, const char *elements,
                                 size_t size, size_t count)
{
    const char **names = allocate(count, sizeof *names);
    struct named *named = allocate(count, sizeof *named);
    for (size_t i = 0; i < count; i++) {
        names[i] = *(const char *const *)(elements + i * size);
        named[i] = (struct named){.name = names[i], .position = (uint32_t)i};
    }
    check_unique(reader, list, "name", named, count);
    free(named);
    return names;
}

static_assert(offsetof(struct conf_trust, name) == 0 && offsetof(struct conf_resolver, name) == 0 &&
                  offsetof(struct conf_feed, name) == 0,
              "unique_names reads the first member");

static void check_trust(struct conf_reader *reader, const config_setting_t *group, const struct conf_trust *trust)
{
    if (!config_setting_is_group(group) || !*trust->certificate == !*trust->key)
        return;
    bool certificate = *trust->certificate != '\0';
    conf_wrong(reader, config_setting_get_member(group, certificate ? "certificate" : "key"),
               certificate ? "needs its private key: the setting \"key\" is missing"
                           : "needs its certificate: the setting \"certificate\" is missing");
}

static void read_trusts(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                        void *into)
{
    struct conf *conf = into;
    size_t length = list_length(reader, setting, TRUSTS_MAX);
    if (!length)
        return;
    free(conf->trusts);
    free(reader->trust_names);
    conf->trusts = allocate(length, sizeof *conf->trusts);
    conf->trust_count = length;
    for (size_t i = 0; i < length; i++) {
        const config_setting_t *group = config_setting_get_elem(setting, (unsigned)i);
        conf_rows_initial(trust_rows, ROW_COUNT(trust_rows), &conf->trusts[i]);
        conf_rows_read(reader, trust_rows, ROW_COUNT(trust_rows), group, &conf->trusts[i]);
        check_trust(reader, group, &conf->trusts[i]);
    }
    reader->trust_names = unique_names(reader, setting, (const char *)conf->trusts, sizeof *conf->trusts, length);
    (void)row;
}

static void read_resolvers(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                           void *into)
{
    struct conf *conf = into;
    size_t length = list_length(reader, setting, RESOLVERS_MAX);
    if (!length)
        return;
    conf->resolvers = allocate(length, sizeof *conf->resolvers);
    conf->resolver_count = length;
    for (size_t i = 0; i < length; i++) {
        conf_rows_initial(resolver_rows, ROW_COUNT(resolver_rows), &conf->resolvers[i]);
        conf_rows_read(reader, resolver_rows, ROW_COUNT(resolver_rows), config_setting_get_elem(setting, (unsigned)i),
                       &conf->resolvers[i]);
    }
    reader->resolver_names =
        unique_names(reader, setting, (const char *)conf->resolvers, sizeof *conf->resolvers, length);
    (void)row;
}

static void read_defaults(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                          void *into)
{
    conf_rows_read(reader, conf_partner_rows + conf_partner_row_count - conf_partner_shared, conf_partner_shared,
                   setting, &reader->initial);
    (void)row;
    (void)into;
}

/* Duplicate indexes, duplicate names; and the order of names for conf_partner_find. */
static void order_partners(struct conf_reader *reader, const config_setting_t *list)
{
    struct conf *conf = reader->conf;
    struct named *named = allocate(conf->partner_count, sizeof *named);
    size_t count = 0;
    for (size_t i = 0; i < conf->partner_count; i++)
        if (conf->partners[i].index)
            named[count++] = (struct named){"", conf->partners[i].index, (uint32_t)i};
    check_unique(reader, list, "index", named, count);
    for (size_t i = 0; i < conf->partner_count; i++)
        named[i] = (struct named){conf->partners[i].name, 0, (uint32_t)i};
    check_unique(reader, list, "name", named, conf->partner_count);
    uint32_t *order = allocate(conf->partner_count, sizeof *order);
    for (size_t i = 0; i < conf->partner_count; i++)
        order[i] = named[i].position;
    conf->partner_order = order;
    ((struct conf_whole *)conf)->order = order;
    free(named);
}

static void read_partners(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                          void *into)
{
    struct conf *conf = into;
    size_t length = list_length(reader, setting, CONF_PARTNERS_MAX);
    conf->partners = allocate(length, sizeof *conf->partners);
    conf->partner_count = length;
    memcpy(reader->initial.thresholds, conf->thresholds, sizeof conf->thresholds);
    for (size_t i = 0; i < length; i++) {
        const config_setting_t *group = config_setting_get_elem(setting, (unsigned)i);
        conf->partners[i] = reader->initial;
        conf_rows_read(reader, conf_partner_rows, conf_partner_row_count, group, &conf->partners[i]);
        if (config_setting_is_group(group))
            conf_partner_complete(reader, &conf->partners[i], group);
        if (conf->partners[i].enabled && !conf_shard_holds(&conf->shard, conf->partners[i].name)) {
            conf->partners[i].enabled = false;
            conf->partners[i].elsewhere = true;
        }
    }
    order_partners(reader, setting);
    (void)row;
}

static void read_agent(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                       void *into)
{
    struct conf_agent *agent = &((struct conf *)into)->agent;
    size_t before = reader->errors->count;
    conf_rows_read(reader, agent_rows, ROW_COUNT(agent_rows), setting, agent);
    if (agent->mode == AGENT_STANDALONE && !*agent->access_file && reader->errors->count == before)
        conf_wrong(reader, setting,
                   "the setting \"access_file\" is missing: without it mode \"standalone\" answers "
                   "nobody");
    (void)row;
}

static void read_collectors(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                            void *into)
{
    conf_rows_read(reader, collector_rows, ROW_COUNT(collector_rows), setting, (char *)into + row->offset);
}

static void read_edge(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                      void *into)
{
    conf_rows_read(reader, edge_rows, ROW_COUNT(edge_rows), setting, (char *)into + row->offset);
}

static void read_inbox(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                       void *into)
{
    conf_rows_read(reader, inbox_rows, ROW_COUNT(inbox_rows), setting, (char *)into + row->offset);
}

static void read_tlsrpt(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                        void *into)
{
    conf_rows_read(reader, tlsrpt_rows, ROW_COUNT(tlsrpt_rows), setting, (char *)into + row->offset);
}

/* What the settings of a feed say together. */
static void check_feed(struct conf_reader *reader, const config_setting_t *group, const struct conf_feed *feed)
{
    static const char *const of_journal[] = {"unit", "identifier", "priority"};
    const config_setting_t *journal = config_setting_get_member(group, "journal");
    if (*feed->file && feed->journal)
        conf_wrong(reader, journal, "excludes \"file\": one feed follows one of them; make two feeds");
    else if (!*feed->file && !feed->journal && !config_setting_get_member(group, "file"))
        conf_wrong(reader, group, "nothing to follow: the setting \"file\", or journal = true, is missing");
    else if (!*feed->file && !feed->journal)
        conf_wrong(reader, config_setting_get_member(group, "file"), "may not be empty without journal = true");
    for (size_t i = 0; i < sizeof of_journal / sizeof of_journal[0]; i++) {
        const config_setting_t *setting = config_setting_get_member(group, of_journal[i]);
        if (setting && !feed->journal)
            conf_wrong(reader, setting, "has no effect on a file: it needs journal = true");
    }
}

static void read_feeds(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                       void *into)
{
    struct conf *conf = into;
    size_t length = list_length(reader, setting, FEEDS_MAX);
    conf->feeds = conf_memory(reader->blocks, length, sizeof *conf->feeds);
    conf->feed_count = length;
    for (size_t i = 0; i < length; i++) {
        const config_setting_t *group = config_setting_get_elem(setting, (unsigned)i);
        size_t before = reader->errors->count;
        conf_rows_initial(feed_rows, ROW_COUNT(feed_rows), &conf->feeds[i]);
        conf_rows_read(reader, feed_rows, ROW_COUNT(feed_rows), group, &conf->feeds[i]);
        if (reader->errors->count == before)
            check_feed(reader, group, &conf->feeds[i]);
    }
    free(unique_names(reader, setting, (const char *)conf->feeds, sizeof *conf->feeds, length));
    (void)row;
}

static void read_dnssec(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                        void *into)
{
    struct conf *conf = into;
    conf_read_word(reader, row, setting, into);
    if (conf->dnssec != DNSSEC_VALIDATE)
        return;
#ifdef HAVE_UNBOUND
    conf_check_file(reader, setting, conf->trust_anchors);
#else
    conf_wrong(reader, setting,
               "this fedwarden was built without libunbound: install libunbound-dev, configure and make");
#endif
}

static const struct conf_row root_rows[] = {
    {"log_level", conf_read_word, MEMBER(conf, log_level), 1, 64, LOG_LEVEL_NOTICE, NULL, level_words, false},
    {"agent", read_agent, MEMBER(conf, agent), 0, 0, 0, NULL, NULL, false},
    {"collectors", read_collectors, MEMBER(conf, collectors), 0, 0, 0, NULL, NULL, false},
    {"shard", conf_read_shard, MEMBER(conf, shard), 0, 400, 0, NULL, NULL, false},
    {"trusts", read_trusts, MEMBER(conf, trusts), 0, 0, 0, NULL, NULL, false},
    {"resolvers", read_resolvers, MEMBER(conf, resolvers), 0, 0, 0, NULL, NULL, false},
    {"trust_anchors", conf_read_path, MEMBER(conf, trust_anchors), 1, 1000, 0, "/usr/share/dns/root.key", NULL, false},
    {"dnssec", read_dnssec, MEMBER(conf, dnssec), 1, 64, DNSSEC_OFF, NULL, dnssec_words, false},
    {"defaults", read_defaults, MEMBER(conf, partners), 0, 0, 0, NULL, NULL, false},
    {"thresholds", conf_read_thresholds, MEMBER(conf, thresholds), 0, 0, 0, NULL, NULL, false},
    {"partners", read_partners, MEMBER(conf, partners), 0, 0, 0, NULL, NULL, false},
    {"edge", read_edge, MEMBER(conf, edge), 0, 0, 0, NULL, NULL, false},
    {"feeds", read_feeds, MEMBER(conf, feeds), 0, 0, 0, NULL, NULL, false},
    {"inbox", read_inbox, MEMBER(conf, inbox), 0, 0, 0, NULL, NULL, false},
    {"tlsrpt", read_tlsrpt, MEMBER(conf, tlsrpt), 0, 0, 0, NULL, NULL, false},
    {"listen", conf_read_listen, MEMBER(conf, listen), 0, 0, 0, NULL, NULL, false},
    {"history", conf_read_history, MEMBER(conf, history), 0, 0, 0, NULL, NULL, false},
};

/* A configuration of initial values, and a reader into it. */
static struct conf *begin(struct conf_reader *reader, const char *path, const struct conf_source *source,
                          struct conf_errors *errors)
{
    struct conf_whole *whole = allocate(1, sizeof *whole);
    struct conf *conf = &whole->conf;
    conf_rows_initial(root_rows, ROW_COUNT(root_rows), conf);
    conf_rows_initial(agent_rows, ROW_COUNT(agent_rows), &conf->agent);
    conf_rows_initial(collector_rows, ROW_COUNT(collector_rows), &conf->collectors);
    conf_rows_initial(budget_rows, ROW_COUNT(budget_rows), &conf->collectors.budget);
    conf_rows_initial(edge_rows, ROW_COUNT(edge_rows), &conf->edge);
    conf_rows_initial(inbox_rows, ROW_COUNT(inbox_rows), &conf->inbox);
    conf_rows_initial(tlsrpt_rows, ROW_COUNT(tlsrpt_rows), &conf->tlsrpt);
    conf_listen_initial(&conf->listen);
    conf_history_initial(&conf->history);
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++) {
        const struct event_info *info = event_info((enum event)event);
        conf->thresholds[event] = (struct conf_threshold){info->count, info->window, info->clear};
    }
    conf->trusts = allocate(1, sizeof *conf->trusts);
    conf->trust_count = 1;
    conf_rows_initial(trust_rows, ROW_COUNT(trust_rows), conf->trusts);
    conf->trusts[0].name = "system";
    *reader = (struct conf_reader){.conf = conf, .blocks = &whole->blocks, .errors = errors, .source = source};
    conf_rows_initial(conf_partner_rows, conf_partner_row_count, &reader->initial);
    conf_expiry_initial(&reader->initial);
    memcpy(reader->initial.thresholds, conf->thresholds, sizeof conf->thresholds);
    reader->trust_names = allocate(1, sizeof *reader->trust_names);
    reader->trust_names[0] = conf->trusts[0].name;
    conf->path = conf_string(reader->blocks, path);
    conf->shard.text = "";
    conf->loaded = clock_wall();
    return conf;
}

/* Keeps or gives up the configuration: by whether there are errors. */
static struct conf *finish(struct conf_reader *reader)
{
    free(reader->trust_names);
    free(reader->resolver_names);
    if (!reader->errors->count) {
        struct conf_whole *whole = (struct conf_whole *)reader->conf;
        conf_history_complete(reader);
        whole->conf.who = whole->who = conf_who_new(reader->conf);
        return reader->conf;
    }
    conf_errors_sort(reader->errors);
    conf_free(reader->conf);
    return NULL;
}

/* An error that belongs to no setting. */
static void tell(struct conf_errors *errors, struct conf_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(struct conf_errors *errors, struct conf_place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    conf_error_add(errors, &place, "", format, arguments);
    va_end(arguments);
}

/* What libconfig says, with the text at which it stopped. */
static void syntax_error(const struct conf_source *source, const config_t *config, struct conf_errors *errors)
{
    char near[64];
    unsigned line = config_error_line(config) > 0 ? (unsigned)config_error_line(config) : 0;
    const char *text = config_error_text(config);
    struct conf_place place = conf_source_place(source, line);
    conf_source_token(source, line, near, sizeof near);
    if (text && strcmp(text, "syntax error") != 0)
        tell(errors, place, "%s at \"%s\"", text, near);
    else
        tell(errors, place, "syntax error at or before \"%s\": is a \";\", a \",\" or a bracket missing?", near);
}

struct conf *conf_load(const char *path, struct conf_errors *errors)
{
    struct conf_source source;
    struct conf_reader reader;
    config_t config;
    *errors = (struct conf_errors){0};
    if (!conf_source_read(&source, path, errors)) {
        conf_errors_sort(errors);
        conf_source_clear(&source);
        return NULL;
    }
    struct conf *conf = begin(&reader, path, &source, errors);
    config_init(&config);
    if (config_read_string(&config, source.text))
        conf_rows_read(&reader, root_rows, ROW_COUNT(root_rows), config_root_setting(&config), conf);
    else
        syntax_error(&source, &config, errors);
    conf = finish(&reader);
    config_destroy(&config);
    conf_source_clear(&source);
    return conf;
}

struct conf *conf_adhoc(enum protocol protocol, const char *domain, struct conf_errors *errors)
{
    struct conf_reader reader;
    char name[OBSERVATION_NAME], short_name[CONF_NAME_MAX + 1];
    *errors = (struct conf_errors){0};
    struct conf *conf = begin(&reader, "", NULL, errors);
    struct conf_partner *partner = conf->partners = allocate(1, sizeof *conf->partners);
    conf->partner_count = 1;
    *partner = reader.initial;
    if (conf_hostname(domain, name)) {
        text_copy(short_name, sizeof short_name, name);
        partner->name = conf_string(reader.blocks, short_name);
        partner->domain = conf_string(reader.blocks, name);
        partner->protocol = protocol;
        if (protocol == PROTOCOL_TLS) {
            partner->host = partner->domain;
            partner->port = 443;
        }
        conf_partner_complete(&reader, partner, NULL);
    } else {
        tell(errors, (struct conf_place){"", 0, 0}, "\"%.100s\" is no legal host or domain name", domain);
    }
    return finish(&reader);
}

void conf_free(struct conf *conf)
{
    struct conf_whole *whole = (struct conf_whole *)conf;
    if (!whole)
        return;
    for (struct conf_block *block = whole->blocks; block;) {
        struct conf_block *next = block->next;
        free(block);
        block = next;
    }
    conf_who_free(whole->who);
    free(whole->order);
    free(conf->partners);
    free(conf->resolvers);
    free(conf->trusts);
    free(whole);
}

long conf_partner_find(const struct conf *conf, const char *name)
{
    if (!conf->partner_order) {
        for (size_t i = 0; i < conf->partner_count; i++)
            if (strcmp(conf->partners[i].name, name) == 0)
                return (long)i;
        return -1;
    }
    size_t low = 0, high = conf->partner_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(conf->partners[conf->partner_order[middle]].name, name);
        if (order == 0)
            return conf->partner_order[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}
