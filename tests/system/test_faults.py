"""Every reason of include/base/reason_list.h is produced by a server, a line or a condition that behaves that way, and is
told exactly: CASES says which case proves which reason, and a reason without a case fails. What is healthy is called
healthy, and nothing else is. The servers are in lab_faults.py; everything is in a network namespace of its own."""
import ast
import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import tempfile

import pytest

import lab
import lab_dns
import lab_faults
import test_check
import test_inbox
import test_match
from test_check import HOST

FAR = 40  # seconds for what takes a few
REASONS = re.findall(r"^REASON_ROW\((\d+), \w+, (\w+),",
                     (lab.REPOSITORY / "include/base/reason_list.h").read_text(encoding="ascii"), re.M)

# Which case proves a reason, beside the partners of lab_faults.Faults (a reason may have several):
#   LINES   a line of a product's log, read by its preset
#   EVENTS  what only the edge itself can know: told by its scripts, counted by the daemon
#   DAEMON  a test below that brings the daemon into that state
#   OTHERS  a test of another file that asserts it
LINES = {
    "authBadCredentials": ("postfix", "Nov  4 09:11:01 edge postfix/submission/smtpd[27133]: warning: unknown[203.0.113.40]: "
                                      "SASL PLAIN authentication failed:"),
    "authUnknownUser": ("freeswitch", "2026-11-22 07:10:30.067885 [WARNING] sofia_reg.c:3210 Can't find user "
                                      "[1001@alpha.example] from 203.0.113.41"),
    "authNotPermitted": ("prosody", "Nov 22 05:28:37 c2s559117114190\tinfo\tFailed authentication attempt "
                                    "(malformed-request) for user ?@alpha.example from IP: 203.0.113.42"),
    "authSourceNotAllowed": ("freeswitch", "2026-11-22 07:10:48.108616 [WARNING] sofia.c:10679 IP 203.0.113.40 Rejected by "
                                           'acl "domains"'),
    "authRateLimited": ("opensips", "Nov 22 07:20:24 edge /usr/sbin/opensips[1204]: ERROR:pike:mark_node_and_check: "
                                    "PIKE - BLOCKing ip 203.0.113.41, node=0x7f3b2c0d9e10"),
    "authDialbackFailed": ("ejabberd", "2026-11-22 05:34:24.876885+00:00 [warning] <0.531.0>@ejabberd_s2s_in:"
                                       "handle_auth_failure/4:200 (tls|<0.531.0>) Failed inbound s2s dialback "
                                       "authentication beta.example -> alpha.example (::ffff:198.51.100.5): Verification "
                                       "failed: Host unknown (not-allowed)"),
    "authSaslExternalFailed": ("prosody", "Nov 22 05:29:17 alpha.example:saslauth\tinfo\tSASL EXTERNAL with theta.example "
                                          "failed: error<cancel:not-authorized:certificate not trusted here>"),
    "domUserUnknown": ("kamailio", " 1(2362) NOTICE: {1 1 MESSAGE c4da@198.51.100.5} <script>: federation: unknown user "
                                   "alice@alpha.example in MESSAGE from sip:carol@beta.example (IP:198.51.100.5:39196)"),
    "domSenderNotAllowed": ("prosody", "Nov 22 05:29:06 stanzarouter\twarn\tReceived a stanza claiming to be from "
                                       "otherbrand.example, over a stream authed for beta.example!"),
    "domRecipientNotLocal": ("prosody", "Nov 22 05:29:04 stanzarouter\twarn\tRemote server beta.example sent us a stanza for "
                                        "unsupported.example, closing stream"),
    "domOutboundUnsupported": ("kamailio", "Nov 22 05:45:08 edge /usr/sbin/kamailio[2126]: NOTICE: {1 2 INVITE 2692@10.10.0.22} "
                                           "<script>: federation: own user sip:bob@alpha.example tried unsupported domain "
                                           "banned.example.net (IP:10.10.0.22:41733)"),
    "domOutboundWrongRoute": ("kamailio", "Nov 22 05:45:08 edge /usr/sbin/kamailio[2126]: NOTICE: {1 2 INVITE 2692@10.10.0.22} "
                                          "<script>: fedevents: event=4 ip=10.10.0.22 reason=wrong_route "
                                          'domain="gamma.example" user="bob"'),
    "domBlockedPartner": ("postfix", "Nov  4 09:11:01 edge postfix/smtpd[27133]: NOQUEUE: reject: RCPT from "
                                     "mx.beta.example[198.51.100.5]: 554 5.7.1 <mx.beta.example[198.51.100.5]>: Client host "
                                     "rejected: Access denied; from=<carol@beta.example> to=<alice@alpha.example> "
                                     "proto=ESMTP helo=<mx.beta.example>"),
    "unclassified": ("kamailio", "Nov 22 05:45:08 edge /usr/sbin/kamailio[2126]: NOTICE: {1 2 INVITE 2692@10.10.0.22} "
                                 "<script>: fedevents: event=6 ip=198.51.100.5 reason=gremlins"),
}
EVENTS = {"authTimeSkew": "authSource", "authReplay": "authSource", "domPartnerOverLimit": "domainPartner",
          "domIdentityMismatch": "domainPartner"}
