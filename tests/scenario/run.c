/*
 * Plays files of tests/scenario/ against a ledger in virtual time and compares what it tells with what the file says.
 *
 *   scenario [FILE...]     without files: all *.scn of SCENARIO_DIR
 *
 * Each file is played twice: as it is, and with a restart after each of its commands, and now and then while time passes,
 * that nobody may notice.
 *
 * A line is one command; # begins a comment. Durations are 90s, 15m, 1h30m, 2d. Time starts at 0 and passes only by
 * `at` and `every`, with a tick of the ledger each second.
 *
 *   conf ... end           a configuration: the first one opens the ledger, each further one is a reload. In it:
 *     threshold EVENT COUNT WINDOW CLEAR         of the partners that follow, and of the totals
 *     partner NAME [index N] [interval S] [domain NAME] [network ADDRESS/LENGTH] [disabled]
 *     own ADDRESS/LENGTH                         a network of the edge itself
 *     own-domain NAME
 *     sources N                                  rows of the source table
 *   at TIME COMMAND
 *   every STEP until TIME N COMMAND [| N COMMAND]...     N times the first, then N times the second, and round again
 *   walk PARTNER [late S] [took S] [endpoints N] ITEM [; ITEM]...  N endpoints although fewer are told
 *     srv RESULT   address HOST RESULT   endpoint HOST ADDRESS:PORT RESULT [ends TIME]
 *                        RESULT: ok or the name of a reason; TIME, when the certificate ends, counts from the start
 *   event EVENT|bySource|bySourceKnown WORD VALUE...      what the edge saw; WORD is one of reason, partner, from,
 *                        domain, target, user, serial, issuer, count
 *   flood EVENT N        N such events, each from another address
 *   self REASON failing|ok
 *   restart [after TIME] [wall +DURATION|-DURATION] [reboot] [conf]
 *                        the daemon ends and starts again TIME later, on a machine that was started again (reboot), with
 *                        another configuration (conf ... end)
 *   noticed              a restart after each command would be, in this file: it is played once
 *   wall +DURATION | wall -DURATION              the wall clock jumps
 *   expect raised|changed|cleared PARTNER EVENT REASON SEVERITY [count N] [total N] [id N] [at TIME] [target HOST]
 *         [address ADDRESS] [says WORD]            WORD is somewhere in the detail
 *                        the next transition that was not expected yet; PARTNER - is none
 *   expect nothing       no transition that was not expected
 *   expect alarm PARTNER EVENT REASON SEVERITY [count N] [total N] [id N] [target HOST]
 *   expect no alarm | expect no alarm PARTNER EVENT
 *   expect count|window PARTNER|total EVENT N
 *   expect reason PARTNER|total REASON N
 *   expect health PARTNER HEALTH REASON
 *   expect summary HEALTH ALARMS
 *   expect source EVENT ADDRESS|NAME N|none    count of a row of the source table
 *   expect rows|evicted|refused N              of the source table
 *   expect edge PARTNER N REASON               what the edge saw of it since it was quiet
 *   expect held N        failures that changed no state because of a storm
 *   expect late N        walks that started late
 *   expect index|probes PARTNER N
 *   expect gone PARTNER
 *
 * A file fails at the first line that is not as expected, and when a transition is left over at its end.
 */
#include "scenario.h"

#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define RESTART_TICKS 97

static void run_command(struct scenario *s, const char *text);

