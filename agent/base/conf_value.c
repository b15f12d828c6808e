/*
 * How single values are read: each either lands checked and in its one form in its structure, or is an error at its
 * line. A file named here is opened and searched for its PEM marker, no more: what it holds is judged where it is used.
 */
#include "base/conf_parts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define PEM_MAX (INT64_C(64) << 20) /* octets of a CA bundle or CRL */

static const char **text_member(const struct conf_row *row, void *into)
{
    return (const char **)((char *)into + row->offset);
}

/* A name of ours: what people type and notifications carry. */
void conf_read_name(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting, void *into)
{
    const char *text;
    if (!conf_text(reader, setting, row->max, &text))
        return;
    size_t length = strlen(text);
    if (!length)
        conf_wrong(reader, setting, "may not be empty");
    else if (text[0] == ' ' || text[length - 1] == ' ')
        conf_wrong(reader, setting, "may not begin or end with a space");
    else
        *text_member(row, into) = conf_string(reader->blocks, text);
}

bool conf_hostname_checked(struct conf_reader *reader, const config_setting_t *setting, const char *text, char *name)
{
    struct address address;
    if (conf_hostname(text, name))
        return true;
    if (address_parse(text, &address))
        conf_wrong(reader, setting, "\"%s\" is an address, not a name: write address = \"%s\"", text, text);
    else
        conf_wrong(reader, setting, "\"%.100s\" is no legal host or domain name", text);
    return false;
}

void conf_read_hostname(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                        void *into)
{
    const char *text;
    char name[OBSERVATION_NAME];
    if (!conf_text(reader, setting, row->max, &text))
        return;
    if (!*text && !row->min)
        *text_member(row, into) = "";
    else if (conf_hostname_checked(reader, setting, text, name))
        *text_member(row, into) = conf_string(reader->blocks, name);
}

/* A reference identity: a name, or an address for certificates that hold one. */
void conf_read_identity(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                        void *into)
{
    const char *text;
    struct address address;
    char shown[ADDRESS_TEXT_SIZE];
    if (!conf_text(reader, setting, row->max, &text))
        return;
    if (address_parse(text, &address))
        *text_member(row, into) = conf_string(reader->blocks, address_text(&address, shown));
    else
        conf_read_hostname(reader, row, setting, into);
}

void conf_read_address(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                       void *into)
{
    const char *text;
    struct address *address = (void *)((char *)into + row->offset);
    if (!conf_text(reader, setting, row->max, &text))
        return;
    if (!*text && !row->min)
        *address = (struct address){0};
    else if (!address_parse(text, address))
        conf_wrong(reader, setting, "\"%.64s\" is neither an IPv4 nor an IPv6 address", text);
}

/* Kept as written: it is completed with the domain once that is known. */
void conf_read_service(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                       void *into)
{
    const char *text;
    char name[OBSERVATION_NAME];
    if (!conf_text(reader, setting, row->max, &text))
        return;
    if (*text && !conf_hostname(text, name))
        conf_wrong(reader, setting, "\"%.100s\" is no legal name of a service, such as \"_sip._tls\"", text);
    else
        *text_member(row, into) = conf_string(reader->blocks, text);
}

/* A port at the end of a text: "5061", 1 to 65535. */
static bool parse_port(const char *text, unsigned *port)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits])
        return false;
    *port = (unsigned)atoi(text);
    return *port >= 1 && *port <= 65535;
}

/* What is wrong with a proxy URL; NULL when nothing is. It never quotes the URL, which may hold a password. */
static const char *proxy_problem(const char *url)
{
    static const char *const schemes[] = {"http://", "socks5://", "socks5h://", "socks4a://"};
    const char *rest = NULL;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncasecmp(url, schemes[i], strlen(schemes[i])) == 0)
            rest = url + strlen(schemes[i]);
    if (!rest)
        return "the URL of a proxy begins with http://, socks5://, socks5h:// or socks4a://";
    char text[1024], name[OBSERVATION_NAME];
    struct address address;
    unsigned port;
    const char *at = strrchr(rest, '@');
    text_copy(text, sizeof text, at ? at + 1 : rest);
    size_t length = strlen(text);
    if (length && text[length - 1] == '/')
        text[--length] = '\0';
    char *colon = strrchr(text, ':');
    if (!colon || !parse_port(colon + 1, &port))
        return "the URL of a proxy ends with its port, as in http://proxy.example.net:3128";
    *colon = '\0';
    if (text[0] == '[' && colon[-1] == ']') {
        colon[-1] = '\0';
        return address_parse(text + 1, &address) && address.family == ADDRESS_IPV6
                   ? NULL
                   : "the URL of the proxy holds no legal IPv6 address in its brackets";
    }
    return address_parse(text, &address) || conf_hostname(text, name) ? NULL
                                                                      : "the URL of the proxy holds no legal host";
}

