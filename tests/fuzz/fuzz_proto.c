/*
 * libFuzzer: any octets as what a peer says before TLS or inside it. The first octet chooses the protocol, whether inside
 * TLS, and how the rest is cut.
 *
 * What must hold: it does not matter how the octets are cut, but for the injection that is seen only in one piece; a
 * failure has a reason, the rest has none; details are printable; what is to be sent stays within its room; after the end
 * of the time the machine has ended.
 */
#include <string.h>

#include "collect/proto.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void run(struct proto *proto, unsigned choice, const unsigned char *data, size_t size, size_t piece)
{
    enum proto_kind kind = (enum proto_kind)(1 + choice % PROTO_HTTP);
    bool inside = kind >= PROTO_SIP || (kind != PROTO_LDAP && (choice & 0x40));
    const struct proto_names names = {.host = "us.example", .from = "a.example", .to = "b.example", .token = choice};
    proto_start(proto, kind, inside, &names);
    for (size_t at = 0; at < size; at += piece) {
        size_t length;
        const char *output = proto_output(proto, &length);
        require(length <= PROTO_OUTPUT && memchr(output, '\xff', length) == NULL);
        proto_sent(proto, length);
        proto_feed(proto, data + at, size - at < piece ? size - at : piece);
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static struct proto whole, cut;
    if (size < 1)
        return 0;
    run(&whole, data[0], data + 1, size - 1, size);
    run(&cut, data[0], data + 1, size - 1, 1);
    if (whole.reason != REASON_TLS_PROTOCOL_VIOLATION)
        require(whole.state == cut.state && whole.reason == cut.reason, "cutting changes nothing");
    else
        require(cut.state == PROTO_READY);
    if (data[0] & 0x80)
        proto_closed(&whole, false);
    else
        proto_timeout(&whole);
    require(whole.state != PROTO_TALKING);
    require((whole.state == PROTO_FAILED) == (whole.reason != REASON_NONE));
    require_printable(whole.detail, sizeof whole.detail);
    return 0;
}