void fail(struct scenario *s, const char *format, ...)
{
    if (s->failed)
        return;
    s->failed = true;
    va_list arguments;
    va_start(arguments, format);
    printf("  %s:%u: ", s->path, s->line);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

int64_t now_run(const struct scenario *s)
{
    return RUN_START + s->time + s->run_offset;
}

int64_t now_wall(const struct scenario *s)
{
    return WALL_START + s->time + s->wall_offset;
}

static void split(struct words *words, char *text, const char *separators)
{
    words->count = words->next = 0;
    char *rest = NULL;
    for (char *word = strtok_r(text, separators, &rest); word && words->count < WORDS_MAX;
         word = strtok_r(NULL, separators, &rest))
        words->word[words->count++] = word;
}

const char *take(struct scenario *s, struct words *words, const char *what)
{
    if (words->next < words->count)
        return words->word[words->next++];
    fail(s, "%s is missing", what);
    return "";
}

bool take_if(struct words *words, const char *word)
{
    if (words->next >= words->count || strcmp(words->word[words->next], word) != 0)
        return false;
    words->next++;
    return true;
}

uint64_t parse_number(struct scenario *s, const char *text)
{
    char *end;
    uint64_t number = strtoull(text, &end, 10);
    if (end == text || *end)
        fail(s, "\"%s\" is no number", text);
    return number;
}

int64_t parse_time(struct scenario *s, const char *text)
{
    int64_t seconds = 0;
    const char *at = text;
    while (*at) {
        char *end;
        long number = strtol(at, &end, 10);
        int64_t unit = *end == 's' ? 1 : *end == 'm' ? 60 : *end == 'h' ? 3600 : *end == 'd' ? 86400 : 0;
        if (end == at || !unit)
            break;
        seconds += number * unit;
        at = end + 1;
    }
    if (*at || at == text)
        fail(s, "\"%s\" is no duration", text);
    return seconds * CLOCK_SECOND;
}

enum event parse_event(struct scenario *s, const char *text)
{
    enum event event = event_find(text);
    if (event == EVENT_NONE)
        fail(s, "\"%s\" is no event", text);
    return event;
}

enum reason parse_reason(struct scenario *s, const char *text)
{
    if (strcmp(text, "ok") == 0)
        return REASON_NONE;
    enum reason reason = reason_find(text);
    if (!reason) {
        fail(s, "\"%s\" is no reason", text);
        return REASON_NONE;
    }
    return reason;
}

static void report(void *context, const struct transition *transition)
{
    struct scenario *s = context;
    if (s->count == TRANSITIONS_MAX) {
        fail(s, "more than %d transitions", TRANSITIONS_MAX);
        return;
    }
    s->transitions[s->count++] = *transition;
}

static void pass_time(struct scenario *s, int64_t until)
{
    if (until < s->time)
        fail(s, "time does not run backwards");
    while (s->time < until) {
        s->time = until - s->time < CLOCK_SECOND ? until : s->time + CLOCK_SECOND;
        ledger_tick(s->ledger, now_wall(s), now_run(s));
        if (s->restarts && ++s->ticks % RESTART_TICKS == 0)
            restart_unnoticed(s);
    }
}

/* ---- configuration: only what the ledger reads ---- */

static struct conf *conf_make(void)
{
    struct conf *conf = calloc(1, sizeof *conf);
    conf->partners = calloc(PARTNERS_MAX, sizeof *conf->partners);
    conf->edge.networks = calloc(NETWORKS_MAX, sizeof *conf->edge.networks);
    conf->edge.domains = calloc(NETWORKS_MAX, sizeof *conf->edge.domains);
    for (int event = 1; event < EVENT_COUNT; event++) {
        const struct event_info *info = event_info(event);
        conf->thresholds[event] = (struct conf_threshold){info->count, info->window, info->clear};
    }
    return conf;
}

static void conf_drop(struct conf *conf)
{
    if (!conf)
        return;
    for (size_t i = 0; i < conf->partner_count; i++) {
        free((char *)conf->partners[i].name);
        free((char *)conf->partners[i].domain);
        free(conf->partners[i].networks);
    }
    for (size_t i = 0; i < conf->edge.domain_count; i++)
        free((char *)conf->edge.domains[i]);
    free(conf->edge.networks);
    free(conf->edge.domains);
    free(conf->partners);
    free(conf);
}

static void network_add(struct scenario *s, struct conf_network *networks, size_t *count, const char *text)
{
    char address[64];
    const char *slash = strchr(text, '/');
    if (!slash || *count == NETWORKS_MAX) {
        fail(s, "\"%s\" is not ADDRESS/LENGTH, or one too many", text);
        return;
    }
    text_format(address, sizeof address, "%.*s", (int)(slash - text), text);
    struct conf_network *network = &networks[(*count)++];
    if (!address_parse(address, &network->address))
        fail(s, "\"%s\" is no address", address);
    network->prefix = (uint8_t)parse_number(s, slash + 1);
}

static void conf_partner_add(struct scenario *s, struct words *words)
{
    if (s->next->partner_count == PARTNERS_MAX) {
        fail(s, "more than %d partners", PARTNERS_MAX);
        return;
    }
    struct conf_partner *partner = &s->next->partners[s->next->partner_count++];
    partner->name = strdup(take(s, words, "name"));
    partner->domain = strdup("");
    partner->networks = calloc(NETWORKS_MAX, sizeof *partner->networks);
    partner->host = partner->verify_name = partner->sni = partner->proxy = partner->contact = "";
    partner->service = "_sipfederationtls._tcp.example.net";
    partner->interval = 60;
    partner->expiry_minor = 7;
    partner->expiry_major = 2;
    partner->enabled = true;
    memcpy(partner->thresholds, s->next->thresholds, sizeof partner->thresholds);
    while (words->next < words->count && !s->failed) {
        if (take_if(words, "index"))
            partner->index = (uint32_t)parse_number(s, take(s, words, "index"));
        else if (take_if(words, "interval"))
            partner->interval = (uint32_t)(parse_time(s, take(s, words, "interval")) / CLOCK_SECOND);
        else if (take_if(words, "network"))
            network_add(s, partner->networks, &partner->network_count, take(s, words, "network"));
        else if (take_if(words, "domain")) {
            free((char *)partner->domain);
            partner->domain = strdup(take(s, words, "domain"));
        } else if (take_if(words, "disabled"))
            partner->enabled = false;
        else
            fail(s, "\"%s\" is no setting of a partner", words->word[words->next]);
    }
}

static void conf_line(struct scenario *s, struct words *words)
{
    if (take_if(words, "partner")) {
        conf_partner_add(s, words);
    } else if (take_if(words, "own")) {
        network_add(s, s->next->edge.networks, &s->next->edge.network_count, take(s, words, "network"));
    } else if (take_if(words, "own-domain")) {
        if (s->next->edge.domain_count == NETWORKS_MAX)
            fail(s, "more than %d domains", NETWORKS_MAX);
        else
            s->next->edge.domains[s->next->edge.domain_count++] = strdup(take(s, words, "domain"));
    } else if (take_if(words, "sources")) {
        s->next->edge.sources_max = (uint32_t)parse_number(s, take(s, words, "sources"));
    } else if (take_if(words, "threshold")) {
        enum event event = parse_event(s, take(s, words, "event"));
        struct conf_threshold *threshold = &s->next->thresholds[event];
        threshold->count = (uint32_t)parse_number(s, take(s, words, "count"));
        threshold->window = (uint32_t)(parse_time(s, take(s, words, "window")) / CLOCK_SECOND);
        threshold->clear = (uint32_t)parse_number(s, take(s, words, "clear"));
    } else if (take_if(words, "end")) {
        if (s->ledger)
            ledger_bind(s->ledger, s->next, now_wall(s), now_run(s));
        else
            s->ledger = ledger_new(s->next, now_wall(s), now_run(s), report, s);
        conf_drop(s->conf);
        s->conf = s->next;
        s->next = NULL;
    } else {
        fail(s, "\"%s\" is no line of conf", words->word[0]);
    }
}

static long position_of(struct scenario *s, const char *name)
{
    for (size_t i = 0; i < s->conf->partner_count; i++)
        if (strcmp(s->conf->partners[i].name, name) == 0)
            return (long)i;
    fail(s, "there is no partner \"%s\"", name);
    return -1;
}

struct ledger_partner *partner_of(struct scenario *s, const char *name)
{
    long position = position_of(s, name);
    struct ledger_partner *partner = position < 0 ? NULL : s->ledger->bound[position];
    if (!partner)
        fail(s, "the ledger has no partner \"%s\"", name);
    return partner;
}

/* ---- what happens ---- */

static void parse_endpoint(struct scenario *s, struct observation_probe *probe, const char *text)
{
    char address[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof address) {
        fail(s, "\"%s\" is not ADDRESS:PORT", text);
        return;
    }
    size_t brackets = text[0] == '[';
    text_format(address, sizeof address, "%.*s", (int)(colon - text - 2 * (long)brackets), text + brackets);
    if (!address_parse(address, &probe->address))
        fail(s, "\"%s\" is no address", address);
    probe->port = (uint16_t)parse_number(s, colon + 1);
}

static void walk_item(struct scenario *s, struct words *words, struct observation *observation)
{
    struct observation_probe *probe = &observation->probe;
    *probe = (struct observation_probe){.rcode = -1, .ede = -1, .alert = -1};
    if (take_if(words, "srv")) {
        probe->kind = PROBE_SERVICE;
        text_copy(probe->target, sizeof probe->target, "_sipfederationtls._tcp.example.net");
    } else if (take_if(words, "address")) {
        probe->kind = PROBE_ADDRESS;
        text_copy(probe->target, sizeof probe->target, take(s, words, "host"));
    } else if (take_if(words, "endpoint")) {
        probe->kind = PROBE_ENDPOINT;
        text_copy(probe->target, sizeof probe->target, take(s, words, "host"));
        parse_endpoint(s, probe, take(s, words, "ADDRESS:PORT"));
    } else {
        fail(s, "a walk has srv, address and endpoint, not \"%s\"", take(s, words, "item"));
    }
    probe->reason = parse_reason(s, take(s, words, "result"));
    probe->event = reason_info(probe->reason)->event;
    text_format(probe->detail, sizeof probe->detail, "%s at %s", reason_name(probe->reason), probe->target);
    if (take_if(words, "ends"))
        probe->not_after = WALL_START + parse_time(s, take(s, words, "end"));
    if (words->next < words->count)
        fail(s, "\"%s\" is too much", words->word[words->next]);
}

static void run_walk(struct scenario *s, char *text)
{
    struct words items;
    split(&items, text, ";");
    struct words words;
    split(&words, items.word[0], " \t");
    long position = position_of(s, take(s, &words, "partner"));
    uint32_t late = 0, took = 0, endpoints = 0, endpoints_ok = 0, said = 0;
    enum reason verdict = REASON_NONE;
    if (take_if(&words, "late"))
        late = (uint32_t)parse_time(s, take(s, &words, "late"));
    if (take_if(&words, "took"))
        took = (uint32_t)parse_time(s, take(s, &words, "took"));
    if (take_if(&words, "endpoints"))
        said = (uint32_t)parse_number(s, take(s, &words, "endpoints"));
    if (position < 0)
        return;
    struct observation observation = {.partner = (uint32_t)position, .wall = now_wall(s), .run = now_run(s)};
    for (size_t i = 0; i < items.count && !s->failed; i++) {
        if (i > 0)
            split(&words, items.word[i], " \t");
        observation.kind = OBSERVATION_PROBE;
        walk_item(s, &words, &observation);
        if (s->failed)
            return;
        verdict = verdict == REASON_NONE ? observation.probe.reason : reason_worse(verdict, observation.probe.reason);
        endpoints += observation.probe.kind == PROBE_ENDPOINT;
        endpoints_ok += observation.probe.kind == PROBE_ENDPOINT && observation.probe.reason == REASON_NONE;
        ledger_apply(s->ledger, &observation);
    }
    observation.kind = OBSERVATION_WALK;
    observation.walk = (struct observation_walk){.reason = verdict,
                                                 .duration = took,
                                                 .late = late,
                                                 .endpoints = said ? said : endpoints,
                                                 .endpoints_ok = endpoints_ok};
    ledger_apply(s->ledger, &observation);
}

/* every STEP until TIME N COMMAND | N COMMAND */
static void run_every(struct scenario *s, char *text)
{
    char *rest = NULL;
    const char *step_text = strtok_r(text, " \t", &rest), *until_word = strtok_r(NULL, " \t", &rest);
    const char *until_text = strtok_r(NULL, " \t", &rest);
    if (!until_text || strcmp(until_word, "until") != 0) {
        fail(s, "every STEP until TIME N COMMAND");
        return;
    }
    int64_t step = parse_time(s, step_text), until = parse_time(s, until_text);
    struct words parts;
    split(&parts, rest, "|");
    if (step <= 0 || !parts.count)
        fail(s, "every needs a step and a command");
    while (!s->failed && s->time + step <= until)
        for (size_t i = 0; i < parts.count; i++) {
            char *command;
            long times = strtol(parts.word[i], &command, 10);
            if (times < 1)
                fail(s, "\"%s\" does not begin with a number", parts.word[i]);
            for (long n = 0; n < times && !s->failed && s->time + step <= until; n++) {
                pass_time(s, s->time + step);
                run_command(s, command);
            }
        }
}

static void take_text(struct scenario *s, struct words *words, char *out, size_t size)
{
    text_copy(out, size, take(s, words, "text"));
}

static void run_event(struct scenario *s, struct words *words)
{
    struct observation observation = {
        .kind = OBSERVATION_EVENT, .partner = OBSERVATION_NO_PARTNER, .wall = now_wall(s), .run = now_run(s)};
    struct observation_event *event = &observation.event;
    *event = (struct observation_event){.count = 1, .reason = REASON_UNCLASSIFIED};
    event->known_only = take_if(words, "bySourceKnown");
    event->by_source = event->known_only || take_if(words, "bySource");
    event->event = event->by_source ? EVENT_NONE : parse_event(s, take(s, words, "event"));
    while (words->next < words->count && !s->failed) {
        if (take_if(words, "reason"))
            event->reason = parse_reason(s, take(s, words, "reason"));
        else if (take_if(words, "partner"))
            observation.partner = (uint32_t)position_of(s, take(s, words, "partner"));
        else if (take_if(words, "from")) {
            if (!address_parse(take(s, words, "address"), &event->address))
                fail(s, "that is no address");
        } else if (take_if(words, "domain"))
            take_text(s, words, event->domain, sizeof event->domain);
        else if (take_if(words, "target"))
            take_text(s, words, event->target, sizeof event->target);
        else if (take_if(words, "user"))
            take_text(s, words, event->user, sizeof event->user);
        else if (take_if(words, "serial"))
            take_text(s, words, event->serial, sizeof event->serial);
        else if (take_if(words, "issuer"))
            take_text(s, words, event->issuer, sizeof event->issuer);
        else if (take_if(words, "count"))
            event->count = (uint32_t)parse_number(s, take(s, words, "count"));
        else
            fail(s, "\"%s\" says nothing about an event", words->word[words->next]);
    }
    if (!s->failed)
        ledger_apply(s->ledger, &observation);
}

static void run_flood(struct scenario *s, struct words *words)
{
    struct observation observation = {
        .kind = OBSERVATION_EVENT, .partner = OBSERVATION_NO_PARTNER, .wall = now_wall(s), .run = now_run(s)};
    observation.event = (struct observation_event){
        .event = parse_event(s, take(s, words, "event")), .count = 1, .reason = REASON_AUTH_UNKNOWN_USER};
    uint64_t count = parse_number(s, take(s, words, "number"));
    for (uint64_t i = 0; i < count && !s->failed; i++) {
        observation.event.address =
            (struct address){ADDRESS_IPV4, {11, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
        ledger_apply(s->ledger, &observation);
    }
}

static void run_self(struct scenario *s, struct words *words)
{
    enum reason reason = parse_reason(s, take(s, words, "reason"));
    bool failing = take_if(words, "failing");
    if (!failing && !take_if(words, "ok"))
        fail(s, "self REASON failing or ok");
    else
        ledger_self(s->ledger, reason, failing, "", now_wall(s), now_run(s));
}

/* ---- the file ---- */

static void run_at(struct scenario *s, char *text)
{
    char *rest = NULL;
    const char *time = strtok_r(text, " \t", &rest);
    if (!time) {
        fail(s, "at TIME COMMAND");
        return;
    }
    pass_time(s, parse_time(s, time));
    if (rest && !s->failed)
        run_command(s, rest);
}

void jump_wall(struct scenario *s, struct words *words)
{
    const char *jump = take(s, words, "jump");
    int64_t duration = parse_time(s, jump[0] == '+' || jump[0] == '-' ? jump + 1 : jump);
    s->wall_offset += jump[0] == '-' ? -duration : duration;
}

static void run_restart(struct scenario *s, struct words *words)
{
    restart(s, words);
    if (take_if(words, "conf"))
        s->next = conf_make();
    else if (!s->failed)
        ledger_bind(s->ledger, s->conf, now_wall(s), now_run(s));
}

static void run_command(struct scenario *s, const char *text)
{
    char copy[1024], whole[1024];
    text_copy(copy, sizeof copy, text);
    text_copy(whole, sizeof whole, text);
    struct words words;
    split(&words, copy, " \t");
    if (!words.count || s->failed)
        return;
    if (s->next) {
        conf_line(s, &words);
        if (s->restarts && !s->failed && !s->next)
            restart_unnoticed(s);
        return;
    }
    if (take_if(&words, "conf")) {
        s->next = conf_make();
        return;
    }
    if (take_if(&words, "noticed")) {
        s->skipped = s->restarts;
        return;
    }
    if (!s->ledger) {
        fail(s, "a scenario begins with conf");
        return;
    }
    /* Where the words of the command begin, after its verb. */
    char *rest = whole + strspn(whole, " \t");
    rest += strlen(words.word[0]);
    if (take_if(&words, "at"))
        run_at(s, rest);
    else if (take_if(&words, "every"))
        run_every(s, rest);
    else if (take_if(&words, "walk") && words.count > 1)
        run_walk(s, rest);
    else if (take_if(&words, "event"))
        run_event(s, &words);
    else if (take_if(&words, "flood"))
        run_flood(s, &words);
    else if (take_if(&words, "self"))
        run_self(s, &words);
    else if (take_if(&words, "wall"))
        jump_wall(s, &words);
    else if (take_if(&words, "restart"))
        run_restart(s, &words);
    else if (take_if(&words, "expect"))
        run_expect(s, &words);
    else
        fail(s, "\"%s\" is no command", words.word[0]);
    if (s->restarts && !s->failed && !s->next && s->ledger)
        restart_unnoticed(s);
}

static void run_file(struct scenario *s)
{
    FILE *file = fopen(s->path, "r");
    if (!file) {
        fail(s, "cannot be read");
        return;
    }
    char line[1024];
    while (!s->failed && !s->skipped && fgets(line, sizeof line, file)) {
        s->line++;
        size_t length = strlen(line);
        if (length && line[length - 1] != '\n' && !feof(file))
            fail(s, "line too long");
        line[strcspn(line, "#\n")] = '\0';
        run_command(s, line);
    }
    fclose(file);
    if (s->skipped)
        return;
    if (!s->failed && (s->next || !s->ledger))
        fail(s, "conf without end");
    if (!s->failed)
        expect_nothing(s);
}

static void play(const char *path, bool restarts, size_t *passed, size_t *failed)
{
    const char *slash = strrchr(path, '/');
    struct scenario s = {.path = path,
                         .restarts = restarts,
                         .report = report,
                         .transitions = calloc(TRANSITIONS_MAX, sizeof *s.transitions)};
    if (!s.transitions)
        abort();
    row_store_init(&s.store);
    run_file(&s);
    if (!s.skipped) {
        printf("%s %s%s\n", s.failed ? "FAIL" : "ok  ", slash ? slash + 1 : path, restarts ? ", restarted" : "");
        ++*(s.failed ? failed : passed);
    }
    row_store_clear(&s.store);
    ledger_free(s.ledger);
    conf_drop(s.conf);
    conf_drop(s.next);
    free(s.transitions);
}

int main(int argc, char **argv)
{
    glob_t found = {0};
    if (argc < 2 && glob(SCENARIO_DIR "/*.scn", 0, NULL, &found) != 0)
        fprintf(stderr, "scenario: no *.scn in " SCENARIO_DIR "\n");
    char **paths = argc < 2 ? found.gl_pathv : argv + 1;
    size_t count = argc < 2 ? found.gl_pathc : (size_t)argc - 1, passed = 0, failed = 0;
    for (size_t i = 0; i < count; i++) {
        play(paths[i], false, &passed, &failed);
        play(paths[i], true, &passed, &failed);
    }
    printf("%zu passed, %zu failed\n", passed, failed);
    globfree(&found);
    return passed && !failed ? 0 : 1;
}
