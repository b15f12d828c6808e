#include "cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/reason.h"
#include "base/text.h"

#define FOUND_MAX 16
#define WIDTH 88

/* Prints `text` behind a label of 12 columns, broken at blanks. */
static void print_wrapped(const char *label, const char *text)
{
    printf("  %-12s", label);
    size_t column = 0;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > WIDTH) {
            printf("\n  %-12s", "");
            column = 0;
        }
        if (column > 0) {
            putchar(' ');
            column++;
        }
        fwrite(text, 1, word, stdout);
        column += word;
        text += word + strspn(text + word, " ");
    }
    putchar('\n');
}

static void print_reason(const struct reason_info *row)
{
    char event[128];
    printf("%s (%d)\n", row->name, row->reason);
    if (row->reason == REASON_NONE) {
        print_wrapped("meaning", "Nothing failed.");
        return;
    }
    print_wrapped("cause", row->cause);
    print_wrapped("resolution", row->resolution);
    print_wrapped("severity", severity_name(row->severity));
    print_wrapped("who acts", actor_name(row->actor));
    const struct event_info *info = event_info(row->event);
    text_format(event, sizeof event, "%d %s: %s", info->event, info->name, info->title);
    print_wrapped("event", event);
    if (*row->aliases)
        print_wrapped("also known", row->aliases);
}

static int explain(const char *text)
{
    const struct reason_info *found[FOUND_MAX];
    size_t count = reason_search(text, found, FOUND_MAX);
    for (size_t i = 0; i < count && i < FOUND_MAX; i++) {
        if (i > 0)
            putchar('\n');
        print_reason(found[i]);
    }
    if (count > 0)
        return 0;

    const char **names = calloc(reason_count(), sizeof *names);
    if (!names)
        abort();
    for (size_t i = 0; i < reason_count(); i++)
        names[i] = reason_at(i)->name;
    const char *nearest = text_nearest(text, names, reason_count());
    fprintf(stderr, "fedwarden explain: no reason is named, numbered or coded \"%s\". ", text);
    if (nearest)
        fprintf(stderr, "Did you mean \"%s\"?\n", nearest);
    else
        fputs("fedwarden explain --list shows all.\n", stderr);
    free(names);
    return 3;
}

static void list(void)
{
    for (size_t i = 0; i < reason_count(); i++) {
        const struct reason_info *row = reason_at(i);
        printf("%3d  %-28s  %-9s  %-8s  %s\n", row->reason, row->name,
               row->reason == REASON_NONE ? "-" : severity_name(row->severity), actor_name(row->actor), row->cause);
    }
}

static void usage(FILE *out)
{
    fputs("usage: fedwarden explain REASON...\n"
          "       fedwarden explain --list\n\n"
          "REASON is a name (tlsExpired), a number (304), a Windows error (10061), an HRESULT or its name (0x800B0101,\n"
          "-2146762495, CERT_E_EXPIRED), X509:n of OpenSSL, a TLS alert:n, a DNS rcode:n or EDE:n.\n",
          out);
}

int cli_explain(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'}, {"list", no_argument, NULL, 'l'}, {NULL, 0, NULL, 0}};
    /* A negative HRESULT is an argument, not an option: "+" ends options at the first argument. */
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1] >= '0' && argv[i][1] <= '9')
            break;
        int option = getopt_long(argc, argv, "+hl", options, NULL);
        if (option == -1)
            break;
        if (option == 'l') {
            list();
            return 0;
        }
        usage(option == 'h' ? stdout : stderr);
        return option == 'h' ? 0 : 3;
    }
    if (optind >= argc) {
        usage(stderr);
        return 3;
    }
    int status = 0;
    for (int i = optind; i < argc; i++) {
        if (i > optind)
            putchar('\n');
        if (explain(argv[i]) != 0)
            status = 3;
    }
    return status;
}
