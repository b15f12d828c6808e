/*
 * The named groups of patterns, one row each: FIELD_ROW(ENUMERATOR, name). There is no include guard: define FIELD_ROW,
 * include, undefine.
 */
FIELD_ROW(IP, ip)               /* the remote: brackets and ::ffff: are taken off */
FIELD_ROW(PORT, port)
FIELD_ROW(LOCAL_IP, lip)        /* ours */
FIELD_ROW(LOCAL_PORT, lport)
FIELD_ROW(PEER, peer)           /* remote server or domain of an outgoing attempt */
FIELD_ROW(PARTNER, partner)     /* federated domain that a line is about */
FIELD_ROW(DOMAIN, domain)       /* a domain whose part the rule does not know */
FIELD_ROW(TO_DOMAIN, to_domain) /* what was asked for */
FIELD_ROW(FROM_DOMAIN, from_domain)
FIELD_ROW(USER, user)
FIELD_ROW(TO, to)
FIELD_ROW(NAME, name)           /* of a query to DNS */
FIELD_ROW(QTYPE, qtype)
FIELD_ROW(CLIENT, client)       /* who asked a resolver */
FIELD_ROW(SUBJECT, subject)     /* of a certificate */
FIELD_ROW(ISSUER, issuer)
FIELD_ROW(SERIAL, serial)
FIELD_ROW(SNI, sni)
FIELD_ROW(REASON, reason)       /* the product's words for what happened */
FIELD_ROW(CODE, code)
FIELD_ROW(COUNT, count)         /* failures that the line stands for */
FIELD_ROW(MINUTES, minutes)
FIELD_ROW(EVENT, event)         /* 1 to 7, with event = "byGroup" */
FIELD_ROW(OP, op)               /* "accept", "connect", "read", "write" */
FIELD_ROW(MECHANISM, mech)
FIELD_ROW(HOST, host)
FIELD_ROW(PROGRAM, program)
FIELD_ROW(PID, pid)             /* of the head, or of the message where it tells of another process */
FIELD_ROW(SESSION, session)
FIELD_ROW(LEVEL, level)
FIELD_ROW(CLOCK, clock)
FIELD_ROW(LOCAL, local)         /* our own domain in the line */
FIELD_ROW(PROTO, proto)
FIELD_ROW(METHOD, method)
FIELD_ROW(RC, rc)
FIELD_ROW(EXPIRED, expired)
FIELD_ROW(SELF_SIGNED, selfsigned)
FIELD_ROW(REVOKED, revoked)
FIELD_ROW(PAIRS, pairs)         /* name=value name="value" ...: each becomes a field of its own */
FIELD_ROW(TEXT, text)           /* anything else that is worth showing */
