#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf_fixture.h"

#define FILES "certificate = \"cert.pem\"; key = \"key.pem\"; "
#define READY "enabled = true; address = \"127.0.0.1:15061\"; " FILES

static void enter_folder(void)
{
    conf_fixture_enter();
    conf_fixture_write("cert.pem", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n");
    conf_fixture_write("key.pem", "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n");
}

TestSuite(conf_listen, .init = enter_folder, .fini = conf_fixture_leave, .timeout = 60);

Test(conf_listen, is_off_with_its_limits_set)
{
    char errors[2048];
    struct conf *conf = conf_fixture_load("", errors, sizeof errors);
    cr_assert_not_null(conf, "%s", errors);
    const struct conf_listen *listen = &conf->listen;
    cr_expect_not(listen->enabled);
    cr_expect_eq(listen->endpoint_count, 0);
    cr_expect_str_eq(listen->certificate, "");
    cr_expect_str_eq(listen->key, "");
    cr_expect_eq(listen->trust, 0);
    cr_expect_eq(listen->connections_max, 64);
    cr_expect_eq(listen->connections_per_address, 4);
    cr_expect_eq(listen->per_minute_per_address, 30);
    cr_expect_eq(listen->handshake_seconds, 10);
    cr_expect_eq(listen->bytes_max, 65536);
    conf_free(conf);
}

Test(conf_listen, reads_all_of_it)
{
    char errors[2048], text[ADDRESS_TEXT_SIZE];
    struct conf *conf = conf_fixture_load(
        "trusts: ( { name = \"a\"; }, { name = \"b\"; } );\n"
        "listen: { enabled = true; address = ( \"0.0.0.0:15061\", \"[2001:db8::1]:65535\" );\n"
        FILES "trust = \"b\"; connections_max = 9; connections_per_address = 2;\n"
        "per_minute_per_address = 5; handshake_seconds = 3; bytes_max = 20000; };",
        errors, sizeof errors);
    cr_assert_not_null(conf, "%s", errors);
    const struct conf_listen *listen = &conf->listen;
    cr_expect(listen->enabled);
    cr_assert_eq(listen->endpoint_count, 2);
    cr_expect_str_eq(address_text(&listen->endpoints[0].address, text), "0.0.0.0");
    cr_expect_eq(listen->endpoints[0].port, 15061);
    cr_expect_str_eq(address_text(&listen->endpoints[1].address, text), "2001:db8::1");
    cr_expect_eq(listen->endpoints[1].port, 65535);
    cr_expect_str_eq(listen->certificate, "cert.pem");
    cr_expect_str_eq(listen->key, "key.pem");
    cr_expect_eq(listen->trust, 1);
    cr_expect_eq(listen->connections_max, 9);
    cr_expect_eq(listen->connections_per_address, 2);
    cr_expect_eq(listen->per_minute_per_address, 5);
    cr_expect_eq(listen->handshake_seconds, 3);
    cr_expect_eq(listen->bytes_max, 20000);
    conf_free(conf);
}

#define NO_ENDPOINT(text)                                                                                              \
    "\"" text "\" is no address and port: write it as \"192.0.2.1:5061\" or \"[2001:db8::1]:5061\"; \"0.0.0.0\" and "  \
    "\"[::]\" stand for all addresses"

static const struct {
    const char *text;
    const char *errors;
} rules[] = {
    {"listen = 5;", "f.conf:1: listen: must be a group of settings: { name = value; ... }"},
    {"listen: { adress = \"127.0.0.1:1\"; };",
     "f.conf:1: listen.adress: there is no such setting. Did you mean \"address\"?"},
    {"\nlisten: {\n enabled = true; };",
     "f.conf:2: listen: the setting \"address\" is missing or empty: where to listen, as \"0.0.0.0:15061\"\n"
     "f.conf:2: listen: the setting \"certificate\" is missing or empty: the certificate that is shown to who connects\n"
     "f.conf:2: listen: the setting \"key\" is missing or empty: the private key of the certificate"},
    {"listen: { enabled = true; address = ( ); " FILES "};",
     "f.conf:1: listen: the setting \"address\" is missing or empty: where to listen, as \"0.0.0.0:15061\""},
    {"listen: { address = 15061; };", "f.conf:1: listen.address: must be a list of texts: (\"a\", \"b\")"},
    {"listen: { address = \"15061\"; };", "f.conf:1: listen.address: " NO_ENDPOINT("15061")},
    {"listen: { address = \"127.0.0.1\"; };", "f.conf:1: listen.address: " NO_ENDPOINT("127.0.0.1")},
    {"listen: { address = \"127.0.0.1:\"; };", "f.conf:1: listen.address: " NO_ENDPOINT("127.0.0.1:")},
    {"listen: { address = \"127.0.0.1:0\"; };", "f.conf:1: listen.address: " NO_ENDPOINT("127.0.0.1:0")},
    {"listen: { address = \"127.0.0.1:65536\"; };", "f.conf:1: listen.address: " NO_ENDPOINT("127.0.0.1:65536")},
    {"listen: { address = \"127.0.0.1:5x\"; };", "f.conf:1: listen.address: " NO_ENDPOINT("127.0.0.1:5x")},
    {"listen: { address = \"[127.0.0.1]:5\"; };", "f.conf:1: listen.address: " NO_ENDPOINT("[127.0.0.1]:5")},
    {"listen: { address = \"::1:15061\"; };", "f.conf:1: listen.address: " NO_ENDPOINT("::1:15061")},
    {"listen: { address = \"[]:5\"; };", "f.conf:1: listen.address: " NO_ENDPOINT("[]:5")},
    {"listen: { address = \":5\"; };", "f.conf:1: listen.address: " NO_ENDPOINT(":5")},
    {"listen: { address = \"\"; };", "f.conf:1: listen.address: " NO_ENDPOINT("")},
    {"listen: { address = \"localhost:15061\"; };", "f.conf:1: listen.address: " NO_ENDPOINT("localhost:15061")},
    {"listen: { address = ( \"[::1]:5\",\n\"127.0.0.1:5\",\n \"[0::1]:5\" ); };",
     "f.conf:3: listen.address[2]: \"[0::1]:5\" stands there twice"},
    {"listen: { certificate = \"none.pem\"; };",
     "f.conf:1: listen.certificate: \"none.pem\" cannot be read: No such file or directory"},
    {"listen: { key = \"cert.pem\"; };", "f.conf:1: listen.key: \"cert.pem\" holds no private key in PEM: no line "
                                         "\"-----BEGIN ... PRIVATE KEY-----\""},
    {"listen: { trust = \"sistem\"; };",
     "f.conf:1: listen.trust: no trust profile \"sistem\" (have: system). Did you mean \"system\"?"},
    {"listen: { connections_max = 0; };", "f.conf:1: listen.connections_max: 0 is out of range: 1 to 4096 is possible"},
    {"listen: { bytes_max = 4095; };", "f.conf:1: listen.bytes_max: 4095 is out of range: 4096 to 1048576 is possible"},
    {"listen: { handshake_seconds = 301; };",
     "f.conf:1: listen.handshake_seconds: 301 is out of range: 1 to 300 is possible"},
    {"listen: { per_minute_per_address = 60001; };",
     "f.conf:1: listen.per_minute_per_address: 60001 is out of range: 1 to 60000 is possible"},
    {"listen: { " READY "connections_max = 3; };",
     "f.conf:1: listen: connections_per_address (4) is more than connections_max (3)"},
};

Test(conf_listen, tells_what_is_wrong_and_where)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        char errors[2048];
        struct conf *conf = conf_fixture_load(rules[i].text, errors, sizeof errors);
        cr_expect_null(conf, "%s", rules[i].text);
        cr_expect_str_eq(errors, rules[i].errors, "%s:\n%s\ninstead of\n%s", rules[i].text, errors, rules[i].errors);
        conf_free(conf);
    }
}
