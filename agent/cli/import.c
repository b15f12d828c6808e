/*
 * fedwarden import: partners out of what other tools have. A target tells host and port; its protocol is the one that it
 * names, else what the module of blackbox_exporter is called after, else that of the port. Every partner is checked by
 * itself before it is written: what is written can be loaded.
 */
#include "cli/import.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "cli/cli.h"

static const struct heading {
    const char *name;
    bool number;
} headings[] = {
    {"name", false},    {"domain", false},  {"protocol", false},    {"host", false}, {"address", false},
    {"port", true},     {"service", false}, {"verify_name", false}, {"sni", false},  {"contact", false},
    {"interval", true}, {"trust", false},   {"index", true},
};
#define HEADINGS (sizeof headings / sizeof headings[0])

struct name {
    char text[CONF_NAME_MAX + 1];
    size_t next; /* number of the next one that wants this name */
};

struct import {
    const char *file;
    enum protocol protocol; /* of targets that do not tell; 0 by the port */
    size_t written, left_out;
    struct hash_key hash;
    struct name *names;
    size_t name_count, name_room;
    size_t *slots; /* twice name_room: position in names, plus 1, found by the hash of the text */
};

static const struct heading *heading_of(const char *name)
{
    for (size_t i = 0; i < HEADINGS; i++)
        if (strcmp(headings[i].name, name) == 0)
            return &headings[i];
    return NULL;
}

bool import_heading(const char *name)
{
    return heading_of(name) != NULL;
}

static void on_wrong(void *context, unsigned line, const char *text)
{
    struct import *import = context;
    import->left_out++;
    fprintf(stderr, "%s:%u: %s\n", import->file, line, text);
}

static const char *setting(const struct import_partner *partner, const char *name)
{
    for (size_t i = 0; i < partner->count; i++)
        if (strcmp(partner->settings[i].name, name) == 0)
            return partner->settings[i].text;
    return NULL;
}

/* A target in its parts; false: it is none that can be watched, `problem` says why. */
static bool take_target(const char *target, char *host, size_t size, unsigned *port, bool *web, const char **problem)
{
    const char *scheme = strstr(target, "://"), *at = target;
    *port = 0;
    *web = false;
    if (scheme) {
        if (strncmp(target, "https://", 8) != 0) {
            *problem = "there is no TLS to watch: only https:// and host:port can become partners";
            return false;
        }
        *web = true;
        *port = 443;
        at = scheme + 3;
    }
    const char *end = at + strcspn(at, "/?#"), *colon;
    if (*at == '[') {
        const char *close = memchr(at, ']', (size_t)(end - at));
        if (!close) {
            *problem = "the address has no closing bracket";
            return false;
        }
        text_format(host, size, "%.*s", (int)(close - at - 1), at + 1);
        colon = close + 1 < end && close[1] == ':' ? close + 1 : NULL;
    } else {
        colon = memchr(at, ':', (size_t)(end - at));
        text_format(host, size, "%.*s", (int)((colon ? colon : end) - at), at);
    }
    if (colon) {
        char *behind;
        unsigned long number = strtoul(colon + 1, &behind, 10);
        if (behind != end || number < 1 || number > 65535) {
            *problem = "the port must be 1 to 65535";
            return false;
        }
        *port = (unsigned)number;
    }
    return true;
}

static enum protocol protocol_of(const struct import *import, const struct import_partner *partner, unsigned port,
                                 bool web)
{
    static const struct {
        unsigned port;
        const char *name;
    } ports[] = {{443, "https"}, {25, "smtp"},  {587, "smtp"}, {5269, "xmpp"},
                 {5061, "sip"},  {143, "imap"}, {110, "pop3"}, {389, "ldap"}};
    static const char *const words[] = {"smtp", "xmpp", "imap", "pop3", "ldap", "sip", "https"};
    const char *told = setting(partner, "protocol");
    if (told)
        return protocol_find(told);
    if (web)
        return PROTOCOL_HTTPS;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(partner->module, words[i]) && protocol_find(words[i]))
            return protocol_find(words[i]);
    if (import->protocol)
        return import->protocol;
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++)
        if (ports[i].port == port && protocol_find(ports[i].name))
            return protocol_find(ports[i].name);
    return PROTOCOL_TLS;
}

/* Where the name stands, or would. */
static size_t *find_slot(const struct import *import, const char *text)
{
    uint64_t slot = hash_octets(&import->hash, text, strlen(text));
    for (;; slot++) {
        size_t *place = &import->slots[slot % (2 * import->name_room)];
        if (!*place || strcmp(import->names[*place - 1].text, text) == 0)
            return place;
    }
}