void conf_read_proxy(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                     void *into)
{
    const char *text;
    if (!conf_text(reader, setting, row->max, &text))
        return;
    const char *problem = *text ? proxy_problem(text) : NULL;
    if (problem)
        conf_wrong(reader, setting, "%s", problem);
    else
        *text_member(row, into) = conf_string(reader->blocks, text);
}

/* The position of `name` in `names`; -1 with an error when it is not there. */
static long find_reference(struct conf_reader *reader, const config_setting_t *setting, const char *what,
                           const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return (long)i;
    conf_unknown(reader, setting, what, name, names, count);
    return -1;
}

void conf_read_trust(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                     void *into)
{
    const char *text;
    if (!conf_text(reader, setting, row->max, &text))
        return;
    long found = find_reference(reader, setting, "trust profile", text, reader->trust_names, reader->conf->trust_count);
    if (found >= 0)
        *(uint32_t *)((char *)into + row->offset) = (uint32_t)found;
}

int conf_texts_length(struct conf_reader *reader, const config_setting_t *setting, int max)
{
    int type = config_setting_type(setting);
    int length = type == CONFIG_TYPE_STRING ? 1 : config_setting_length(setting);
    if (type != CONFIG_TYPE_STRING && type != CONFIG_TYPE_LIST && type != CONFIG_TYPE_ARRAY) {
        conf_wrong(reader, setting, "must be a list of texts: (\"a\", \"b\")");
        return -1;
    }
    if (length > max) {
        conf_wrong(reader, setting, "has %d elements: at most %d are possible", length, max);
        return -1;
    }
    return length;
}

const config_setting_t *conf_texts_element(const config_setting_t *setting, int i)
{
    return config_setting_type(setting) == CONFIG_TYPE_STRING ? setting : config_setting_get_elem(setting, (unsigned)i);
}

/* A list of resolvers by name, into their positions. */
static size_t read_resolvers(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                             uint32_t *positions)
{
    int length = conf_texts_length(reader, setting, (int)row->max);
    size_t count = 0;
    for (int i = 0; i < length; i++) {
        const char *text;
        const config_setting_t *element = conf_texts_element(setting, i);
        if (!conf_text(reader, element, CONF_NAME_MAX, &text))
            continue;
        long found =
            find_reference(reader, element, "resolver", text, reader->resolver_names, reader->conf->resolver_count);
        if (found >= 0)
            positions[count++] = (uint32_t)found;
    }
    return count;
}

void conf_read_resolvers(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                         void *into)
{
    struct conf_partner *partner = into;
    partner->resolver_count = read_resolvers(reader, row, setting, partner->resolvers);
}

void conf_read_views(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                     void *into)
{
    struct conf_partner *partner = into;
    partner->view_count = read_resolvers(reader, row, setting, partner->views);
}

/* "host:port", "host" or an address in its one form; NULL when it is none. */
static const char *expected_form(struct conf_reader *reader, const char *text)
{
    char host[512], name[OBSERVATION_NAME], shown[ADDRESS_TEXT_SIZE];
    struct address address;
    unsigned port;
    if (address_parse(text, &address))
        return conf_string(reader->blocks, address_text(&address, shown));
    text_copy(host, sizeof host, text);
    char *colon = strrchr(host, ':');
    if (!colon)
        return conf_hostname(host, name) ? conf_string(reader->blocks, name) : NULL;
    *colon = '\0';
    if (!parse_port(colon + 1, &port) || !conf_hostname(host, name))
        return NULL;
    text_format(host, sizeof host, "%s:%u", name, port);
    return conf_string(reader->blocks, host);
}

void conf_read_expected(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                        void *into)
{
    struct conf_partner *partner = into;
    int length = conf_texts_length(reader, setting, (int)row->max);
    partner->expected_count = 0;
    for (int i = 0; i < length; i++) {
        const char *text;
        const config_setting_t *element = conf_texts_element(setting, i);
        if (!conf_text(reader, element, OBSERVATION_NAME + 6, &text))
            continue;
        const char *form = expected_form(reader, text);
        if (form)
            partner->expected[partner->expected_count++] = form;
        else
            conf_wrong(reader, element, "\"%.100s\" is neither \"host:port\" nor an address", text);
    }
}

