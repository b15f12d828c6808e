"""Logs through the running daemon: what an edge writes is counted once, over SNMP, and notified and cleared, whatever is
done to the log or to the daemon meanwhile. Everything runs in a network namespace of its own."""
import os
import pathlib
import subprocess
import threading
import time

import pytest

import lab

PROGRAM = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY / "build")) / "fedwarden"
JOURNAL_REMOTE = pathlib.Path("/usr/lib/systemd/systemd-journal-remote")
ADDRESS = "127.0.0.1"
ATTACKER = "203.0.113.40"
FAR = 20  # seconds for what takes one or two, so that a busy machine fails no test
WINDOW = 6

CONFIGURATION = """log_level = "info";
agent = {{ mode = "standalone"; listen = "udp:{address}:{snmp}"; access_file = "{folder}/snmp.conf";
           state_dir = "{folder}/fedwarden/state"; }};
thresholds = {{ authSource = {{ count = 5; window = {window}; clear = 0; }}; }};
edge = {{ networks = ( "10.10.0.0/16" ); domains = ( "alpha.example" ); }};
feeds = ( {feeds} );
"""
FILE_FEED = '{{ name = "mail"; preset = "postfix"; file = "{folder}/mail.log"; }}'


class Daemon(lab.Fedwarden):
    """fedwarden with the presets of the sources; `before` stands before its command."""

    before = ()
    more = {}

    def command(self):
        return [*self.before, *super().command()]

    def environment(self):
        return {**super().environment(), "FEDWARDEN_PRESETS": str(lab.REPOSITORY / "conf" / "presets"), **self.more}


class Edge(lab.Lab):
    """A daemon with feeds, and who receives its notifications."""

    def __init__(self, folder, feeds=FILE_FEED):
        super().__init__(folder)
        self.log = self.folder / "mail.log"
        self.ports = {"snmp": lab.free_port(), "traps": lab.free_port()}
        (self.folder / "snmp.conf").write_text(
            f"rocommunity public {ADDRESS}\ntrap2sink {ADDRESS}:{self.ports['traps']} public\n", encoding="ascii")
        self.snmptrapd = self.add(lab.SnmpTrapd(self.folder, "snmptrapd", ADDRESS, self.ports["traps"]))
        self.fedwarden = self.add(Daemon(self.folder, "fedwarden", PROGRAM, self.configuration(feeds), ADDRESS,
                                         self.ports["snmp"]))

    def configuration(self, feeds=FILE_FEED):
        return CONFIGURATION.format(address=ADDRESS, folder=self.folder, window=WINDOW, snmp=self.ports["snmp"],
                                    feeds=feeds.format(folder=self.folder))

    def scalar(self, name):
        return int(lab.snmp(self.folder, "snmpget", ADDRESS, self.ports["snmp"], f"FEDWARDEN-MIB::{name}.0",
                            options=("-OQUve",)))

    def count(self, event="authSource"):
        text = lab.snmp(self.folder, "snmptable", ADDRESS, self.ports["snmp"], "FEDWARDEN-MIB::fedwEventTable",
                        options=("-OU", "-Cb", "-Cf", "\t"))
        lines = [line.split("\t") for line in text.splitlines() if "\t" in line]
        rows = [dict(zip(lines[0], (cell.strip('"') for cell in line))) for line in lines[1:]]
        return next(int(row["Count"]) for row in rows if row["Name"] == event)

    def wait_count(self, number):
        assert lab.wait_until(lambda: self.count() >= number, FAR), self.fedwarden.tail()
        assert self.count() == number, "each once"

    def wait_raised(self, reason, after=0):
        raised = self.snmptrapd.wait(lambda n: n.type.endswith("Raised") and n["fedwAlarmReason"] == reason, FAR, after)
        assert raised, self.fedwarden.tail() + self.snmptrapd.tail()
        return raised

    def wait_cleared(self, raised, seconds=FAR):
        cleared = self.snmptrapd.wait(
            lambda n: n.type.endswith("Cleared") and n["fedwAlarmId"] == raised["fedwAlarmId"], seconds)
        assert cleared, self.fedwarden.tail()
        assert cleared["fedwAlarmState"] == "cleared"
        return cleared


def guess(number, address=ATTACKER):
    """A line that Postfix writes of a wrong password."""
    return (f"Nov 22 05:41:46 sip-edge1 postfix/smtpd[{1000 + number % 30000}]: warning: unknown[{address}]: SASL PLAIN "
            f"authentication failed: (reason unavailable), sasl_username=user{number}@alpha.example\n")


def write(path, lines):
    with open(path, "a", encoding="utf-8") as log:
        log.writelines(lines)


pytestmark = pytest.mark.usefixtures("loopback")


