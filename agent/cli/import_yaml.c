/*
 * Groups of targets, wherever they stand in a document: each mapping with a list "targets" is one, the module of
 * blackbox_exporter is what "params: { module: [ ... ] }" of the nearest mapping around it says, or the label
 * __param_module. JSON is YAML too.
 */
#include "cli/import.h"

#include <string.h>
#include <yaml.h>

#include "base/text.h"

#define DEPTH_MAX 32

struct walk {
    yaml_document_t *document;
    import_found *found;
    import_wrong *wrong;
    void *context;
    size_t groups;
};

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
    walk->groups++;
    for (yaml_node_item_t *item = targets->data.sequence.items.start; item < targets->data.sequence.items.top; item++) {
        const yaml_node_t *node = yaml_document_get_node(walk->document, *item);
        struct import_partner partner = {
            .line = (unsigned)node->start_mark.line + 1, .target = scalar(node), .module = module};
        if (!partner.target) {
            walk->wrong(walk->context, partner.line, "a target must be text: \"host:port\"");
            continue;
        }
        take_labels(walk, member(walk, group, "labels"), &partner);
        walk->found(walk->context, &partner);
    }
}

static void look(struct walk *walk, const yaml_node_t *node, const char *module, int depth)
{
    if (!node || depth > DEPTH_MAX)
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

bool import_targets(const char *text, size_t length, import_found *found, import_wrong *wrong, void *context)
{
    yaml_parser_t parser;
    yaml_document_t document;
    char problem[256];
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
    struct walk walk = {&document, found, wrong, context, 0};
    look(&walk, yaml_document_get_root_node(&document), "", 0);
    if (!walk.groups)
        wrong(context, 1, "there is no list of \"targets\" in it: is it a file of file_sd_configs, or a table?");
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return walk.groups > 0;
}