static void make_room(struct import *import)
{
    if (import->name_count < import->name_room)
        return;
    if (!import->name_room)
        import->hash = hash_key_make();
    import->name_room = import->name_room ? 2 * import->name_room : 64;
    import->names = reallocarray(import->names, import->name_room, sizeof *import->names);
    free(import->slots);
    import->slots = calloc(2 * import->name_room, sizeof *import->slots);
    if (!import->names || !import->slots)
        abort();
    for (size_t i = 0; i < import->name_count; i++)
        *find_slot(import, import->names[i].text) = i + 1;
}

/*
 * A name of its own: the wanted one, cut, with a number behind it where it is taken. Where other long names took many of
 * those numbers, it goes on behind all that there can be.
 */
static const char *take_name(struct import *import, const char *wanted)
{
    enum { TRIES = 100 };
    struct name name = {.next = 2};
    make_room(import);
    text_copy(name.text, sizeof name.text, wanted);
    size_t *slot = find_slot(import, name.text);
    struct name *first = *slot ? &import->names[*slot - 1] : NULL;
    for (size_t tries = 0; *slot; tries++) {
        char suffix[24];
        if (tries == TRIES && first->next < import->name_count)
            first->next = import->name_count;
        size_t room = sizeof name.text - text_format(suffix, sizeof suffix, "-%zu", first->next++);
        text_copy(name.text, room, wanted);
        text_append(name.text, sizeof name.text, "%s", suffix);
        slot = find_slot(import, name.text);
    }
    import->names[import->name_count] = name;
    *slot = ++import->name_count;
    return import->names[import->name_count - 1].text;
}

static void print_text(const char *name, const char *text)
{
    printf(" %s = \"", name);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    fputs("\";", stdout);
}

static bool is_number(const char *text)
{
    return *text && strlen(text) < 10 && strspn(text, "0123456789") == strlen(text);
}

/* Whether each text can stand in the configuration; `problem` says what is wrong. */
static bool is_usable(const struct import_partner *partner, char *problem, size_t size)
{
    char name[OBSERVATION_NAME];
    struct address address;
    for (size_t i = 0; i < partner->count; i++) {
        const char *key = partner->settings[i].name, *text = partner->settings[i].text;
        char printable[512];
        text_printable(printable, sizeof printable, text, strlen(text));
        bool host = strcmp(key, "host") == 0 || strcmp(key, "domain") == 0 || strcmp(key, "sni") == 0;
        if (strcmp(printable, text) != 0)
            text_format(problem, size, "%s holds what cannot be printed, or is too long", key);
        else if (heading_of(key)->number && !is_number(text))
            text_format(problem, size, "%s must be a number, not \"%.40s\"", key, text);
        else if (host && !conf_hostname(text, name))
            text_format(problem, size, "%s: \"%.60s\" is no legal host or domain name", key, text);
        else if (strcmp(key, "address") == 0 && !address_parse(text, &address))
            text_format(problem, size, "address: \"%.60s\" is no address", text);
        else if (strcmp(key, "protocol") == 0 && !protocol_find(text))
            text_format(problem, size, "there is no protocol \"%.40s\"", text);
        else
            continue;
        return false;
    }
    return true;
}

static void write_partner(struct import *import, const struct import_partner *partner, const char *host, unsigned port,
                          enum protocol protocol)
{
    const char *domain = setting(partner, "domain"), *name = setting(partner, "name");
    printf("%s\n    {", import->written++ ? "," : "partners = (");
    print_text("name", take_name(import, name ? name : domain ? domain : host));
    print_text("domain", domain ? domain : host);
    print_text("protocol", protocol_name(protocol));
    if (partner->target && !setting(partner, "host") && protocol != PROTOCOL_HTTPS)
        print_text("host", host);
    if (port && !setting(partner, "port"))
        printf(" port = %u;", port);
    for (size_t i = 0; i < partner->count; i++) {
        const struct import_setting *each = &partner->settings[i];
        if (strcmp(each->name, "name") == 0 || strcmp(each->name, "domain") == 0 || strcmp(each->name, "protocol") == 0)
            continue;
        if (heading_of(each->name)->number)
            printf(" %s = %s;", each->name, each->text);
        else
            print_text(each->name, each->text);
    }
    fputs(" }", stdout);
}