def test_lines_are_counted_notified_and_cleared(folder):
    with Edge(folder) as edge:
        write(edge.log, [guess(n) for n in range(50)])  # of before: not read
        edge.start()
        assert edge.count() == 0
        write(edge.log, [guess(n) for n in range(4)])
        edge.wait_count(4)
        assert not [n for n in edge.snmptrapd.read() if n.type.endswith("Raised")], "below the threshold"
        edge.log.rename(folder / "mail.log.1")
        write(folder / "mail.log.1", [guess(4)])  # who has it open goes on in it
        write(edge.log, [guess(n) for n in range(5, 12)])
        raised = edge.wait_raised("authBadCredentials")
        assert raised.type == "fedwAuthSourceRaised"
        assert raised["fedwAlarmAddress"] == ATTACKER
        assert raised["fedwAlarmWindowSeconds"] == str(WINDOW)
        assert raised["fedwAlarmCause"] and raised["fedwAlarmResolution"]
        edge.wait_count(12)
        cleared = edge.wait_cleared(raised, FAR + 2 * WINDOW)
        assert cleared["fedwAlarmAddress"] == ATTACKER
        assert edge.count() == 12


def test_reload_loses_and_doubles_no_line(folder):
    """Lines are written and the log is rotated while the configuration is read again and again."""
    with Edge(folder) as edge:
        write(edge.log, ["of before\n"])
        edge.start()
        ended = threading.Event()
        written = 0

        def work():
            nonlocal written
            while not ended.is_set():
                write(edge.log, [guess(n) for n in range(written, written + 10)])
                written += 10
                if written % 200 == 0:
                    edge.log.rename(folder / f"mail.log.{written}")
                time.sleep(0.01)
        writer = threading.Thread(target=work)
        writer.start()
        try:
            for number in range(6):
                edge.fedwarden.reload(edge.configuration() + f"defaults = {{ interval = {100 + number}; }};\n")
                assert lab.wait_until(lambda seen=edge.count(): edge.count() > seen, FAR), "it goes on"
        finally:
            ended.set()
            writer.join()
        edge.wait_count(written)


def test_unreadable_log(folder):
    """Without the right to read what belongs to others, root is a user as any."""
    with Edge(folder) as edge:
        write(edge.log, [guess(n) for n in range(3)])
        os.chown(edge.log, 65534, 65534)
        edge.log.chmod(0o600)
        edge.fedwarden.before = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
        edge.start()
        raised = edge.wait_raised("monFeedUnreadable")
        assert raised.type == "fedwMonitorSelfRaised"
        assert raised["fedwAlarmDetail"].startswith(f"mail: {edge.log}: Permission denied")
        write(edge.log, [guess(n) for n in range(3, 5)])
        edge.log.chmod(0o644)
        edge.wait_cleared(raised)
        edge.wait_count(2)  # those since the start


def test_log_that_does_not_exist_yet(folder):
    with Edge(folder) as edge:
        edge.start()
        assert f"{edge.log} does not exist; it is waited for" in edge.fedwarden.tail()
        write(edge.log, [guess(n) for n in range(3)])
        edge.wait_count(3)
        assert not edge.snmptrapd.read(), "no alarm"


def test_lines_that_nobody_understands(folder):
    with Edge(folder) as edge:
        edge.start()
        write(edge.log, ["no way to begin a line\n"] * 300)
        raised = edge.wait_raised("monFeedUnparsed")
        assert raised["fedwAlarmDetail"].startswith("mail: ")
        assert "lines begin in no way that the preset" in raised["fedwAlarmDetail"]
        write(edge.log, ["Nov 22 05:41:46 sip-edge1 postfix/smtpd[1]: connect from unknown[192.0.2.1]\n"] * 400)
        edge.wait_cleared(raised)
        assert lab.wait_until(lambda: edge.scalar("fedwAgentFeedLines") == 700, FAR)
        assert edge.scalar("fedwAgentFeedLinesUnparsed") == 300
        edge.fedwarden.reload(edge.configuration())
        assert edge.scalar("fedwAgentFeedLines") == 700, "a reload keeps it"


def test_bad_input(folder):
    """Lines that nobody should write, and a pattern that would look for ever: what is good among them counts."""
    preset = folder / "own.conf"
    preset.write_text("product = \"own\";\nheads = ({ name = \"own\"; pattern = '^> '; });\nrules = (\n"
                      "{ name = \"bomb\"; event = \"dns\"; reason = \"dnsOther\"; pattern = '^(?:a+)+$'; },\n"
                      "{ name = \"login\"; event = \"authSource\"; reason = \"authBadCredentials\";"
                      " pattern = '^login of (?<user>.*) failed from (?<ip>\\S+)$'; });\n", encoding="utf-8")
    good = b"> login of %b failed from 203.0.113.40\n"
    lines = [b"> " + b"x" * 1000000 + b"\n", b"\xff\xfe> \x80\xc0\n", b"> " + b"a" * 9000 + b"b\n", b"\0\0\0\n", b"\n",
             good % b"b\xffo\0b", good % (b"a" * 8000)]
    with Edge(folder, FILE_FEED.replace("postfix", str(preset))) as edge:
        write(edge.log, ["of before\n"])
        edge.start()
        for turn in range(1, 4):
            with open(edge.log, "ab") as log:
                log.writelines(lines)
            edge.wait_count(2 * turn)
        raised = edge.wait_raised("monFeedUnparsed")
        assert "rule own/bomb hits its limits" in raised["fedwAlarmDetail"]
        assert lab.wait_until(lambda: edge.scalar("fedwAgentFeedLines") == 3 * len(lines), FAR)
        raised = edge.wait_raised("authBadCredentials")
        assert raised["fedwAlarmAddress"] == ATTACKER and r"b\xffo\x00b" in raised["fedwAlarmDetail"]


