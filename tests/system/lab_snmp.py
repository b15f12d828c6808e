"""SNMPv2c GETs without a process for each (RFC 3416, BER of X.690), so that a test can ask often and see how long the
answers take.

    lab_snmp.py ADDRESS PORT NAME PID COUNT    asks the agent PID a hundred times a second until its standard input ends,
                                               COUNT times at least; then the seconds of each answer and how many did
                                               not come, as JSON: a process that nobody's threads delay. Time in which
                                               it or the agent's main thread was ready and had no processor is not
                                               counted: that is the machine's.
"""
import json
import os
import select
import socket
import sys
import time

from lab import LabError

ROOT = "1.3.6.1.4.1.8072.9999.9999.1"
INTEGER, OCTETS, NULL, OID, SEQUENCE, GET, RESPONSE = 2, 4, 5, 6, 0x30, 0xa0, 0xa2
NUMBERS = (INTEGER, 0x41, 0x42, 0x43, 0x46)  # Integer32, Counter32, Gauge32, TimeTicks, Counter64
ABSENT = (0x80, 0x81, 0x82)


def _tlv(kind, content):
    length = len(content)
    size = bytes([length]) if length < 128 else bytes([0x82]) + length.to_bytes(2, "big")
    return bytes([kind]) + size + content


def _number(value):
    return _tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _name(text):
    parts = [int(part) for part in text.strip(".").split(".")]
    content = bytes([parts[0] * 40 + parts[1]])
    for part in parts[2:]:
        septets = [part & 127]
        while part := part >> 7:
            septets.append(part & 127 | 128)
        content += bytes(reversed(septets))
    return _tlv(OID, content)


def _take(octets):
    """(kind, content, what is behind it)"""
    kind, length, at = octets[0], octets[1], 2
    if length & 128:
        at += length & 127
        length = int.from_bytes(octets[2:at], "big")
    return kind, octets[at:at + length], octets[at + length:]


class Manager:
    """Asks an agent on IPv4. .seconds: how long each answer took so far."""

    def __init__(self, address, port, community="public", timeout=2):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((address, port))
        self.timeout = timeout
        self.community = community.encode()
        self.request = 0
        self.seconds = []

    def close(self):
        self.socket.close()

    def get(self, *names):
        """A value for each name below the root of FEDWARDEN-MIB: int, bytes, or None where there is none. None in all
        when nobody answers in time."""
        self.request += 1
        bindings = b"".join(_tlv(SEQUENCE, _name(f"{ROOT}.{name}") + _tlv(NULL, b"")) for name in names)
        pdu = _tlv(GET, _number(self.request) + _number(0) + _number(0) + _tlv(SEQUENCE, bindings))
        message = _tlv(SEQUENCE, _number(1) + _tlv(OCTETS, self.community) + pdu)
        began = time.monotonic()
        try:
            self.socket.send(message)
            while True:
                left = began + self.timeout - time.monotonic()
                if left <= 0:
                    return None
                self.socket.settimeout(left)
                request, values = self._read(self.socket.recv(65536))
                if request == self.request:
                    break
        except (ConnectionRefusedError, TimeoutError):
            return None
        self.seconds.append(time.monotonic() - began)
        return values

    @staticmethod
    def _read(octets):
        _, content, _ = _take(octets)
        for _ in range(2):
            content = _take(content)[2]
        _, pdu, _ = _take(content)
        _, request, pdu = _take(pdu)
        _, status, pdu = _take(pdu)
        if int.from_bytes(status, "big"):
            raise LabError(f"error {int.from_bytes(status, 'big')} from the agent")
        _, bindings, _ = _take(_take(pdu)[2])
        values = []
        while bindings:
            _, binding, bindings = _take(bindings)
            kind, value, _ = _take(_take(binding)[2])
            values.append(int.from_bytes(value, "big", signed=kind == INTEGER) if kind in NUMBERS else
                          None if kind in ABSENT else bytes(value))
        return int.from_bytes(request, "big"), values


def without_processor(*pids):
    """Seconds in which the main threads of these processes have waited for a processor so far."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[1])
    return total / 1e9


def ask_until_told(address, port, name, pid, count):
    os.nice(-5)
    manager = Manager(address, int(port))
    seconds, unanswered = [], 0
    ended = False
    while not ended or len(seconds) + unanswered < int(count):
        if ended:
            time.sleep(0.01)
        else:
            ended = bool(select.select([sys.stdin], [], [], 0.01)[0])
        before = without_processor("self", pid)
        if manager.get(name) is None:
            unanswered += 1
        else:
            seconds.append(max(0, manager.seconds[-1] - (without_processor("self", pid) - before)))
    json.dump({"seconds": seconds, "unanswered": unanswered}, sys.stdout)


if __name__ == "__main__":
    ask_until_told(*sys.argv[1:])
