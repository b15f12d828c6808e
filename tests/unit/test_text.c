#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

Test(text, copy_cuts_on_a_character)
{
    char out[6];
    cr_assert_eq(text_copy(out, sizeof out, "abc"), 3);
    cr_assert_str_eq(out, "abc");
    cr_assert_eq(text_copy(out, sizeof out, "abcd\xc3\xa9"), 4);
    cr_assert_str_eq(out, "abcd");
    cr_assert_eq(text_copy(out, sizeof out, "ab\xe2\x82\xac\xe2\x82\xac"), 5);
    cr_assert_str_eq(out, "ab\xe2\x82\xac");
    cr_assert_eq(text_copy(out, sizeof out, "a\xf0\x9f\x98\x80\xf0\x9f\x98\x80"), 5);
    cr_assert_str_eq(out, "a\xf0\x9f\x98\x80");
}

Test(text, a_precision_cuts_on_a_character)
{
    char out[32];
    cr_assert_eq(text_format(out, sizeof out, "<%.4s>", "abc\xd0\xaf"), 5);
    cr_assert_str_eq(out, "<abc>");
    cr_assert_eq(text_format(out, sizeof out, "<%.5s>%.1s", "abc\xd0\xaf", "\xe2\x82\xac"), 7);
    cr_assert_str_eq(out, "<abc\xd0\xaf>");
    text_copy(out, sizeof out, "x");
    cr_assert_eq(text_append(out, sizeof out, "%.2s.", "\xe2\x82\xac"), 2);
    cr_assert_str_eq(out, "x.");
}

Test(text, format_and_append)
{
    char out[8];
    cr_assert_eq(text_format(out, sizeof out, "%d-%s", 12, "abcdefgh"), 7);
    cr_assert_str_eq(out, "12-abcd");
    cr_assert_eq(text_append(out, sizeof out, "more"), 7);
    text_copy(out, sizeof out, "ab");
    cr_assert_eq(text_append(out, sizeof out, "%s", "cde"), 5);
    cr_assert_str_eq(out, "abcde");
}

static const struct {
    const char *in;
    size_t length;
    const char *out;
} printable[] = {
    {"plain", 5, "plain"},
    {"a\0b", 3, "a\\x00b"},
    {"line\nend\r", 9, "line\\x0aend\\x0d"},
    {"caf\xc3\xa9", 5, "caf\xc3\xa9"},
    {"\xc3", 1, "\\xc3"},
    {"\xc0\xaf", 2, "\\xc0\\xaf"},          /* overlong */
    {"\xed\xa0\x80", 3, "\\xed\\xa0\\x80"}, /* surrogate */
    {"\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80"},
    {"\xc2\x9b", 2, "\\xc2\\x9b"},          /* C1 control: CSI */
    {"\xe2\x80\xae", 3, "\\xe2\\x80\\xae"}, /* right-to-left override */
    {"\xe2\x80\xa8", 3, "\\xe2\\x80\\xa8"}, /* line separator */
    {"\x1b[31m", 5, "\\x1b[31m"},
};

Test(text, printable)
{
    char out[64];
    for (size_t i = 0; i < sizeof printable / sizeof printable[0]; i++) {
        size_t length = text_printable(out, sizeof out, printable[i].in, printable[i].length);
        cr_expect_str_eq(out, printable[i].out, "row %zu", i);
        cr_expect_eq(length, strlen(out));
    }
    char small[6];
    cr_assert_eq(text_printable(small, sizeof small, "abc\n", 4), 3);
    cr_assert_str_eq(small, "abc");
}

Test(text, nearest)
{
    const char *list[] = {"public", "contoso", "partners"};
    cr_assert_str_eq(text_nearest("publc", list, 3), "public");
    cr_assert_str_eq(text_nearest("Contso", list, 3), "contoso");
    cr_assert_null(text_nearest("xyz", list, 3));
    cr_assert_null(text_nearest("", list, 3));
}

Test(text, hexadecimal)
{
    char out[8];
    cr_assert_eq(text_hex(out, sizeof out, "\x0a\xff", 2), 4);
    cr_assert_str_eq(out, "0aff");
    cr_assert_eq(text_hex(out, sizeof out, "\x01\x02\x03\x04\x05", 5), 6);
    cr_assert_str_eq(out, "010203");
}

Test(clock, texts)
{
    char out[CLOCK_TEXT_SIZE];
    cr_assert_str_eq(clock_text(CLOCK_NEVER, out, sizeof out), "never");
    cr_assert_str_eq(clock_text(INT64_C(1767225600) * CLOCK_SECOND + 1, out, sizeof out), "2026-01-01T00:00:00Z");
    cr_assert_str_eq(clock_text(-1, out, sizeof out), "1969-12-31T23:59:59Z");
    cr_assert_str_eq(clock_span(45, out, sizeof out), "45s");
    cr_assert_str_eq(clock_span(12 * 60 + 5, out, sizeof out), "12m");
    cr_assert_str_eq(clock_span(3 * 3600 + 5 * 60, out, sizeof out), "3h 5m");
    cr_assert_str_eq(clock_span(6 * 86400 + 2 * 3600, out, sizeof out), "6d 2h");
}
