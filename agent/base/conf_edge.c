/*
 * The values that describe the edge and its logs: networks, own domains and ports, the log that a feed follows and the
 * preset that reads it. A log need not exist yet: products make theirs late and rotation takes it away. A preset must:
 * without it a feed reads nothing.
 */
#include "base/conf_parts.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"

#define NETWORK_TEXT  64  /* octets of "address/prefix" */
#define PRESETS_MAX   200 /* names that are told when one is not found */
#define PRESET_ENDING ".conf"

static_assert(offsetof(struct conf_edge, networks) == offsetof(struct conf_edge, network_count) + sizeof(size_t) &&
                  offsetof(struct conf_edge, domains) == offsetof(struct conf_edge, domain_count) + sizeof(size_t) &&
                  offsetof(struct conf_edge, ports) == offsetof(struct conf_edge, port_count) + sizeof(size_t) &&
                  offsetof(struct conf_partner, networks) ==
                      offsetof(struct conf_partner, network_count) + sizeof(size_t),
              "store_list writes the number before the list");

static void store_list(const struct conf_row *row, void *into, void *list, size_t count)
{
    char *member = (char *)into + row->offset;
    memcpy(member, &list, sizeof list);
    memcpy(member - sizeof count, &count, sizeof count);
}

/* The length of a prefix: digits up to `most`, or for IPv4 a mask without holes. -1 when it is neither. */
static int parse_prefix(const char *text, int most)
{
    struct address mask;
    size_t digits = strspn(text, "0123456789");
    if (digits >= 1 && digits <= 3 && !text[digits])
        return atoi(text) <= most ? atoi(text) : -1;
    if (most != 32 || !address_parse(text, &mask) || mask.family != ADDRESS_IPV4)
        return -1;
    uint32_t bits = (uint32_t)mask.octets[0] << 24 | (uint32_t)mask.octets[1] << 16 | (uint32_t)mask.octets[2] << 8 |
                    mask.octets[3];
    int length = bits ? __builtin_popcount(bits) : 0;
    return length && bits == UINT32_MAX << (32 - length) ? length : -1;
}

/* Clears the bits behind the prefix; whether any was set. */
static bool clear_host_bits(struct conf_network *network)
{
    bool cleared = false;
    for (unsigned bit = network->prefix; bit < 8 * sizeof network->address.octets; bit++) {
        uint8_t *octet = &network->address.octets[bit / 8], mask = (uint8_t)(0x80 >> bit % 8);
        cleared = cleared || (*octet & mask);
        *octet &= (uint8_t)~mask;
    }
    return cleared;
}

/* "198.51.100.0/28", "2001:db8::/32", or an address for itself; false with an error. */
static bool read_network(struct conf_reader *reader, const config_setting_t *setting, const char *text,
                         struct conf_network *network)
{
    char part[NETWORK_TEXT + 1], shown[ADDRESS_TEXT_SIZE], given[ADDRESS_TEXT_SIZE];
    text_copy(part, sizeof part, text);
    char *slash = strchr(part, '/');
    if (slash)
        *slash = '\0';
    if (!address_parse(part, &network->address)) {
        conf_wrong(reader, setting,
                   "\"%.64s\" is no network: write it as \"192.0.2.0/24\" or \"2001:db8::/32\", or one address", text);
        return false;
    }
    int most = network->address.family == ADDRESS_IPV4 ? 32 : 128;
    int prefix = slash ? parse_prefix(slash + 1, most) : most;
    if (prefix < 0) {
        conf_wrong(reader, setting, "\"%.64s\": the length of the prefix is a number, 1 to %d", text, most);
        return false;
    }
    if (prefix == 0) {
        conf_wrong(reader, setting, "\"%.64s\" holds every address: then nobody is unknown any more. Name the networks",
                   text);
        return false;
    }
    network->prefix = (uint8_t)prefix;
    address_text(&network->address, given);
    if (clear_host_bits(network)) {
        conf_wrong(
            reader, setting,
            "\"%.64s\" has bits set behind its prefix: \"%s/%d\" was probably meant; or \"%s\" for this one address",
            text, address_text(&network->address, shown), prefix, given);
        return false;
    }
    return true;
}

void conf_read_networks(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                        void *into)
{
    int length = conf_texts_length(reader, setting, (int)row->max);
    struct conf_network *networks = conf_memory(reader->blocks, length > 0 ? (size_t)length : 0, sizeof *networks);
    size_t count = 0;
    for (int i = 0; i < length; i++) {
        const char *text;
        const config_setting_t *element = conf_texts_element(setting, i);
        if (conf_text(reader, element, NETWORK_TEXT, &text))
            count += read_network(reader, element, text, &networks[count]);
    }
    store_list(row, into, networks, count);
}

