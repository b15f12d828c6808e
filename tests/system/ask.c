/*
 * Asks resolvers through collect/dns.h and prints one line of JSON an answer, in the order in which they come.
 *
 *   ask [--try MS] [--total MS] [--flight N] [--cancel N] [--doubt] [--anchors FILE] RESOLVER... -- NAME TYPE [NAME TYPE]...
 *
 * RESOLVER is "127.0.0.1:5353" or "[::1]:5353"; a "+" behind it marks it as trusted. Without any, those of
 * /etc/resolv.conf are asked. All questions are asked at once. --cancel N cancels the first N of them at once. --doubt has
 * NODATA of addresses confirmed as well; --anchors validates what is answered.
 */

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/dns.h"

#define RESOLVERS_MAX 8
#define QUERIES_MAX   1024

static sd_event *loop;
static int waiting;
static bool asking;

static void fail(const char *what, const char *word)
{
    fprintf(stderr, "ask: %s: %s\n", what, word);
    exit(2);
}

static enum dns_type type_find(const char *name)
{
    static const enum dns_type types[] = {DNS_A, DNS_CNAME, DNS_MX, DNS_TXT, DNS_AAAA, DNS_SRV, DNS_TLSA};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(dns_type_name(types[i]), name) == 0)
            return types[i];
    }
    fail("unknown type", name);
    return 0;
}

static void resolver_parse(const char *word, struct conf_resolver *resolver)
{
    char text[64];
    snprintf(text, sizeof text, "%s", word);
    size_t length = strlen(text);
    resolver->trusted = length > 0 && text[length - 1] == '+';
    char *colon = strrchr(text, ':');
    if (colon == NULL)
        fail("no resolver", word);
    *colon = '\0';
    resolver->port = (uint16_t)atoi(colon + 1);
    bool six = text[0] == '[';
    if (six)
        colon[-1] = '\0';
    resolver->address.family = six ? ADDRESS_IPV6 : ADDRESS_IPV4;
    if (inet_pton(six ? AF_INET6 : AF_INET, text + six, resolver->address.octets) != 1)
        fail("no resolver", word);
}

static json_t *targets_json(const struct dns_answer *answer)
{
    json_t *list = json_array();
    for (size_t i = 0; i < answer->target_count; i++) {
        const struct dns_target *target = &answer->targets[i];
        json_array_append_new(list,
                              json_pack("[i,i,i,s]", target->priority, target->weight, target->port, target->host));
    }
    return list;
}

static json_t *tlsa_json(const struct dns_answer *answer)
{
    json_t *list = json_array();
    for (size_t i = 0; i < answer->tlsa_count; i++) {
        const struct dns_tlsa *tlsa = &answer->tlsa[i];
        char text[2 * DNS_TLSA_OCTETS + 1] = "";
        for (size_t k = 0; k < tlsa->length; k++)
            snprintf(text + 2 * k, 3, "%02x", tlsa->data[k]);
        json_array_append_new(list, json_pack("[i,i,i,s]", tlsa->usage, tlsa->selector, tlsa->matching, text));
    }
    return list;
}

static json_t *addresses_json(const struct dns_answer *answer)
{
    json_t *list = json_array();
    for (size_t i = 0; i < answer->address_count; i++) {
        char text[INET6_ADDRSTRLEN];
        const struct address *address = &answer->addresses[i];
        inet_ntop(address->family == ADDRESS_IPV4 ? AF_INET : AF_INET6, address->octets, text, sizeof text);
        json_array_append_new(list, json_string(text));
    }
    return list;
}

static void answered(void *context, const struct dns_answer *answer)
{
    if (asking)
        fail("called back from within dns_ask", answer->name);
    json_t *line = json_pack(
        "{s:i,s:s,s:s,s:s,s:i,s:i,s:s,s:b,s:b,s:b,s:I,s:s,s:I,s:i,s:s,s:s,s:I,s:o,s:I,s:o,s:I,s:o}", "number",
        (int)(intptr_t)context, "name", answer->name, "type", dns_type_name(answer->type), "reason",
        reason_name(answer->reason), "rcode", answer->rcode, "ede", answer->ede, "ede_text", answer->ede_text,
        "authentic", answer->authentic, "unconfirmed", answer->unconfirmed, "tcp", answer->tcp, "ttl",
        (json_int_t)answer->ttl, "resolver", answer->resolver, "duration", (json_int_t)answer->duration, "tries",
        (int)answer->tries, "detail", answer->detail, "canonical", answer->canonical, "target_total",
        (json_int_t)answer->target_total, "targets", answer->type == DNS_TLSA ? json_array() : targets_json(answer),
        "tlsa_total", (json_int_t)answer->tlsa_total, "tlsa", tlsa_json(answer), "address_total",
        (json_int_t)answer->address_total, "addresses", addresses_json(answer));
    if (line == NULL)
        fail("no JSON of the answer for", answer->name);
    json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(line);
    if (--waiting == 0)
        sd_event_exit(loop, 0);
}

int main(int argc, char **argv)
{
    struct conf_resolver resolvers[RESOLVERS_MAX] = {0};
    struct conf conf = {.resolvers = resolvers};
    struct dns_query *queries[QUERIES_MAX];
    int cancel = 0, at = 1, count = 0;
    bool doubt = false;
    conf.collectors.dns_in_flight = 100;
    conf.collectors.budget.dns_try = 1500;
    conf.collectors.budget.dns = 5000;
    for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
        if (strncmp(argv[at], "--", 2) != 0) {
            if (conf.resolver_count == RESOLVERS_MAX)
                fail("too many resolvers", argv[at]);
            resolver_parse(argv[at], &resolvers[conf.resolver_count++]);
            continue;
        }
        if (strcmp(argv[at], "--anchors") == 0 && at + 1 < argc) {
            conf.dnssec = DNSSEC_VALIDATE;
            conf.trust_anchors = argv[++at];
            continue;
        }
        if (strcmp(argv[at], "--doubt") == 0) {
            doubt = true;
            continue;
        }
        uint32_t value = at + 1 < argc ? (uint32_t)atoi(argv[at + 1]) : 0;
        if (strcmp(argv[at], "--try") == 0)
            conf.collectors.budget.dns_try = value;
        else if (strcmp(argv[at], "--total") == 0)
            conf.collectors.budget.dns = value;
        else if (strcmp(argv[at], "--flight") == 0)
            conf.collectors.dns_in_flight = value;
        else if (strcmp(argv[at], "--cancel") == 0)
            cancel = (int)value;
        else
            fail("unknown option", argv[at]);
        at++;
    }
    struct dns *dns = NULL;
    if (sd_event_default(&loop) < 0 || (dns = dns_new(loop, &conf)) == NULL)
        return 1;
    asking = true;
    for (at++; at + 1 < argc && count < QUERIES_MAX; at += 2, count++) {
        struct dns_question question = {.name = argv[at], .type = type_find(argv[at + 1]), .confirm_no_data = doubt};
        queries[count] = dns_ask(dns, &question, answered, (void *)(intptr_t)count);
    }
    asking = false;
    for (int i = 0; i < cancel && i < count; i++)
        dns_cancel(queries[i]);
    waiting = count - (cancel < count ? cancel : count);
    int status = waiting > 0 ? sd_event_loop(loop) : 0;
    dns_free(dns);
    sd_event_unref(loop);
    return status < 0;
}
