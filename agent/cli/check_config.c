/* fedwarden check-config: what a reload would say, without a reload. */
#include "cli/check_config.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/conf.h"
#include "base/text.h"
#include "cli/cli.h"
#include "collect/feed.h"
#include "collect/listen.h"
#include "collect/tls.h"
#include "report/session.h"

static void usage(FILE *out)
{
    fputs("usage: fedwarden check-config [-c FILE]\n\n"
          "Checks FILE (" CLI_CONF_PATH ") and what it includes, and tells every error\n"
          "with its line. Exit status: 0 good, 1 errors, 2 wrong usage.\n",
          out);
}

static void print_errors(const struct conf_errors *errors)
{
    char text[2048];
    for (size_t i = 0; i < errors->count; i++) {
        conf_error_text(&errors->errors[i], text, sizeof text);
        fprintf(stderr, "%s\n", text);
    }
    if (errors->dropped)
        fprintf(stderr, "and %zu more errors\n", errors->dropped);
}

size_t cli_check_trusts(const struct conf *conf, void (*tell)(const char *text))
{
    char error[512], text[1024];
    size_t bad = 0;
    for (size_t i = 0; i < conf->trust_count; i++) {
        const struct conf_trust *trust = &conf->trusts[i];
        tls_trust_free(tls_trust_new(trust, error, sizeof error));
        if (!*error)
            continue;
        text_format(text, sizeof text, "%s: %s", conf->path, error);
        tell(text);
        bad += *trust->ca_file || *trust->ca_dir || *trust->certificate || *trust->crl_file;
    }
    return bad;
}

static void tell_error(const char *text)
{
    fprintf(stderr, "%s\n", text);
}

static bool listen_usable(const struct conf *conf)
{
    char problem[512];
    if (listeners_check(conf, problem, sizeof problem))
        return true;
    fprintf(stderr, "%s: listen: %s\n", conf->path, problem);
    return false;
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void print_summary(const struct conf *conf)
{
    size_t enabled = 0, elsewhere = 0;
    for (size_t i = 0; i < conf->partner_count; i++) {
        enabled += conf->partners[i].enabled;
        elsewhere += conf->partners[i].elsewhere;
    }
    printf("%s: ok, %zu partner%s (%zu enabled", conf->path, conf->partner_count, plural(conf->partner_count), enabled);
    if (conf->shard.count)
        printf(", %zu in other shares than %s", elsewhere, conf->shard.text);
    printf("), %zu trust profile%s, ", conf->trust_count, plural(conf->trust_count));
    if (conf->feed_count)
        printf("%zu feed%s, ", conf->feed_count, plural(conf->feed_count));
    if (conf->resolver_count)
        printf("%zu resolver%s\n", conf->resolver_count, plural(conf->resolver_count));
    else
        puts("the system's resolvers");
}

int cli_check_config(int argc, char **argv)
{
    const char *path;
    int status = cli_config_option(argc, argv, usage, &path);
    if (status >= 0)
        return status;
    struct conf_errors errors = {0};
    struct conf *conf = conf_load(path, &errors);
    bool good = conf && feeds_check(conf, &errors);
    if (conf && cli_check_trusts(conf, tell_error) > 0)
        good = false;
    if (conf && !listen_usable(conf))
        good = false;
    if (conf && !session_check(&conf->agent))
        good = false;
    if (good)
        print_summary(conf);
    else
        print_errors(&errors);
    status = good ? 0 : 1;
    conf_errors_clear(&errors);
    conf_free(conf);
    return status;
}