DAEMON = {"tlsReported": "test_reported_by_a_partner", "monProbeOverrun": "test_a_walk_that_outlives_its_interval",
          "monHistoryLost": "test_history_that_is_no_history", "monHistoryFailing": "test_history_without_room",
          "monMasterLost": "test_no_master", "localResource": "test_no_descriptors_left"}
OTHERS = {
    "dnsNameInvalid": "system/test_dns.py:test_names_that_cannot_be_asked",
    "tlsDaneMismatch": "system/test_dane.py:test_dane",
    "tlsNoCertificate": "system/test_listen.py:test_none",
    "monConfigInvalid": "system/test_events.py:test_monitor_itself",
    "monFeedUnreadable": "system/test_feeds.py:test_unreadable_log",
    "monFeedUnparsed": "system/test_feeds.py:test_lines_that_nobody_understands",
    "monTrustStoreMissing": "system/test_tls.py:test_local_problems",
    "monClockUnsynchronised": "scenario/clock-jumps.scn",
    "monTableFull": "scenario/sources-refused.scn",
    "monNetworkDown": "scenario/storm-network.scn",
    "monResolversDown": "scenario/storm-resolvers.scn",
}


def asserts(case, reason):
    """Whether that test asserts that reason: a scenario by a line of its own, a function by a constant inside it or in a
    table that it uses."""
    path, _, function = case.partition(":")
    text = (lab.REPOSITORY / "tests" / path).read_text(encoding="utf-8")
    if not function:
        return re.search(rf"^(?:at \S+ )?expect raised .*\b{reason}\b", text, re.M)
    body = ast.parse(text).body
    tests = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == function]
    used = {node.id for test in tests for node in ast.walk(test) if isinstance(node, ast.Name)}
    tables = [node for node in body if isinstance(node, ast.Assign) and used & {getattr(to, "id", "") for to in node.targets}]
    return tests and any(isinstance(node, ast.Constant) and isinstance(node.value, str) and
                         re.search(rf"\b{reason}\b", node.value) for part in tests + tables for node in ast.walk(part))


@pytest.fixture(scope="module")
def network():
    with lab_dns.private_network():
        test_check.block_addresses()
        yield


