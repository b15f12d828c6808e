#ifndef FEDWARDEN_COLLECT_PROTO_PARTS_H
#define FEDWARDEN_COLLECT_PROTO_PARTS_H

/* What the proto*.c files share. A machine is begun, takes one octet after the other, and can say what it waits for. */

#include "collect/proto.h"

struct proto_machine {
    void (*begin)(struct proto *proto, const struct proto_names *names);
    enum proto_state (*octet)(struct proto *proto, char octet);
    const char *(*waited_for)(const struct proto *proto);
};

extern const struct proto_machine proto_smtp, proto_imap, proto_pop3; /* proto_mail.c */
extern const struct proto_machine proto_xmpp;                         /* proto_xmpp.c; of clients as well */
extern const struct proto_machine proto_ldap;                         /* proto_ldap.c */
extern const struct proto_machine proto_status;                       /* proto_status.c: SIP, HTTP */

/* proto_fail(proto, reason, what, data, length): it failed; `data`, made printable, stands behind `what`. */
enum proto_state proto_fail(struct proto *proto, enum reason reason, const char *what, const char *data, size_t length);
/* proto_well(proto, data, length): the answer is good, or TLS may start; `data` is the answer, made printable. */
enum proto_state proto_well(struct proto *proto, const char *data, size_t length);
/* proto_say(proto, text): that is sent next. */
void proto_say(struct proto *proto, const char *text);
/* proto_settle(proto): SIP, HTTP: a status whose line came is judged. False when none has. */
bool proto_settle(struct proto *proto);

#endif
