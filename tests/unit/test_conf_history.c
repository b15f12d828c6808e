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
    cr_assert_eq(mkdir("sub", 0700), 0);
    cr_assert_eq(mkfifo("pipe", 0600), 0);
}

TestSuite(conf_history, .init = enter_folder, .fini = conf_fixture_leave, .timeout = 60);

Test(conf_history, lies_in_the_state_folder_by_default)
{
    char errors[512];
    struct conf *conf = conf_fixture_load("agent: { state_dir = \"/somewhere/state\"; };", errors, sizeof errors);
    cr_assert_not_null(conf, "%s", errors);
    cr_expect_str_eq(conf->history.file, "/somewhere/state/history.db");
    cr_expect_eq(conf->history.days, 90);
    cr_expect_eq(conf->history.transitions, 100000);
    cr_expect_eq(conf->history.verdicts, 200000);
    cr_expect_eq(conf->history.failures, 200000);
    conf_free(conf);
    conf = conf_fixture_load("history: { days = 7; };\nagent: { state_dir = \"/else\"; };", errors, sizeof errors);
    cr_assert_not_null(conf, "%s", errors);
    cr_expect_str_eq(conf->history.file, "/else/history.db", "the order of groups does not matter");
    conf_free(conf);
}

Test(conf_history, is_switched_off_by_an_empty_name)
{
    char errors[512];
    struct conf *conf = conf_fixture_load("history: { file = \"\"; };", errors, sizeof errors);
    cr_assert_not_null(conf, "%s", errors);
    cr_expect_str_eq(conf->history.file, "");
    conf_free(conf);
}

Test(conf_history, takes_what_is_set)
{
    char errors[512];
    struct conf *conf =
        conf_fixture_load("history: { file = \"h.db\"; days = 7; transitions = 100; verdicts = 101; failures = 102; };",
                          errors, sizeof errors);
    cr_assert_not_null(conf, "%s", errors);
    cr_expect_str_eq(conf->history.file, "h.db");
    cr_expect_eq(conf->history.days, 7);
    cr_expect_eq(conf->history.transitions, 100);
    cr_expect_eq(conf->history.verdicts, 101);
    cr_expect_eq(conf->history.failures, 102);
    conf_free(conf);

    conf_fixture_write("sub/g.conf", "history: { file = \"h.db\"; };");
    conf = conf_fixture_load("@include \"sub/g.conf\"", errors, sizeof errors);
    cr_assert_not_null(conf, "%s", errors);
    cr_expect_str_eq(conf->history.file, "sub/h.db", "beside the file that names it");
    conf_free(conf);
}

Test(conf_history, tells_what_is_wrong)
{
    static const char *const cases[][2] = {
        {"history: { file = \"sub\"; };",
         "f.conf:1: history.file: \"sub\" is a folder: name the file that is to be made, as in \"sub/history.db\""},
        {"history: { file = \"new/\"; };",
         "f.conf:1: history.file: \"new/\" is a folder: name the file that is to be made, as in \"new/history.db\""},
        {"history: { file = \"pipe\"; };", "f.conf:1: history.file: \"pipe\" is no regular file: name another"},
        {"history: { file = 5; };", "f.conf:1: history.file: must be a text in quotes"},
        {"history: { days = 0; };", "f.conf:1: history.days: 0 is out of range: 1 to 3650 is possible"},
        {"history: { transitions = 99; };",
         "f.conf:1: history.transitions: 99 is out of range: 100 to 10000000 is possible"},
        {"history: { verdicts = 10000001; };",
         "f.conf:1: history.verdicts: 10000001 is out of range: 100 to 10000000 is possible"},
        {"history: { failures = 0; };", "f.conf:1: history.failures: 0 is out of range: 100 to 10000000 is possible"},
        {"history: { day = 1; };", "f.conf:1: history.day: there is no such setting. Did you mean \"days\"?"},
        {"history = \"h.db\";", "f.conf:1: history: must be a group of settings: { name = value; ... }"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char errors[2048];
        struct conf *conf = conf_fixture_load(cases[i][0], errors, sizeof errors);
        cr_expect_null(conf, "%s", cases[i][0]);
        cr_expect_str_eq(errors, cases[i][1]);
        conf_free(conf);
    }
}
