/*
 * libFuzzer: any octets as fedwarden.conf.
 *
 *   clang -std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Iinclude \
 *       -DLOCALSTATEDIR='"/var"' tests/fuzz/fuzz_conf.c agent/base/conf*.c agent/base/{text,event,clock}.c -o fuzz_conf
 * \ -lconfig -lidn2
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

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "broken promise: %s\n", what);
    abort();
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
    conf_errors_clear(&errors);
    conf_free(conf);
    return 0;
}
