/*
 * libFuzzer: any octets as fedwarden.conf.
 *
 *   clang -std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Iinclude \
 *       -DLOCALSTATEDIR='"/var"' -DPKGDATADIR='"/usr/share/fedwarden"' \
 *       tests/fuzz/fuzz_conf.c agent/base/conf*.c agent/base/{text,event,clock}.c \
 *       -o fuzz_conf -lconfig -lidn2
 *   ./fuzz_conf -max_total_time=300 -max_len=8192 CORPUS tests/fuzz/seeds/conf conf
 *
 * What must hold: conf_load ends, within bounds, with a configuration or with errors that have a text,
 * and a configuration that it accepts holds what base/conf.h promises. The input stands in a file of its own in an
 * empty folder, so that an include finds nothing but itself and what has an absolute path.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/conf.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 loses the text that stands before a syntax error: once a failed load, at most its length. */
const char *__lsan_default_suppressions(void)
{
    return "leak:strbuf_append\nleak:libconfig_yylex\n";
}

static char folder[] = "/tmp/fedwarden-fuzz-conf-XXXXXX";
static char path[64];

static void clean(void)
{
    unlink(path);
    rmdir(folder);
}

/* Every network is one that holds its own address, and whose it is agrees with looking at each partner. */
static void check_networks(const struct conf *conf, const struct conf_network *networks, size_t count)
{
    struct conf plain = *conf;
    plain.who = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct address *address = &networks[i].address;
        require(networks[i].prefix >= 1 && networks[i].prefix <= (address->family == ADDRESS_IPV4 ? 32 : 128),
                "prefix");
        require(network_holds(&networks[i], address), "a network holds its address");
        require(conf_partner_at(conf, NULL, address) == conf_partner_at(&plain, NULL, address), "whose it is");
        require(conf_is_own(conf, address) == conf_is_own(&plain, address), "own");
    }
}

static void check_feed(const struct conf_feed *feed)
{
    require(*feed->name && *feed->preset, "a feed has a name and a preset");
    require(feed->journal == !*feed->file, "a feed follows one of file and journal");
    require(feed->priority >= 0 && feed->priority <= 7, "priority");
}

static void check_partner(const struct conf *conf, size_t position)
{
    const struct conf_partner *partner = &conf->partners[position];
    char name[OBSERVATION_NAME];
    require(conf_partner_find(conf, partner->name) == (long)position, "names are unique and found");
    require(*partner->name && strlen(partner->name) <= CONF_NAME_MAX, "length of a name");
    require(conf_hostname(partner->domain, name) && strcmp(name, partner->domain) == 0, "domain in its form");
    require(!*partner->host || (conf_hostname(partner->host, name) && strcmp(name, partner->host) == 0), "host");
    require(!*partner->service || (conf_hostname(partner->service, name) && strcmp(name, partner->service) == 0),
            "service");
    require(partner->trust < conf->trust_count, "trust");
    require(partner->resolver_count <= CONF_PARTNER_RESOLVERS, "resolvers");
    for (size_t i = 0; i < partner->resolver_count; i++)
        require(partner->resolvers[i] < conf->resolver_count, "resolver");
    require(partner->expected_count <= CONF_EXPECTED_MAX && partner->allowed_count <= CONF_EXPECTED_MAX, "lists");
    require(partner->interval >= 1, "interval");
    require(*partner->service || partner->port, "something to probe");
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++)
        require(partner->thresholds[event].count >= 1 && partner->thresholds[event].window >= 1, "threshold");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (!*path) {
        require(mkdtemp(folder) != NULL, "a folder");
        snprintf(path, sizeof path, "%s/f.conf", folder);
        atexit(clean);
    }
    FILE *file = fopen(path, "w");
    require(file && fwrite(data, 1, size, file) == size && fclose(file) == 0, "a file");
    struct conf_errors errors;
    struct conf *conf = conf_load(path, &errors);
    require(!conf == (errors.count > 0), "errors or a configuration");
    for (size_t i = 0; i < errors.count; i++) {
        char text[2048];
        conf_error_text(&errors.errors[i], text, sizeof text);
        require(*errors.errors[i].message && !strchr(text, '\n'), "one line");
    }
    for (size_t i = 0; conf && i < conf->partner_count; i++)
        check_partner(conf, i);
    for (size_t i = 0; conf && i < conf->partner_count; i++)
        check_networks(conf, conf->partners[i].networks, conf->partners[i].network_count);
    if (conf)
        check_networks(conf, conf->edge.networks, conf->edge.network_count);
    for (size_t i = 0; conf && i < conf->feed_count; i++)
        check_feed(&conf->feeds[i]);
    conf_errors_clear(&errors);
    conf_free(conf);
    return 0;
}
