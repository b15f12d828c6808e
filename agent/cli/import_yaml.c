/*
 * Groups of targets, wherever they stand in a document: each mapping with a list "targets" is one, the module of
 * blackbox_exporter is what "params: { module: [ ... ] }" of the nearest mapping around it says, or the label
 * __param_module. JSON is YAML too.
 *
 * A few aliases can stand for more than could ever be looked at, and libyaml takes the square of the depth to read what
 * is nested. So the depth is known before a document is made of it, and a document is left where more was looked at than
 * it has nodes and SPARE besides, which only aliases can do.
 */
#include "cli/import.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/text.h"

#define DEPTH_MAX  32
#define SPARE      100000
#define LABELS_MAX 64

struct walk {
    yaml_document_t *document;
    import_found *found;
    import_wrong *wrong;
    void *context;
    size_t groups;
    size_t left; /* nodes that may still be looked at */
};

/* Whether one more node may be looked at. */
static bool spend(struct walk *walk)
{
    if (walk->left)
        walk->left--;
    return walk->left != 0;
}

static const char *scalar(const yaml_node_t *node)
{
    return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static yaml_node_t *member(const struct walk *walk, const yaml_node_t *mapping, const char *name)
{
    if (!mapping || mapping->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++) {
        const char *key = scalar(yaml_document_get_node(walk->document, pair->key));
        if (key && strcmp(key, name) == 0)
            return yaml_document_get_node(walk->document, pair->value);
    }
    return NULL;
}

static const char *first(const struct walk *walk, const yaml_node_t *list)
{
    if (!list || list->type != YAML_SEQUENCE_NODE || list->data.sequence.items.start == list->data.sequence.items.top)
        return NULL;
    return scalar(yaml_document_get_node(walk->document, *list->data.sequence.items.start));
}

/* Labels that are settings, or that tell the name. */
static void take_labels(const struct walk *walk, const yaml_node_t *labels, struct import_partner *partner)
{
    static const char *const names[] = {"name", "partner", "instance"};
    if (!labels || labels->type != YAML_MAPPING_NODE)
        return;
    for (yaml_node_pair_t *pair = labels->data.mapping.pairs.start; pair < labels->data.mapping.pairs.top; pair++) {
        const char *key = scalar(yaml_document_get_node(walk->document, pair->key));
        const char *text = scalar(yaml_document_get_node(walk->document, pair->value));
        if (!key || !text || partner->count == IMPORT_SETTINGS_MAX)
            continue;
        if (strcmp(key, "__param_module") == 0 || strcmp(key, "module") == 0)
            partner->module = text;
        else if (import_heading(key))
            partner->settings[partner->count++] = (struct import_setting){key, text};
        else
            for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                if (strcmp(key, names[i]) == 0)
                    partner->settings[partner->count++] = (struct import_setting){"name", text};
    }
}

static void take_group(struct walk *walk, const yaml_node_t *group, const yaml_node_t *targets, const char *module)
{
    const yaml_node_t *labels = member(walk, group, "labels");
    walk->groups++;
    if (labels && labels->type == YAML_MAPPING_NODE &&
        labels->data.mapping.pairs.top - labels->data.mapping.pairs.start > LABELS_MAX) {
        walk->wrong(walk->context, (unsigned)labels->start_mark.line + 1, "a group has more than 64 labels");
        return;
    }
    for (yaml_node_item_t *item = targets->data.sequence.items.start;
         item < targets->data.sequence.items.top && spend(walk); item++) {
        const yaml_node_t *node = yaml_document_get_node(walk->document, *item);
        struct import_partner partner = {
            .line = (unsigned)node->start_mark.line + 1, .target = scalar(node), .module = module};
        if (!partner.target) {
            walk->wrong(walk->context, partner.line, "a target must be text: \"host:port\"");
            continue;
        }
        take_labels(walk, labels, &partner);
        walk->found(walk->context, &partner);
    }
}

static void look(struct walk *walk, const yaml_node_t *node, const char *module, int depth)
{
    if (!node || depth > DEPTH_MAX || !spend(walk))
        return;
    if (node->type == YAML_SEQUENCE_NODE) {
        for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++)
            look(walk, yaml_document_get_node(walk->document, *item), module, depth + 1);
    } else if (node->type == YAML_MAPPING_NODE) {
        const char *own = first(walk, member(walk, member(walk, node, "params"), "module"));
        const yaml_node_t *targets = member(walk, node, "targets");
        if (own)
            module = own;
        if (targets && targets->type == YAML_SEQUENCE_NODE) {
            take_group(walk, node, targets, module);
            return;
        }
        for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++)
            look(walk, yaml_document_get_node(walk->document, pair->value), module, depth + 1);
    }
}

/* Whether nothing is nested deeper than DEPTH_MAX; what cannot be parsed is left to whom makes a document of it. */
static bool is_flat(const char *text, size_t length, unsigned *line)
{
    yaml_parser_t parser;
    yaml_event_t event;
    int depth = 0;
    bool more = true;
    if (!yaml_parser_initialize(&parser))
        abort();
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    while (more && depth <= DEPTH_MAX && yaml_parser_parse(&parser, &event)) {
        depth += event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT;
        depth -= event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
        more = event.type != YAML_STREAM_END_EVENT && event.type != YAML_DOCUMENT_END_EVENT;
        *line = (unsigned)event.start_mark.line + 1;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return depth <= DEPTH_MAX;
}

bool import_targets(const char *text, size_t length, import_found *found, import_wrong *wrong, void *context)
{
    yaml_parser_t parser;
    yaml_document_t document;
    char problem[256];
    unsigned line = 1;
    if (!is_flat(text, length, &line)) {
        text_format(problem, sizeof problem, "it is nested deeper than %d: no list of targets is", DEPTH_MAX);
        wrong(context, line, problem);
        return false;
    }
    if (!yaml_parser_initialize(&parser))
        abort();
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    if (!yaml_parser_load(&parser, &document)) {
        text_format(problem, sizeof problem, "neither YAML nor JSON: %s",
                    parser.problem ? parser.problem : "it ends early");
        wrong(context, (unsigned)parser.problem_mark.line + 1, problem);
        yaml_parser_delete(&parser);
        return false;
    }
    size_t nodes = (size_t)(document.nodes.top - document.nodes.start);
    struct walk walk = {&document, found, wrong, context, 0, SPARE + nodes};
    look(&walk, yaml_document_get_root_node(&document), "", 0);
    if (!walk.left)
        wrong(context, 1,
              "its aliases stand for more than can be looked at: the rest is left out; write it without them");
    else if (!walk.groups)
        wrong(context, 1, "there is no list of \"targets\" in it: is it a file of file_sd_configs, or a table?");
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return walk.groups > 0;
}
