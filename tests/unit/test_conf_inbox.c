#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_fixture.h"

static void enter_folder(void)
{
    conf_fixture_enter();
    conf_fixture_write("file", "x\n");
    cr_assert_eq(mkdir("reports", 0700), 0);
}

TestSuite(conf_inbox, .init = enter_folder, .fini = conf_fixture_leave, .timeout = 60);

Test(conf_inbox, is_off_by_default)
{
    char errors[256];
    struct conf *conf = conf_fixture_load("log_level = \"info\";", errors, sizeof errors);
    cr_assert_not_null(conf, "%s", errors);
    cr_expect_str_eq(conf->inbox.path, "");
    cr_expect_eq(conf->inbox.mode, 0660);
    cr_expect_str_eq(conf->inbox.group, "");
    cr_expect_eq(conf->inbox.connections_max, 64);
    cr_expect_str_eq(conf->tlsrpt.directory, "");
    conf_free(conf);
}

Test(conf_inbox, takes_what_is_set)
{
    char errors[256];
    struct conf *conf = conf_fixture_load(
        "inbox: { path = \"socket\"; mode = \"600\"; group = \"daemon\"; connections_max = 7; };\n"
        "tlsrpt: { directory = \"reports\"; };",
        errors, sizeof errors);
    cr_assert_not_null(conf, "%s", errors);
    cr_expect_str_eq(conf->inbox.path, "socket");
    cr_expect_eq(conf->inbox.mode, 0600);
    cr_expect_str_eq(conf->inbox.group, "daemon");
    cr_expect_eq(conf->inbox.connections_max, 7);
    cr_expect_str_eq(conf->tlsrpt.directory, "reports");
    conf_free(conf);
}

Test(conf_inbox, a_path_has_its_limit)
{
    char path[CONF_SOCKET_MAX + 2], text[256], errors[1024];
    memset(path, 'a', sizeof path);
    path[CONF_SOCKET_MAX] = '\0';
    snprintf(text, sizeof text, "inbox: { path = \"%s\"; };", path);
    struct conf *conf = conf_fixture_load(text, errors, sizeof errors);
    cr_assert_not_null(conf, "%s", errors);
    conf_free(conf);
    path[CONF_SOCKET_MAX] = 'a';
    path[CONF_SOCKET_MAX + 1] = '\0';
    snprintf(text, sizeof text, "inbox: {\n path = \"%s\"; };", path);
    cr_assert_null(conf_fixture_load(text, errors, sizeof errors));
    cr_expect(strncmp(errors, "f.conf:2: inbox.path: \"aaa", 26) == 0, "%s", errors);
    cr_expect_not_null(strstr(errors, "is 108 octets long: the path of a socket has at most 107"), "%s", errors);
}

Test(conf_inbox, tells_what_is_wrong)
{
#define MODE "must be permissions as three or four octal digits in quotes, such as \"0660\" or \"0600\""
    static const struct {
        const char *text, *errors;
    } rules[] = {
        {"inbox: {\n path = \"reports\"; };",
         "f.conf:2: inbox.path: \"reports\" is a folder: name the socket that is to "
         "be made, as in \"reports/inbox\""},
        {"inbox: { path = \"file\"; };",
         "f.conf:1: inbox.path: \"file\" exists and is no socket: remove it or name another"},
        {"inbox: { path = 1; };", "f.conf:1: inbox.path: must be a text in quotes"},
        {"inbox: { mode = 0660; };", "f.conf:1: inbox.mode: " MODE},
        {"inbox: { mode = \"66\"; };", "f.conf:1: inbox.mode: " MODE},
        {"inbox: { mode = \"0990\"; };", "f.conf:1: inbox.mode: " MODE},
        {"inbox: { mode = \"7777\"; };", "f.conf:1: inbox.mode: " MODE},
        {"inbox: { mode = \"0000\"; };", "f.conf:1: inbox.mode: " MODE},
        {"inbox: { group = \"no such group\"; };",
         "f.conf:1: inbox.group: this system has no group \"no such group\": make it (addgroup --system no such group) "
         "or name another"},
        {"inbox: { connections_max = 0; };",
         "f.conf:1: inbox.connections_max: 0 is out of range: 1 to 1024 is possible"},
        {"inbox: { pth = \"a\"; };", "f.conf:1: inbox.pth: there is no such setting. Did you mean \"path\"?"},
        {"inbox = 1;", "f.conf:1: inbox: must be a group of settings: { name = value; ... }"},
        {"\ntlsrpt: { directory = \"none\"; };",
         "f.conf:2: tlsrpt.directory: the folder \"none\" cannot be used: No such file or directory"},
        {"tlsrpt: { directory = \"file\"; };",
         "f.conf:1: tlsrpt.directory: \"file\" is no folder: name the one that reports are dropped into"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        char errors[1024];
        cr_expect_null(conf_fixture_load(rules[i].text, errors, sizeof errors), "%s", rules[i].text);
        cr_expect_str_eq(errors, rules[i].errors, "%s\n%s", rules[i].text, errors);
    }
}
