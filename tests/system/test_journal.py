"""What the daemon tells systemd's journal: entries with fields, as journald receives them at its own socket."""
import os
import pathlib
import socket
import struct
import subprocess
import sys

import pytest

import lab

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "demo"))
import partners  # noqa: E402

PROGRAM = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY / "build")) / "fedwarden"
FAR = 30

pytestmark = pytest.mark.usefixtures("loopback")


def entry(datagram):
    """The native protocol: NAME=text lines, or NAME, a length in 8 octets and the text."""
    fields = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, text = line.partition(b"=")
        if not equals:
            length = struct.unpack("<Q", rest[:8])[0]
            text, rest = rest[8:8 + length], rest[8 + length + 1:]
        fields[name.decode()] = text.decode()
        datagram = rest
    return fields


class Journal:
    """A socket in the place of journald's, for what is started in a mount namespace with it."""

    def __init__(self, folder):
        self.folder = folder / "journal"
        self.folder.mkdir()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.folder / "socket"))
        self.socket.setblocking(False)
        self.entries = []

    def read(self):
        while True:
            try:
                self.entries.append(entry(self.socket.recv(65536)))
            except BlockingIOError:
                return self.entries

    def wait(self, **wanted):
        def find():
            return next((e for e in self.read() if all(e.get(n) == t for n, t in wanted.items())), None)
        return lab.wait_until(find, FAR)


class UnderJournal(lab.Fedwarden):
    """Its standard error is the journal's stream, by the file that it is here."""

    def command(self):
        status = os.stat(self.log)
        mount = "mkdir -p /run/systemd && mount -t tmpfs none /run/systemd && mkdir /run/systemd/journal && " \
                f"mount --bind {self.folder.parent}/journal /run/systemd/journal"
        return ["unshare", "-m", "sh", "-c", f'{mount} && JOURNAL_STREAM={status.st_dev}:{status.st_ino} exec "$@"', "sh",
                *super().command()]


def test_alarms_are_entries_with_fields(folder):
    journal = Journal(folder)
    with partners.Partners(folder, PROGRAM) as scene:
        scene.servers.remove(scene.fedwarden)
        scene.fedwarden = scene.add(UnderJournal(folder, "fedwarden", PROGRAM, scene.configuration(), partners.ADDRESS,
                                                 scene.ports["snmp"]))
        scene.start()
        scene.wait_healthy(FAR)
        scene.break_port()
        raised = journal.wait(FEDWARDEN_PARTNER="woodgrove", FEDWARDEN_STATE="raised")
        assert raised, scene.fedwarden.tail()
        assert raised["FEDWARDEN_REASON"] == "tcpRefused" and raised["FEDWARDEN_EVENT"] == "connection"
        assert raised["FEDWARDEN_SEVERITY"] == "major" and raised["PRIORITY"] == "5"
        assert raised["FEDWARDEN_TARGET"] == "edge.woodgrove.example" and raised["FEDWARDEN_ADDRESS"] == "127.0.0.1"
        assert raised["SYSLOG_IDENTIFIER"] == "fedwarden"
        assert raised["MESSAGE"].startswith(f"alarm: {raised['FEDWARDEN_ALARM']} raised: woodgrove, connection, tcpRefused")
        assert "Resolution: " in raised["MESSAGE"] and "CODE_FILE" not in raised
        scene.repair_port()
        cleared = journal.wait(FEDWARDEN_PARTNER="woodgrove", FEDWARDEN_STATE="cleared")
        assert cleared["FEDWARDEN_ALARM"] == raised["FEDWARDEN_ALARM"]
        # the rest goes by the stream, with its priority
        assert any(line.startswith("<5>run: ") for line in scene.fedwarden.tail(50).splitlines())


def test_without_a_journal_it_is_a_line(folder):
    """JOURNAL_STREAM that is inherited from somebody else means nothing."""
    done = subprocess.run([PROGRAM, "run", "-c", folder / "none.conf"], capture_output=True, text=True, timeout=20, check=False,
                          env=lab.environment(JOURNAL_STREAM="1:2", **{n: v for n, v in os.environ.items()
                                                                       if n.endswith("SAN_OPTIONS")}))
    assert done.returncode == 1 and " error " in done.stderr and not done.stderr.startswith("<")