static void on_found(void *context, const struct import_partner *partner)
{
    struct import *import = context;
    char host[OBSERVATION_NAME] = "", legal[OBSERVATION_NAME], text[256];
    const char *problem = NULL;
    struct address address;
    unsigned port = 0;
    bool web = false;
    if (!is_usable(partner, text, sizeof text)) {
        on_wrong(import, partner->line, text);
        return;
    }
    if (partner->target && !take_target(partner->target, host, sizeof host, &port, &web, &problem)) {
        on_wrong(import, partner->line, problem);
        return;
    }
    enum protocol protocol = protocol_of(import, partner, port, web);
    bool fixed = partner->target || setting(partner, "host") || setting(partner, "address");
    if (partner->target && address_parse(host, &address))
        problem = "an address has no name that its certificate could be compared with: give the host's name as the "
                  "target, or "
                  "a table with domain and address";
    else if (partner->target && !conf_hostname(host, legal))
        problem = "its host is no legal name";
    else if (!partner->target && !setting(partner, "domain"))
        problem = "it has no domain";
    else if (protocol == PROTOCOL_TLS && !setting(partner, "service") && !(fixed && (port || setting(partner, "port"))))
        problem = "protocol \"tls\" needs a host and a port, or a service";
    if (problem)
        on_wrong(import, partner->line, problem);
    else
        write_partner(import, partner, host, port, protocol);
}

/* All of `in`, terminated; NULL with a message. */
static char *read_whole(FILE *in, const char *name, size_t *length)
{
    char *text = NULL;
    size_t room = 0, got;
    *length = 0;
    do {
        if (room - *length < 2) {
            room = room ? 2 * room : 65536;
            if (!(text = realloc(text, room)))
                abort();
        }
        got = fread(text + *length, 1, room - *length - 1, in);
        *length += got;
    } while (got && *length <= IMPORT_OCTETS_MAX);
    text[*length] = '\0';
    if (!ferror(in) && *length <= IMPORT_OCTETS_MAX && *length == strlen(text))
        return text;
    fprintf(stderr, "fedwarden import: %s cannot be read: it must be a text of at most %u MB\n", name,
            IMPORT_OCTETS_MAX >> 20);
    free(text);
    return NULL;
}

/* A table begins with a line of headings; targets in YAML or JSON do not begin with one of them and a comma or line end. */
static bool is_table(const char *text)
{
    text += strncmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    size_t quote = *text == '"', length = strcspn(text + quote, quote ? "\"" : ",\r\n");
    char first[32];
    if (length == 0 || length >= sizeof first || strchr(text, ':') - text == (ptrdiff_t)(length + quote))
        return false;
    text_format(first, sizeof first, "%.*s", (int)length, text + quote);
    return strspn(first, "abcdefghijklmnopqrstuvwxyz_") == strlen(first);
}

static void usage(FILE *out)
{
    fputs("usage: fedwarden import [-p PROTOCOL] FILE|-\n\n"
          "Makes partners of the targets of blackbox_exporter (a file of file_sd_configs in JSON or YAML, or a whole\n"
          "prometheus.yml), or of a table: comma-separated values whose first line names settings (name, domain,\n"
          "protocol, host, address, port, service, verify_name, sni, contact, interval, trust, index). What cannot\n"
          "become a partner is told with its line, and left out.\n\n"
          "  -p, --protocol NAME  of targets that do not tell theirs by name, module or port; else tls\n\n"
          "Exit status: 0 good, 1 something was left out, 3 nothing could be read.\n",
          out);
}

static int import_file(struct import *import, FILE *in)
{
    size_t length;
    char *text = read_whole(in, import->file, &length);
    if (!text)
        return 3;
    bool read = is_table(text) ? import_table(text, length, on_found, on_wrong, import)
                               : import_targets(text, length, on_found, on_wrong, import);
    if (import->written)
        puts("\n);");
    free(text);
    free(import->names);
    free(import->slots);
    if (!read || fflush(stdout) != 0)
        return 3;
    fprintf(stderr, "%zu partners, %zu left out\n", import->written, import->left_out);
    return import->left_out ? 1 : 0;
}

int cli_import(int argc, char **argv)
{
    static const struct option options[] = {
        {"protocol", required_argument, NULL, 'p'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    struct import import = {.file = "standard input"};
    for (int option; (option = getopt_long(argc, argv, "p:h", options, NULL)) != -1;) {
        if (option == 'p' && (import.protocol = protocol_find(optarg)))
            continue;
        if (option == 'p')
            fprintf(stderr, "fedwarden import: there is no protocol \"%s\"\n", optarg);
        usage(option == 'h' ? stdout : stderr);
        return option == 'h' ? 0 : 3;
    }
    if (optind + 1 != argc) {
        usage(stderr);
        return 3;
    }
    if (strcmp(argv[optind], "-") == 0)
        return import_file(&import, stdin);
    import.file = argv[optind];
    FILE *in = fopen(import.file, "r");
    if (!in) {
        fprintf(stderr, "fedwarden import: %s: %m; name a file that exists and can be read\n", import.file);
        return 3;
    }
    int status = import_file(&import, in);
    fclose(in);
    return status;
}