void conf_read_allowed(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                       void *into)
{
    struct conf_partner *partner = into;
    int length = conf_texts_length(reader, setting, (int)row->max);
    partner->allowed_count = 0;
    for (int i = 0; i < length; i++) {
        const char *text;
        char name[OBSERVATION_NAME];
        const config_setting_t *element = conf_texts_element(setting, i);
        if (!conf_text(reader, element, OBSERVATION_NAME, &text))
            continue;
        if (strcmp(text, "*") == 0)
            partner->allowed[partner->allowed_count++] = "*";
        else if (conf_hostname_checked(reader, element, text, name))
            partner->allowed[partner->allowed_count++] = conf_string(reader->blocks, name);
    }
}

#define THRESHOLD_NUMBER(name, min, max)                                                                               \
    {                                                                                                                  \
#name, conf_read_number, offsetof(struct conf_threshold, name), sizeof(uint32_t), min, max, 0, NULL, NULL,     \
            false                                                                                                      \
    }

static const struct conf_row threshold_rows[] = {
    THRESHOLD_NUMBER(count, 1, 1000000),
    THRESHOLD_NUMBER(window, 1, 7 * 86400),
    THRESHOLD_NUMBER(clear, 0, 1000),
};

static enum event find_event(const char *name)
{
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++)
        if (strcmp(event_name((enum event)event), name) == 0)
            return (enum event)event;
    return EVENT_NONE;
}

/* Groups by the name of an event; what they do not say stays as it is. */
void conf_read_thresholds(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                          void *into)
{
    struct conf_threshold *thresholds = (void *)((char *)into + row->offset);
    if (!config_setting_is_group(setting)) {
        conf_wrong(reader, setting, "must be a group: { tlsOutgoing: { count = 3; window = 900; }; }");
        return;
    }
    const char *names[EVENT_COUNT - 1];
    for (int event = EVENT_NONE + 1; event < EVENT_END; event++)
        names[event - 1] = event_name((enum event)event);
    for (int i = 0; i < config_setting_length(setting); i++) {
        const config_setting_t *group = config_setting_get_elem(setting, (unsigned)i);
        enum event event = find_event(config_setting_name(group));
        if (event == EVENT_NONE)
            conf_unknown(reader, group, "event", config_setting_name(group), names, EVENT_COUNT - 1);
        else
            conf_rows_read(reader, threshold_rows, sizeof threshold_rows / sizeof threshold_rows[0], group,
                           &thresholds[event]);
    }
}

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c ? strchr(digits, c) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* "sha256//" and the 44 characters of 32 octets in Base64 (RFC 4648), as curl and RFC 7469 write pins. */
static bool parse_pin(const char *text, uint8_t pin[32])
{
    static const char prefix[] = "sha256//";
    if (strncmp(text, prefix, sizeof prefix - 1) != 0)
        return false;
    text += sizeof prefix - 1;
    if (strlen(text) != 44 || text[43] != '=')
        return false;
    uint32_t bits = 0;
    unsigned held = 0;
    size_t octets = 0;
    for (int i = 0; i < 43; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            pin[octets++] = (uint8_t)(bits >> held);
        }
    }
    return octets == 32 && (bits & 3) == 0;
}

void conf_read_pins(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting, void *into)
{
    struct conf_trust *trust = into;
    int length = conf_texts_length(reader, setting, (int)row->max);
    for (int i = 0; i < length; i++) {
        const char *text;
        const config_setting_t *element = conf_texts_element(setting, i);
        if (!conf_text(reader, element, 200, &text))
            continue;
        if (parse_pin(text, trust->pins[trust->pin_count]))
            trust->pin_count++;
        else
            conf_wrong(reader, element, "is no pin: \"sha256//\" and the Base64 of the SHA-256 of a public key");
    }
}

void conf_read_inspection(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                          void *into)
{
    struct conf_trust *trust = into;
    int length = conf_texts_length(reader, setting, (int)row->max);
    for (int i = 0; i < length; i++) {
        const char *text;
        const config_setting_t *element = conf_texts_element(setting, i);
        if (!conf_text(reader, element, OBSERVATION_DETAIL - 1, &text))
            continue;
        if (*text)
            trust->inspection[trust->inspection_count++] = conf_string(reader->blocks, text);
        else
            conf_wrong(reader, element, "is empty: the common name of a CA is wanted, or its whole subject");
    }
}

/* What is wrong with the URL of a file; NULL when nothing is. */
static const char *url_problem(const char *url)
{
    const char *rest = strncasecmp(url, "http://", 7) == 0    ? url + 7
                       : strncasecmp(url, "https://", 8) == 0 ? url + 8
                                                              : NULL;
    if (!rest)
        return "is no URL that begins with http:// or https://";
    size_t authority = strcspn(rest, "/?#");
    if (memchr(rest, '@', authority))
        return "holds a user or password; it would be shown";
    if (authority == 0 || rest[0] == ':')
        return "names no host";
    for (const char *at = url; *at; at++)
        if (*at <= ' ' || (unsigned char)*at >= 0x7f)
            return "holds a blank or a character that is not ASCII; write it as %20 and so on";
    return NULL;
}

