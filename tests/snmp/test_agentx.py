"""What the subagent answers to search ranges (RFC 2741 section 7.2.3), asked by a master that is written here: snmpd
itself asks for few kinds of them."""
import socket
import struct

import pytest

import agents
from agents import ROOT

OPEN, CLOSE, REGISTER, GET, GET_NEXT, PING, RESPONSE = 1, 2, 3, 5, 6, 13, 18
NETWORK_ORDER = 0x10
NO_OBJECT, NO_INSTANCE, END_OF_VIEW = 128, 129, 130
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

    def accept(self):
        self.link, _ = self.listener.accept()
        self.link.settimeout(10)
        seen = []
        while REGISTER not in seen:
            seen.append(self.serve_one())

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

    def serve_one(self):
        """Says yes to what the subagent wants."""
        order, kind, flags, session, transaction, packet, _ = self.receive()
        self.link.sendall(struct.pack(order + "4B4I", 1, RESPONSE, flags & NETWORK_ORDER, 0, session or 7, transaction,
                                      packet, 8) + bytes(8))
        return kind

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
        self.link.close()
        self.listener.close()


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agentx")
    master = Master(folder / "agentx")
    serve = agents.Serve(folder, "--agentx", folder / "agentx", "--state", folder, mode="subagent", wait=False)
    master.accept()
    yield master
    master.close()
    serve.end()


OBJECTS = SECOND[:-1] + [1]


def test_next_goes_on_where_it_was(master):
    first, kind = master.next(OBJECTS)
    second, _ = master.next(first)
    assert first[:len(OBJECTS)] == OBJECTS and kind < NO_OBJECT
    assert second > first


def test_included_start_is_an_answer(master):
    first, kind = master.next(OBJECTS)
    assert master.next(first, include=True) == (first, kind)
    assert master.next(first[:-1], include=True) == (first, kind)


def test_end_is_not_reached(master):
    first, _ = master.next(OBJECTS)
    second, kind = master.next(first)
    assert master.next(first, second) == (first, END_OF_VIEW)
    assert master.next(first, second + [0]) == (second, kind)
    assert master.next(first, SECOND) == (second, kind)


def test_before_and_behind_our_objects(master):
    first, kind = master.next(OBJECTS)
    assert master.next([1, 3, 6, 1, 2, 1]) == (first, kind)
    assert master.next([1, 3, 6, 1, 2, 1], OBJECTS) == ([1, 3, 6, 1, 2, 1], END_OF_VIEW)
    assert master.next(SECOND) == (SECOND, END_OF_VIEW)
    last = SECOND[:-1] + [1, 4294967295]
    assert master.next(last) == (last, END_OF_VIEW)


def test_several_ranges_are_answered_in_their_order(master):
    first, kind = master.next(OBJECTS)
    second, second_kind = master.next(first)
    assert master.ask(GET_NEXT, (first, SECOND, False), (SECOND, [], False), (OBJECTS, SECOND, False)) == [
        (second, second_kind), (SECOND, END_OF_VIEW), (first, kind)]


def test_get(master):
    first, kind = master.next(OBJECTS)
    assert master.ask(GET, (first, [], False), (first + [0], [], False), (OBJECTS + [99], [], False)) == [
        (first, kind), (first + [0], NO_INSTANCE), (OBJECTS + [99], NO_OBJECT)]


def test_a_long_name_is_no_instance(master):
    first, _ = master.next(OBJECTS)
    long = first + [1] * (127 - len(first))
    assert master.ask(GET, (long, [], False)) == [(long, NO_INSTANCE)]
    assert master.next(long)[0] > first