def test_preset_with_a_mistake(folder):
    mine = folder / "mine.conf"
    mine.write_text("product = \"mine\";\nheads = (\"syslog\");\nrules = (\n"
                    "{ name = \"a\"; event = \"authSource\"; reason = \"authBadCredentials\"; pattern = '^(a'; } );\n",
                    encoding="utf-8")
    wrong = FILE_FEED.replace("postfix", str(mine))
    with Edge(folder) as edge:
        good = edge.fedwarden.configuration
        edge.start()
        edge.fedwarden.reload(edge.configuration(wrong))
        raised = edge.wait_raised("monConfigInvalid")
        assert "mine.conf:4: " in raised["fedwAlarmDetail"]
        write(edge.log, [guess(1)])
        edge.wait_count(1)  # the feed of before goes on
        edge.fedwarden.reload(good)
        edge.wait_cleared(raised)
        edge.fedwarden.stop()
        edge.fedwarden.configuration = edge.configuration(wrong)
        with pytest.raises(lab.LabError):
            edge.fedwarden.start()
        assert f"{mine}:4: " in edge.fedwarden.tail()


@pytest.mark.skipif(not JOURNAL_REMOTE.exists(), reason="systemd-journal-remote is not installed: no journal to write")
def test_journal(folder):
    """A journal of its own, written as systemd writes what other hosts send."""
    journal = folder / "journal"
    journal.mkdir()
    with Edge(folder, '{{ name = "mail"; preset = "postfix"; journal = true; unit = "postfix@-"; '
              'identifier = "postfix/smtpd"; priority = 4; }}') as edge:
        with subprocess.Popen([JOURNAL_REMOTE, "-o", journal / "remote.journal", "-"], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as writer:
            sequence = 0

            def log(message, unit="postfix@-.service", priority=4, identifier="postfix/smtpd"):
                nonlocal sequence
                sequence += 1
                fields = {"__REALTIME_TIMESTAMP": str(time.time_ns() // 1000), "_BOOT_ID": "1" * 32,
                          "__MONOTONIC_TIMESTAMP": str(1000000 + sequence), "_MACHINE_ID": "2" * 32,
                          "_HOSTNAME": "sip-edge1", "_SYSTEMD_UNIT": unit, "PRIORITY": str(priority),
                          "SYSLOG_IDENTIFIER": identifier, "_PID": "1400"}
                text = b"".join(f"{name}={value}\n".encode() for name, value in fields.items())
                octets = message.encode()
                text += b"MESSAGE\n" + len(octets).to_bytes(8, "little") + octets + b"\n\n"
                writer.stdin.write(text)
                writer.stdin.flush()

            def failed(number):
                return guess(number).split("]: ", 1)[1].rstrip("\n")
            log(failed(0))
            assert lab.wait_until((journal / "remote.journal").exists, FAR)
            edge.fedwarden.more = {"FEDWARDEN_JOURNAL": str(journal)}
            assert lab.wait_until(lambda: b"user0" in (journal / "remote.journal").read_bytes(), FAR)
            edge.start()
            for number in range(1, 8):
                log(failed(number))
            log(failed(8), unit="other.service")
            log(failed(9), priority=6)
            log(failed(11), identifier="postfix/submission/smtpd")
            log("connect from unknown[203.0.113.41]\n" + guess(10, "203.0.113.41"))  # a forged line
            raised = edge.wait_raised("authBadCredentials")
            assert raised["fedwAlarmAddress"] == ATTACKER
            edge.wait_count(7)

            def work():
                for number in range(400):
                    log(failed(number))
                    time.sleep(0.005)
            worker = threading.Thread(target=work)
            worker.start()
            while worker.is_alive():
                edge.fedwarden.reload(edge.fedwarden.configuration)
            worker.join()
            edge.wait_count(407)
            writer.stdin.close()


def test_a_forged_sender_blames_no_partner(folder):
    """Anybody may write a partner's domain: where the source decides what a line means, its address tells who it was."""
    def rejection(address):
        return (f"Nov 22 05:41:46 sip-edge1 postfix/smtpd[1000]: NOQUEUE: reject: RCPT from unknown[{address}]: 553 5.7.1 "
                "<carol@beta.example>: Sender address rejected: not logged in; from=<carol@beta.example> "
                "to=<alice@alpha.example> proto=ESMTP helo=<x>\n")
    with Edge(folder) as edge:
        edge.fedwarden.configuration += ('partners = ( { name = "beta"; domain = "beta.example"; enabled = true; '
                                         'networks = ( "198.51.100.5" ); interval = 86400; } );\n')
        write(edge.log, ["of before\n"])
        edge.start()
        write(edge.log, [rejection(ATTACKER), rejection(ATTACKER), rejection("198.51.100.5"), guess(0)])
        edge.wait_count(1)
        assert edge.count("domainPartner") == 1