void conf_read_domains(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                       void *into)
{
    int length = conf_texts_length(reader, setting, (int)row->max);
    const char **domains = conf_memory(reader->blocks, length > 0 ? (size_t)length : 0, sizeof *domains);
    size_t count = 0;
    for (int i = 0; i < length; i++) {
        const char *text;
        char name[OBSERVATION_NAME];
        const config_setting_t *element = conf_texts_element(setting, i);
        if (conf_text(reader, element, OBSERVATION_NAME, &text) && conf_hostname_checked(reader, element, text, name))
            domains[count++] = conf_string(reader->blocks, name);
    }
    store_list(row, into, domains, count);
}

void conf_read_ports(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                     void *into)
{
    static const struct conf_row port = {.name = "port", .size = sizeof(uint16_t), .min = 1, .max = 65535};
    int type = config_setting_type(setting);
    bool several = type == CONFIG_TYPE_LIST || type == CONFIG_TYPE_ARRAY;
    int length = several ? config_setting_length(setting) : 1;
    if (length > row->max) {
        conf_wrong(reader, setting, "has %d elements: at most %d are possible", length, (int)row->max);
        return;
    }
    uint16_t *ports = conf_memory(reader->blocks, (size_t)length, sizeof *ports);
    size_t count = 0;
    for (int i = 0; i < length; i++) {
        const config_setting_t *element = several ? config_setting_get_elem(setting, (unsigned)i) : setting;
        conf_read_number(reader, &port, element, &ports[count]);
        count += ports[count] != 0;
    }
    store_list(row, into, ports, count);
}

void conf_read_log(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting, void *into)
{
    const char *path = conf_path(reader, row, setting);
    struct stat status;
    if (!path)
        return;
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) : 0;
    *(const char **)((char *)into + row->offset) = path;
    if (slash && !slash[1])
        conf_wrong(reader, setting, "\"%s\" is a folder: write \"%s*\" to follow all files in it", path, path);
    else if (strcspn(path, "*?[") < folder)
        conf_wrong(reader, setting, "\"%s\": only the name of the file may be a pattern, not its folder", path);
    else if (*path && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        conf_wrong(reader, setting, "\"%s\" is a folder: write \"%s/*\" to follow all files in it", path, path);
}

/* The names of the presets in `path`, without their ending; the caller frees each and the list. */
static size_t list_presets(const char *path, char **names)
{
    struct dirent **entries;
    size_t count = 0;
    int found = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < found; i++) {
        size_t length = strlen(entries[i]->d_name);
        size_t ending = strlen(PRESET_ENDING);
        if (count < PRESETS_MAX && length > ending && entries[i]->d_name[0] != '.' &&
            strcmp(entries[i]->d_name + length - ending, PRESET_ENDING) == 0) {
            names[count] = strndup(entries[i]->d_name, length - ending);
            if (!names[count++])
                abort();
        }
        free(entries[i]);
    }
    if (found >= 0)
        free(entries);
    return count;
}

static void unknown_preset(struct conf_reader *reader, const config_setting_t *setting, const char *name)
{
    char what[256], *names[PRESETS_MAX];
    size_t count = list_presets(conf_presets_dir(), names);
    text_format(what, sizeof what, "preset in %s called", conf_presets_dir());
    conf_unknown(reader, setting, what, name, (const char *const *)names, count);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
}

void conf_read_preset(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                      void *into)
{
    const char *text;
    char path[4096];
    struct stat status;
    if (!conf_text(reader, setting, row->max, &text))
        return;
    if (!*text) {
        conf_wrong(reader, setting, "may not be empty");
        return;
    }
    if (strchr(text, '/')) {
        conf_read_file(reader, row, setting, into);
        return;
    }
    size_t length = strlen(text), ending = strlen(PRESET_ENDING);
    bool whole = length > ending && strcmp(text + length - ending, PRESET_ENDING) == 0;
    text_format(path, sizeof path, "%s/%s%s", conf_presets_dir(), text, whole ? "" : PRESET_ENDING);
    const char *kept = conf_string(reader->blocks, path);
    *(const char **)((char *)into + row->offset) = kept;
    if (stat(kept, &status) < 0)
        unknown_preset(reader, setting, text);
    else
        conf_check_file(reader, setting, kept);
}
