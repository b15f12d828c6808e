/*
 * Which of several agents with the same file probes a partner: the one whose number gives the partner's name the highest
 * hash (rendezvous hashing, Thaler and Ravishankar 1998). Where an agent is added or given up, only the partners that it
 * gets or had move. The key of the hash is fixed, so that all agents of all versions agree.
 */
#include "base/conf_parts.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"

unsigned conf_shard_of(const char *name, unsigned count)
{
    static const struct hash_key key = {{0, 0}};
    struct {
        uint64_t number, name;
    } pair = {.name = htole64(hash_octets(&key, name, strlen(name)))};
    unsigned best = 0;
    uint64_t highest = 0;
    for (unsigned i = 1; i <= count; i++) {
        pair.number = htole64(i);
        uint64_t weight = hash_octets(&key, &pair, sizeof pair);
        if (!best || weight > highest) {
            best = i;
            highest = weight;
        }
    }
    return best;
}

bool conf_shard_holds(const struct conf_shard *shard, const char *name)
{
    return !shard->count || (shard->mine >> (conf_shard_of(name, shard->count) - 1) & 1);
}

/* A number from 1 to `max` at `*text`, which moves behind it; 0: there is none. */
static unsigned read_part(const char **text, unsigned max)
{
    unsigned number = 0;
    const char *at = *text;
    for (; *at >= '0' && *at <= '9' && number <= max; at++)
        number = number * 10 + (unsigned)(*at - '0');
    *text = at;
    return number <= max ? number : 0;
}

static bool parse(const char *text, struct conf_shard *shard)
{
    const char *slash = strchr(text, '/'), *at = text;
    if (!slash)
        return false;
    const char *behind = slash + 1;
    shard->count = read_part(&behind, CONF_SHARDS_MAX);
    if (!shard->count || *behind)
        return false;
    for (;;) {
        unsigned number = read_part(&at, shard->count);
        if (!number)
            return false;
        shard->mine |= UINT64_C(1) << (number - 1);
        if (at == slash)
            return true;
        if (*at++ != ',')
            return false;
    }
}

void conf_read_shard(struct conf_reader *reader, const struct conf_row *row, const config_setting_t *setting,
                     void *into)
{
    const char *text;
    struct conf_shard shard = {.text = ""};
    if (!conf_text(reader, setting, row->max, &text))
        return;
    if (*text && !parse(text, &shard))
        conf_wrong(reader, setting,
                   "\"%.40s\" is no share: write \"2/8\" for the second of eight agents, \"2,3/8\" for two shares of "
                   "eight; at most %d shares",
                   text, CONF_SHARDS_MAX);
    shard.text = conf_string(reader->blocks, text);
    *(struct conf_shard *)((char *)into + row->offset) = shard;
}
