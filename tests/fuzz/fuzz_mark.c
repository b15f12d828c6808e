/*
 * libFuzzer: any octets as the mark of a feed, as it comes out of a database that anything may have happened to.
 *
 * What must hold: what is understood is the same when it is written again; what is not leaves the reader of rules as new;
 * either can go on reading lines.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/feed_parts.h"
#include "collect/rule.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

static void found(void *context, const struct rule_hit *hit)
{
    require(hit->event.count >= 1, "an event counts");
    (*(unsigned *)context)++;
}

/* Unpacks and packs; the second time nothing may change any more. */
static void check_rules(const struct rule_set *set, const unsigned char *data, size_t size)
{
    static const struct conf conf;
    unsigned hits = 0;
    struct pack own = {.most = FEED_MARK_MAX}, again = {.most = FEED_MARK_MAX};
    struct rule_reader *reader = rule_reader_new(set, &conf, found, &hits);
    rule_pack(reader, 1000000000, &own); /* of an empty reader: the hash of these rules comes first */
    unsigned char *copy = malloc(size + 1);
    memcpy(copy, data, size);
    memcpy(copy, own.data, size < 8 ? size : 8);
    struct unpack unpack = {.data = copy, .length = size};
    rule_unpack(reader, &unpack, 1000000000);
    require(!unpack.bad || rule_is_idle(reader), "what is no state leaves nothing");
    rule_pack(reader, 1000000000, &again);
    if (!unpack.bad) {
        struct rule_reader *other = rule_reader_new(set, &conf, found, &hits);
        struct pack third = {.most = FEED_MARK_MAX};
        unpack = (struct unpack){.data = again.data, .length = again.length};
        rule_unpack(other, &unpack, 1000000000);
        rule_pack(other, 1000000000, &third);
        require(!unpack.bad && third.length == again.length && memcmp(third.data, again.data, again.length) == 0,
                "a state stays what it is");
        free(third.data);
        rule_reader_free(other);
    }
    static const char line[] = "Nov 22 05:45:09 host /usr/sbin/kamailio[1]: ERROR: tls [tls_server.c:1337]: "
                               "tls_h_read_f(): dst addr: 192.0.2.10:15061";
    rule_read(reader, line, sizeof line - 1, 1000001000);
    rule_reader_free(reader);
    free(copy);
    free(own.data);
    free(again.data);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static struct rule_set *set;
    static struct feed_state state;
    struct conf_errors errors = {0};
    if (!set)
        set = rule_set_load("conf/presets/kamailio.conf", "", &errors);
    require(set != NULL, "the preset is there: run it where conf/presets is");
    struct unpack unpack = {.data = data, .length = size};
    memset(&state, 0, sizeof state);
    if (feed_state_unpack(&unpack, &state)) {
        struct pack pack = {.most = FEED_MARK_MAX};
        struct feed_state *other = calloc(1, sizeof *other);
        struct unpack second;
        require(state.count <= FILES_MAX && state.finished_count <= FINISHED_MAX, "counts");
        feed_state_pack(&state, &pack);
        second = (struct unpack){.data = pack.data, .length = pack.length};
        require(!pack.full && feed_state_unpack(&second, other) && second.length == 0, "a state can be read back");
        struct pack again = {.most = FEED_MARK_MAX};
        feed_state_pack(other, &again);
        require(again.length == pack.length && memcmp(again.data, pack.data, pack.length) == 0, "and is the same");
        free(again.data);
        free(other);
        free(pack.data);
        check_rules(set, unpack.data, unpack.length);
    } else {
        check_rules(set, data, size);
    }
    return 0;
}