@pytest.fixture(scope="module")
def place():
    """A short path: that of a Unix socket has little room."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="fedwarden-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def faults(network, lonely, daemon, tmp_path_factory):
    folder = pathlib.Path(tmp_path_factory.mktemp("faults"))
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        yield lab_faults.Faults(folder, stack)


@pytest.fixture(scope="module")
def walks(faults):
    """What one run of fedwarden check finds, by partner."""
    done = test_check.fedwarden("-c", faults.write(), "--json", timeout=120)
    rows = {row["partner"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert list(rows) == list(faults.partners), done.stderr
    return rows


def test_every_reason_has_a_case(faults):
    """The table is complete over the list, and names nothing that is not in it."""
    names = {name for _, name in REASONS}
    walked = {reason for reason, _ in faults.expected.values()}
    cases = walked | {"none"} | set(LINES) | set(EVENTS) | set(DAEMON) | set(OTHERS)
    assert len(names) == len(REASONS) > 100
    assert sorted(names - cases) == [], "reasons without a case"
    assert sorted(cases - names) == [], "cases of reasons that are not in the list"
    missing = [(reason, case) for reason, case in OTHERS.items() if not asserts(case, reason)]
    assert not missing, "these tests assert no such reason"
    assert all(callable(globals().get(test)) for test in DAEMON.values())
    assert set(faults.partners) == set(faults.expected) | set(faults.healthy)


def test_each_fault_by_its_reason(faults, walks):
    wrong = {name: (expected, (walks[name]["reason"], walks[name]["stage"]), walks[name]["detail"])
             for name, expected in faults.expected.items()
             if expected != (walks[name]["reason"], walks[name]["stage"])}
    assert not wrong, "\n".join(f"{name}: expected, told, detail: {what}" for name, what in wrong.items())
    assert len(faults.expected) > 100


def test_nothing_is_wrongly_healthy_and_no_alarm_false(faults, walks):
    healthy = {name for name, row in walks.items() if row["health"] == "ok"}
    assert healthy == set(faults.healthy) and len(healthy) > 20


def test_each_tells_what_to_do(faults, walks):
    for name in faults.expected:
        row = walks[name]
        assert row["who"] != "none" and row["cause"] and row["resolution"] and row["detail"], row
        assert len(row["detail"]) < 256 and row["detail"].isprintable(), row


@pytest.mark.parametrize("reason", LINES)
def test_a_line_by_its_reason(place, reason):
    conf = place / "edge.conf"
    conf.write_text(test_match.CONFIGURATION % 15061, encoding="ascii")
    preset, line = LINES[reason]
    found = test_match.hits("--preset", preset, "-c", conf, "-", text=line.encode() + b"\n")
    assert [hit["reason"] for hit in found] == [reason], line


# The daemon. Those that take time begin before the partners are walked.

OVERRUN = """collectors = {{ first_spread = 1; budgets = {{ tls = 1500; }}; }};
{text}"""
SLOW = """partners = ( {{ name = "slow"; domain = "slow.example"; protocol = "tls"; host = "slow.example"; interval = 1;
                         address = "{address}"; port = {port}; }}, """


class Daemon(test_inbox.Daemon):
    """With a partner whose walks take longer than its interval, once `mute` is a server that says nothing."""

    mute = 0
    history = b""

    def text(self, enabled="true"):
        text = super().text(enabled)
        if self.mute:
            text = text.replace("partners = ( ", SLOW.format(address=HOST, port=self.mute))
            text = OVERRUN.format(text=text)
        return text

    def prepare(self):
        super().prepare()
        self.configuration = self.text()
        self.write("fedwarden.conf", self.configuration)
        if self.history:
            (self.folder / "state" / "history.db").write_bytes(self.history)

    def counted(self, reason):
        number = next(number for number, name in REASONS if name == reason)
        return int(lab.snmp(self.top, "snmpget", HOST, self.snmp_port, f"FEDWARDEN-MIB::fedwReasonCount.{number}",
                            options=("-OQUve",)))

    def wait_counted(self, reason):
        assert lab.wait_until(lambda: self.counted(reason) > 0, FAR, 0.2), self.tail(40)


def make_daemon(folder):
    folder.mkdir()
    return Daemon(folder)


@pytest.fixture(scope="module")
def daemon(network, place):
    mute = test_check.Peer(test_check.mute)
    server = make_daemon(place / "daemon")
    server.mute, server.history = mute.port, b"SQLite format 3\0" + b"but what follows is none" * 100
    try:
        yield server.start()
    finally:
        server.stop()
        mute.close()


@pytest.fixture(scope="module")
def lonely(network, place):
    """A subagent without its master."""
    text = f"""agent = {{ mode = "subagent"; agentx_socket = "{place}/nobody"; state_dir = "{place}/lonely/state"; }};
partners = ( );
"""
    server = lab.Fedwarden(place, "lonely", test_check.PROGRAM, text)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.mark.parametrize("reason", EVENTS)
def test_an_event_that_only_the_edge_can_know(daemon, reason):
    assert daemon.event(EVENTS[reason], "--partner", "contoso", "--reason", reason, "--address", "203.0.113.9")[0] == 0
    daemon.wait_counted(reason)


def test_reported_by_a_partner(daemon):
    (daemon.top / "reports" / "a.json").write_bytes(test_inbox.report(3, "validation-failure"))
    daemon.wait_counted("tlsReported")


def test_history_that_is_no_history(daemon):
    daemon.wait_counted("monHistoryLost")


def test_a_walk_that_outlives_its_interval(daemon):
    daemon.wait_counted("monProbeOverrun")
    assert daemon.counted("tlsHandshakeTimeout") > 0, "its verdict stands beside it"


def test_history_without_room(network, place):
    server = make_daemon(place / "full")
    (server.folder / "state").mkdir(parents=True)
    lab.run("mount", "-t", "tmpfs", "-o", "size=1m", "none", server.folder / "state")
    try:
        server.start()
        assert server.counted("monHistoryFailing") == 0
        filler = server.folder / "state" / "filler"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

        def told():
            server.event("authSource", "--address", "203.0.113.9", "--timeout", "1")
            return server.counted("monHistoryFailing") > 0
        assert lab.wait_until(told, FAR, 0.2), server.tail(40)
    finally:
        server.stop()
        lab.run("umount", server.folder / "state")


def test_no_descriptors_left(faults):
    """More walks at once than the process may have sockets."""
    names = [f"hole{number}" for number in range(40)]
    before = dict(faults.partners)
    for name in names:
        faults.add(name, address="127.0.0.2", port=5061)
    path = faults.write("holes.conf", partners=names)
    faults.partners.clear()
    faults.partners.update(before)

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    done = subprocess.run([test_check.PROGRAM, "check", "-c", path, "--json"], capture_output=True, text=True, timeout=60,
                          check=False, env=test_check.environment(), preexec_fn=few)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    reasons = {row["reason"] for row in rows}
    assert len(rows) == 40 and reasons == {"localResource", "tcpTimeout"}, (reasons, done.stderr)
    assert all(row["who"] == "us" for row in rows if row["reason"] == "localResource"), rows


def test_no_master(lonely):
    """Half a minute after the start; most of it passes while the other tests run."""
    def told():
        done = subprocess.run([test_check.PROGRAM, "history", "-c", lonely.conf, "--json"], capture_output=True, text=True,
                              timeout=30, check=False, env=test_check.environment())
        return [json.loads(line) for line in done.stdout.splitlines()]
    rows = lab.wait_until(told, FAR, 0.5)
    assert [row["reason"] for row in rows] == ["monMasterLost"], lonely.tail()


@pytest.fixture(scope="module")
def ended(network, tmp_path_factory):
    """What one run finds of the peers that never come to an end."""
    folder = pathlib.Path(tmp_path_factory.mktemp("endless"))
    with contextlib.ExitStack() as stack:
        made = lab_faults.Endless(folder, stack)
        done = test_check.fedwarden("-c", made.write(**lab_faults.BUDGETS), "--json")
        yield made, {row["partner"]: row for row in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", [case[0] for case in (*lab_faults.endless(None), *lab_faults.endless_proxies())])
def test_no_hang(ended, name):
    """Silence at every stage, an octet a second, floods: it is over in time, by its reason, and the others are walked."""
    made, rows = ended
    row = rows[name]
    assert (row["reason"], row["stage"]) == made.expected[name], row
    assert row["duration_ms"] <= lab_faults.BUDGETS["walk"] + 1000, row
    for step in row["steps"]:
        assert step["ms"] <= lab_faults.BUDGETS.get(step["stage"], 0) + 1000, step