void conf_read_urls(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting, void *into)
{
    struct conf_trust *trust = into;
    int length = conf_texts_length(reader, setting, (int)row->max);
    for (int i = 0; i < length; i++) {
        const char *text;
        const config_setting_t *element = conf_texts_element(setting, i);
        if (!conf_text(reader, element, 1000, &text))
            continue;
        const char *problem = url_problem(text);
        if (problem)
            conf_wrong(reader, element, "\"%.100s\" %s", text, problem);
        else
            trust->crl_urls[trust->crl_url_count++] = conf_string(reader->blocks, text);
    }
}

const char *conf_path(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting)
{
    const char *text;
    char path[4096];
    if (!conf_text(reader, setting, row->max, &text))
        return NULL;
    const char *file = conf_source_place(reader->source, config_setting_source_line(setting)).file;
    const char *slash = strrchr(file, '/');
    if (!*text || *text == '/' || !slash)
        return conf_string(reader->blocks, text);
    if ((size_t)snprintf(path, sizeof path, "%.*s%s", (int)(slash + 1 - file), file, text) >= sizeof path) {
        conf_wrong(reader, setting, "the path is too long");
        return NULL;
    }
    return conf_string(reader->blocks, path);
}

void conf_read_path(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting, void *into)
{
    const char *path = conf_path(reader, row, setting);
    if (path && row->min && !*path)
        conf_wrong(reader, setting, "may not be empty");
    else if (path)
        *text_member(row, into) = path;
}

/* Whether a line of the file begins with `begin` and holds `hold`. */
static bool has_marker(FILE *file, const char *begin, const char *hold)
{
    char line[128];
    while (fgets(line, sizeof line, file))
        if (strncmp(line, begin, strlen(begin)) == 0 && strstr(line, hold))
            return true;
    return false;
}

/* Opens a regular file; NULL with an error. */
static FILE *open_file(struct conf_reader *reader, const config_setting_t *setting, const char *path)
{
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    FILE *file = NULL;
    if (descriptor < 0 || fstat(descriptor, &status) < 0)
        conf_wrong(reader, setting, "\"%s\" cannot be read: %s", path, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        conf_wrong(reader, setting, "\"%s\" is no regular file", path);
    else if (status.st_size > PEM_MAX)
        conf_wrong(reader, setting, "\"%s\" is larger than %d MiB", path, (int)(PEM_MAX >> 20));
    else
        file = fdopen(descriptor, "r");
    if (!file && descriptor >= 0)
        close(descriptor);
    return file;
}

static void read_pem(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                     void *into, const char *what, const char *hold)
{
    const char *path = conf_path(reader, row, setting);
    if (!path)
        return;
    *text_member(row, into) = path;
    FILE *file = *path ? open_file(reader, setting, path) : NULL;
    if (!file)
        return;
    if (!has_marker(file, "-----BEGIN ", hold))
        conf_wrong(reader, setting, "\"%s\" holds no %s in PEM: no line \"-----BEGIN ... %s\"", path, what, hold);
    fclose(file);
}

void conf_read_certificates(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                            void *into)
{
    read_pem(reader, row, setting, into, "certificate", "CERTIFICATE-----");
}

void conf_read_crls(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting, void *into)
{
    read_pem(reader, row, setting, into, "certificate revocation list", "CRL-----");
}

void conf_read_key(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting, void *into)
{
    read_pem(reader, row, setting, into, "private key", "PRIVATE KEY-----");
}

void conf_read_folder(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                      void *into)
{
    const char *path = conf_path(reader, row, setting);
    if (!path)
        return;
    *text_member(row, into) = path;
    DIR *folder = *path ? opendir(path) : NULL;
    if (folder)
        closedir(folder);
    else if (*path)
        conf_wrong(reader, setting, "the folder \"%s\" cannot be read: %s", path, strerror(errno));
}

void conf_check_file(struct conf_reader *reader, const config_setting_t *setting, const char *path)
{
    FILE *file = open_file(reader, setting, path);
    if (file)
        fclose(file);
}

void conf_read_file(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting, void *into)
{
    const char *path = conf_path(reader, row, setting);
    if (!path)
        return;
    *text_member(row, into) = path;
    if (*path)
        conf_check_file(reader, setting, path);
}
