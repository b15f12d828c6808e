#ifndef FEDWARDEN_COLLECT_INBOX_H
#define FEDWARDEN_COLLECT_INBOX_H

/*
 * Events that an edge pushes: a Unix socket (SOCK_SEQPACKET) on which each message is one event as a JSON object
 * (RFC 8259), and each is answered by one message: {"ok":true} once the event is stored (queue_stored), or
 * {"ok":false,"field":"reason","error":"..."}. So what was answered survives a crash, and while the disk is slow the
 * answer waits. Answers come in the order of the messages; a sender may write up to INBOX_UNANSWERED ahead of them, then
 * no more is read of it until there are answers. An event without an answer, since the connection or the daemon ended,
 * may have been counted or not: who sends it again has it counted at least once.
 *
 *   event    which one, by name or number, 1 to 7; needed
 *   reason   which one, by name or number; default: the most general one of the event
 *   partner  its name in the configuration
 *   domain   federated domain or peer that it is about
 *   address  IPv4 or IPv6 of the remote; port: its port, 1 to 65535
 *   target   what was asked for: the domain of the recipient, the name of a query
 *   user     who was tried
 *   subject, issuer, serial  of the certificate that was shown; serial in hexadecimal, colons are allowed
 *   count    failures that this stands for, 1 to 1000000; default 1
 *   detail   anything else that helps people
 *
 * One of partner, domain, address and target must be there. Texts that are too long are cut, since it is attackers who
 * choose them; names and addresses that are none are errors.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "base/observation.h"
#include "base/queue.h"

#define INBOX_MESSAGE_MAX 16384 /* octets of a message; a longer one is refused */
#define INBOX_ANSWER_MAX  640   /* octets of an answer, with a terminator */
#define INBOX_COUNT_MAX   1000000
#define INBOX_UNANSWERED  256 /* messages of one connection */

struct inbox_error {
    char field[32]; /* the member, "" the message as a whole */
    char text[256]; /* what is wrong with it and what to do; printable */
};

/*
 * inbox_parse(data, length, conf, observation, error): one message, any octets. The observation is complete but for its
 * times. False with an error. Any thread.
 */
bool inbox_parse(const char *data, size_t length, const struct conf *conf, struct observation *observation,
                 struct inbox_error *error);

/* inbox_answer(error, out): the answer, terminated, to `out` of INBOX_ANSWER_MAX octets; NULL: taken. Returns its length. */
size_t inbox_answer(const struct inbox_error *error, char *out);

struct inbox;

/*
 * inbox_start(conf, queue, before): opens the socket and starts the thread. `before` (NULL: none) is one that was
 * stopped; it is used up: when path, mode and group are the same, its socket and its connections go on, so that a reload
 * loses no sender. A socket that was left behind is replaced; one on which somebody listens is not. Without a path it
 * does nothing and can be stopped. `conf` must outlive inbox_stop, `queue` inbox_free; it is always the same. Main thread.
 * inbox_problem(inbox): why no events are taken, as was logged: the socket or the thread could not be had; "" none.
 */
struct inbox *inbox_start(const struct conf *conf, struct queue *queue, struct inbox *before);
const char *inbox_problem(const struct inbox *inbox);

/*
 * inbox_stop(inbox): ends the thread, within milliseconds. What was taken and is not stored yet is answered after the next
 * inbox_start, or by inbox_free if it is stored by then. Messages that were not read yet stay in their sockets.
 */
void inbox_stop(struct inbox *inbox);
/* inbox_free(inbox): after inbox_stop; closes everything and removes the socket. NULL is allowed for both. */
void inbox_free(struct inbox *inbox);

#endif
