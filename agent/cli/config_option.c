/* The options of subcommands that take a configuration and nothing else. */
#include "cli/cli.h"

#include <getopt.h>

int cli_config_option(int argc, char **argv, void (*usage)(FILE *out), const char **path)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    *path = CLI_CONF_PATH;
    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        if (option == 'c') {
            *path = optarg;
            continue;
        }
        usage(option == 'h' ? stdout : stderr);
        return option == 'h' ? 0 : 2;
    }
    if (optind < argc) {
        usage(stderr);
        return 2;
    }
    return -1;
}
