"""A master agent of AgentX (RFC 2741) that says and does what a test wants: snmpd itself asks for few kinds of ranges,
and it cannot be made to hang up."""
import socket
import struct

from agents import ROOT

OPEN, CLOSE, REGISTER, GET, GET_NEXT, NOTIFY, PING, RESPONSE = 1, 2, 3, 5, 6, 12, 13, 18
NETWORK_ORDER = 0x10
NO_OBJECT, NO_INSTANCE, END_OF_VIEW = 128, 129, 130
OBJECTS = [int(part) for part in ROOT.strip(".").split(".")] + [1]
SECOND = [int(part) for part in ROOT.strip(".").split(".")] + [2]  # behind all objects


def oid_octets(oid, include=False):
    return struct.pack(f">4B{len(oid)}I", len(oid), 0, include, 0, *oid)


def take_oid(order, octets):
    count, prefix = octets[0], octets[1]
    numbers = struct.unpack(f"{order}{count}I", octets[4:4 + 4 * count])
    return (1, 3, 6, 1, prefix, *numbers) if prefix else numbers, octets[4 + 4 * count:]


def take_value(order, kind, octets):
    """Cuts off the value; only that it can be skipped matters here."""
    if kind in (NO_OBJECT, NO_INSTANCE, END_OF_VIEW, 5):
        return octets
    if kind == 4:
        length = struct.unpack(order + "I", octets[:4])[0]
        return octets[4 + (length + 3) // 4 * 4:]
    if kind == 6:
        return take_oid(order, octets)[1]
    return octets[8 if kind == 70 else 4:]


class Master:
    """Takes the link of one subagent and lets it register."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.listener.settimeout(10)
        self.packet = 1000
        self.link = None

    def accept(self):
        self.link, _ = self.listener.accept()
        self.link.settimeout(10)
        self.serve_until(REGISTER)

    def receive(self):
        """Header and payload of one packet."""
        head = self._exactly(20)
        order = ">" if head[2] & NETWORK_ORDER else "<"
        _, kind, flags, _, session, transaction, packet, length = struct.unpack(order + "4B4I", head)
        return order, kind, flags, session, transaction, packet, self._exactly(length)

    def _exactly(self, count):
        octets = b""
        while len(octets) < count:
            more = self.link.recv(count - len(octets))
            assert more, "the subagent closed the link"
            octets += more
        return octets

    def serve_one(self, error=0):
        """Says yes to what the subagent wants, or no, and why."""
        order, kind, flags, session, transaction, packet, _ = self.receive()
        self.link.sendall(struct.pack(order + "4B4I", 1, RESPONSE, flags & NETWORK_ORDER, 0, session or 7, transaction,
                                      packet, 8) + struct.pack(order + "I2H", 0, error, 0))
        return kind

    def serve_until(self, wanted):
        while self.serve_one() != wanted:
            pass

    def close_session(self):
        """RFC 2741, 6.2.2, for the reason that the master goes down; the link stays."""
        self.packet += 1
        self.link.sendall(struct.pack(">4B4I", 1, CLOSE, NETWORK_ORDER, 0, 7, 0, self.packet, 4) + bytes([5, 0, 0, 0]))

    def hang_up(self):
        self.link.close()

    def ask(self, kind, *ranges):
        """[(name, type)] of the answer. A range is (start, end or [], include)."""
        self.packet += 1
        payload = b"".join(oid_octets(start, include) + oid_octets(end) for start, end, include in ranges)
        self.link.sendall(struct.pack(">4B4I", 1, kind, NETWORK_ORDER, 0, 7, 1, self.packet, len(payload)) + payload)
        while True:
            order, kind, flags, session, transaction, packet, octets = self.receive()
            if kind == RESPONSE and packet == self.packet:
                break
            self.link.sendall(struct.pack(order + "4B4I", 1, RESPONSE, flags & NETWORK_ORDER, 0, session, transaction,
                                          packet, 8) + bytes(8))
        assert (session, transaction) == (7, 1)
        assert octets[4:8] == bytes(4), "no error"
        octets, answers = octets[8:], []
        while octets:
            value_kind = struct.unpack(order + "H", octets[:2])[0]
            name, octets = take_oid(order, octets[4:])
            octets = take_value(order, value_kind, octets)
            answers.append((list(name), value_kind))
        return answers

    def next(self, start, end=(), include=False):
        [answer] = self.ask(GET_NEXT, (start, list(end), include))
        return answer

    def close(self):
        if self.link:
            self.link.close()
        self.listener.close()
