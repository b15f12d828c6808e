"""Notifications: what is in them, their size, their order, their pace; none lost silently."""
import re
import signal
import time

import pytest

import agents
from agents import ROOT, Datagrams, Serve, Snmpd, Trapd, free_port, wait_until

EVENTS = agents.event_rows()
LONG_DETAIL = "Hex-STRING: " + " ".join(["C3 A4"] * 64)  # 128 octets, cut between characters
# 199 octets: another character would make it 201
LONG_RESOLUTION = "Hex-STRING: " + (f"Ask {'n' * 32} to publish the record, or correct the name here: ".encode() +
                                    "ä".encode() * 55 + b"...").hex(" ").upper()


def ids(notifications):
    """fedwAlarmTotalCount of each: serve's bursts count it from 1."""
    return [int(value.split()[-1]) for pairs in notifications for name, value in pairs
            if name.startswith(f"{ROOT}.1.11.1.14.")]


def sequences(notifications):
    """fedwNotificationSequence of each."""
    return [int(pairs[-2][1].split()[-1]) for pairs in notifications if pairs[-2][0] == f"{ROOT}.1.1.25.0"]


@pytest.mark.parametrize("role", ["subagent", "standalone"])
def test_each_notification_has_its_18_objects(started, tmp_path, role):
    trapd = Trapd(tmp_path / "trapd", free_port())
    datagrams = Datagrams()
    serve, _ = started(role, f"trap2sink 127.0.0.1:{trapd.port} public\ntrap2sink 127.0.0.1:{datagrams.port} public\n",
                       serve_arguments=("--rate", 0))
    try:
        datagrams.socket.settimeout(2)
        sent = [(row, raised) for row in EVENTS for raised in (True, False)]
        for (_, label, _, _), raised in [((r[0], r[2], r[1], r[3]), raised) for r, raised in sent]:
            serve.command(f"notify {label} {'raised' if raised else 'cleared'}")
        assert wait_until(lambda: len(trapd.received()) == 20, 10), trapd.received()
        reason = next(row for row in agents.reason_rows() if row[0] == 101)
        for (number, _, _, _), raised, pairs in [(row, raised, pairs) for (row, raised), pairs
                                                 in zip(sent, trapd.received())]:
            values = [4000000000, 2 if raised else 1, number, 4 if raised else 1, 101, "n" * 32,
                      ("ttttttttt." * 7)[:64], 2, None, 65535, 4000000000, 900, 4294967295, None, reason[5], None]
            printed = [f"Gauge32: {v}" if c in (2, 11, 12, 13, 14) else f'STRING: "{v}"' if isinstance(v, str) else
                       f"INTEGER: {v}" for c, v in enumerate(values, start=2)]
            printed[8] = "Hex-STRING: 20 01 0D B8 00 00 00 00 00 00 00 00 00 00 00 10"
            printed[13], printed[15] = LONG_DETAIL, LONG_RESOLUTION
            assert pairs[0][0] == ".1.3.6.1.2.1.1.3.0"
            assert pairs[1] == (".1.3.6.1.6.3.1.1.4.1.0", f"OID: {ROOT}.0.{2 * number - raised}")
            assert pairs[2:18] == [(f"{ROOT}.1.11.1.{column}.4000000000", value)
                                   for column, value in enumerate(printed, start=2)]
            assert pairs[19] == (f"{ROOT}.1.1.26.0", 'STRING: "site 1"') and len(pairs) == 20
        assert sequences(trapd.received()) == list(range(1, 21))
        sizes = []
        while len(sizes) < 20:
            datagram = datagrams.next()
            if b"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" in datagram:
                sizes.append(len(datagram))
        print("octets of a notification:", max(sizes))
        assert max(sizes) <= 1140
    finally:
        trapd.end()


EDGE = {  # number: event, reason, partner, target, detail
    2: ("authSource", 402, "", "203.0.113.77", "user mallory (edge/test)"),
    3: ("domainPartner", 501, "fabrikam", "beta.example",
        "unknown user: user mallory to beta.example from 203.0.113.77 (edge/test)"),
    4: ("domainLocal", 501, "", "beta.example",
        "unknown user: user mallory to beta.example from 203.0.113.77 (edge/test)"),
    5: ("invalidCert", 304, "", "203.0.113.77",
        "serial 0a1b2c, issuer CN=Issuing CA 9, subject CN=sip.nowhere.example; tlsExpired 100 (edge/test)"),
}


@pytest.mark.parametrize("role", ["subagent", "standalone"])
def test_what_the_edge_sees_raises_and_clears(started, tmp_path, role):
    """From the ledger: failures at the threshold, then two quiet windows."""
    trapd = Trapd(tmp_path / "trapd", free_port())
    serve, _ = started(role, f"trap2sink 127.0.0.1:{trapd.port} public\n", serve_arguments=("--rate", 0))

    def columns(pairs):
        prefix = f"{ROOT}.1.11.1."
        return {int(name[len(prefix):].split(".")[0]): value for name, value in pairs if name.startswith(prefix)}

    def named(number, raised):
        return [columns(pairs) for pairs in trapd.received()
                if pairs[1][1] == f"OID: {ROOT}.0.{2 * number - raised}"]

    try:
        for number, (event, reason, partner, target, detail) in EDGE.items():
            serve.command(f"edge {event}")
            assert wait_until(lambda n=number: named(n, True), 5), trapd.received()
            found = named(number, True)[0]
            assert (found[3], found[4], found[6]) == ("INTEGER: 2", f"INTEGER: {number}", f"INTEGER: {reason}")
            assert (found[7], found[8]) == (f'STRING: "{partner}"' if partner else '""', f'STRING: "{target}"')
            assert (found[9], found[10]) == ("INTEGER: 1", "Hex-STRING: CB 00 71 4D")
            assert (found[12], found[14]) == ("Gauge32: 100", "Gauge32: 100")
            assert found[15] == f'STRING: "{detail}"'
        serve.command("quiet")
        for number in EDGE:
            assert wait_until(lambda n=number: any(c[10] == "Hex-STRING: CB 00 71 4D" for c in named(n, False)), 5)
            cleared = [c for c in named(number, False) if c[10] == "Hex-STRING: CB 00 71 4D"][0]
            assert cleared[2] == named(number, True)[0][2]
            assert (cleared[3], cleared[5]) == ("INTEGER: 1", "INTEGER: 1")
    finally:
        trapd.end()


@pytest.mark.parametrize("role", ["subagent", "standalone"])
def test_version_1_targets_get_them_too(started, tmp_path, role):
    """A Counter64 could not be sent there."""
    trapd = Trapd(tmp_path / "trapd", free_port())
    serve, _ = started(role, f"trapsink 127.0.0.1:{trapd.port} public\n")
    try:
        serve.command("notify dns raised")
        assert wait_until(lambda: any(f"{ROOT}.1.11.1.14.4000000000" == name for pairs in trapd.received(False)
                                      for name, _ in pairs), 5), trapd.received(False)
    finally:
        trapd.end()


@pytest.mark.parametrize("role", ["subagent", "standalone"])
def test_version_3_informs(started, tmp_path, role):
    port = free_port()
    trapd_folder = tmp_path / "trapd"
    trapd_folder.mkdir()
    (trapd_folder / "snmptrapd.conf").write_text("createUser carol SHA authentication AES confidential\n")
    trapd = Trapd(trapd_folder, port)
    trapd.end()
    (trapd_folder / "snmptrapd.test.conf").write_text(
        "createUser carol SHA authentication AES confidential\nauthUser log carol\n")
    trapd = agents.Process(trapd_folder, "snmptrapd",
                           ["/usr/sbin/snmptrapd", "-f", "-n", "-On", "-C", "-c",
                            str(trapd_folder / "snmptrapd.test.conf"), "-F", "BEGIN\t%v\n", "-Lf",
                            str(trapd_folder / "traps"), f"udp:127.0.0.1:{port}"])
    received = Trapd.received
    serve, _ = started(role, "trapsess -Ci -v3 -u carol -l authPriv -a SHA -A authentication -x AES -X confidential "
                             f"udp:127.0.0.1:{port}\n")
    try:
        serve.command("notify dns raised")
        assert wait_until(lambda: len(received(trapd)) == 1, 8), trapd.text()
    finally:
        trapd.end()


def longest_get(agent, seconds, until):
    longest = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        asked = time.monotonic()
        agents.get(agent, [".1.3.6.1.2.1.1.3.0"], timeout=3)
        longest = max(longest, time.monotonic() - asked)
    return longest


@pytest.mark.parametrize("role", ["subagent", "standalone"])
def test_burst_of_5000_at_the_default_rate(started, tmp_path, role):
    trapd = Trapd(tmp_path / "trapd", free_port())
    serve, master = started(role, f"trap2sink 127.0.0.1:{trapd.port} public\n")
    try:
        begun = time.monotonic()
        status = serve.command("burst 5000")
        assert status["sent"] + status["suppressed"] + status["waiting"] == 5000
        assert longest_get(master, 4, lambda: False) < 1
        status = serve.command("status")
        elapsed = time.monotonic() - begun
        assert status["sent"] + status["suppressed"] + status["waiting"] == 5000
        assert 20 <= status["sent"] <= 20 + 20 * elapsed / 60 + 1
        assert wait_until(lambda: len(trapd.received()) >= status["sent"], 5)
        # what is given up is the oldest, and what was sent is in order
        assert ids(trapd.received()) == list(range(4001, 4001 + len(trapd.received())))
        counted = agents.get(master, [f"{ROOT}.1.1.{column}.0" for column in (16, 17, 18)])
        sent, suppressed, waiting = [int(value.split()[-1]) for value in counted.values()]
        assert sent + suppressed + waiting == 5000 and suppressed == 4000
        assert "given up" in serve.text()
        assert serve.quit() == 0
    finally:
        trapd.end()


@pytest.mark.parametrize("role", ["subagent", "standalone"])
def test_burst_of_5000_at_once(started, role):
    """Without a limit too: neither the master nor we block, all is accounted for, and nothing is lost on the way."""
    serve, master = started(role, serve_arguments=("--rate", 0, "--kept", 5000))
    serve.command("burst 5000")
    longest = longest_get(master, 30, lambda: serve.command("status")["sent"] == 5000)
    status = serve.command("status")
    assert (status["sent"], status["suppressed"], status["waiting"]) == (5000, 0, 0)
    assert longest < 1 and status["late_ms"] < 1000
    assert serve.quit() == 0


def test_what_waits_while_the_master_is_away_comes_in_order(tmp_path):
    trapd = Trapd(tmp_path / "trapd", free_port())
    port = free_port()
    lines = agents.ACCESS_LINES + f"trap2sink 127.0.0.1:{trapd.port} public\n"
    master = Snmpd(tmp_path / "snmpd", lines, port)
    serve = Serve(tmp_path, "--agentx", master.socket, "--reconnect", 1, "--rate", 6000, "--burst", 10, mode="subagent")
    try:
        assert wait_until(serve.connected, 5)
        master.end(signal.SIGKILL)
        assert wait_until(lambda: not serve.connected(), 5)
        assert serve.command("burst 200")["waiting"] == 200
        master = Snmpd(tmp_path / "snmpd", lines, port)
        assert wait_until(lambda: serve.command("status")["sent"] == 200, 15), serve.command("status")
        assert wait_until(lambda: len(trapd.received()) >= 200, 5)
        assert ids(trapd.received()) == list(range(1, 201))
        assert serve.command("status")["suppressed"] == 0
        assert serve.quit() == 0
    finally:
        serve.end()
        master.end()
        trapd.end()


def test_what_is_unanswered_when_snmpd_dies_is_sent_again(tmp_path):
    """At least once, in order, and each counted as sent once."""
    trapd = Trapd(tmp_path / "trapd", free_port())
    port = free_port()
    lines = agents.ACCESS_LINES + f"trap2sink 127.0.0.1:{trapd.port} public\n"
    master = Snmpd(tmp_path / "snmpd", lines, port)
    serve = Serve(tmp_path, "--agentx", master.socket, "--reconnect", 1, "--rate", 0, mode="subagent")
    try:
        assert wait_until(serve.connected, 5)
        master.process.send_signal(signal.SIGSTOP)
        serve.command("burst 40")
        assert serve.command("status")["waiting"] == 40
        master.process.send_signal(signal.SIGKILL)
        master.end()
        master = Snmpd(tmp_path / "snmpd", lines, port)
        assert wait_until(lambda: serve.command("status")["sent"] == 40, 10), serve.command("status")
        assert wait_until(lambda: len(ids(trapd.received())) >= 40, 5)
        assert ids(trapd.received()) == list(range(1, 41))
        assert serve.quit() == 0
    finally:
        serve.end()
        master.end()
        trapd.end()


def test_old_states_of_an_alarm_are_given_up_first(tmp_path):
    trapd = Trapd(tmp_path / "trapd", free_port())
    folder = tmp_path / "snmpd"
    serve = Serve(tmp_path, "--agentx", folder / "agentx", "--reconnect", 1, "--rate", 0, "--kept", 10, mode="subagent")
    master = None
    try:
        serve.command("notify dns raised")  # alarm 4000000000: its only word, so it stays
        status = serve.command("same 100")  # alarm 1, raised and cleared in turns
        assert (status["waiting"], status["suppressed"]) == (10, 91)
        master = Snmpd(folder, agents.ACCESS_LINES + f"trap2sink 127.0.0.1:{trapd.port} public\n", free_port())
        assert wait_until(lambda: len(trapd.received()) == 10, 10)
        assert ids(trapd.received()) == [4294967295] + list(range(92, 101))
    finally:
        serve.end()
        if master:
            master.end()
        trapd.end()


def test_sent_when_it_is_stored(started, tmp_path):
    trapd = Trapd(tmp_path / "trapd", free_port())
    serve, _ = started("standalone", f"trap2sink 127.0.0.1:{trapd.port} public\n", serve_arguments=("--rate", 0))
    try:
        serve.command("hold on")
        begun = time.monotonic()
        assert serve.command("burst 3")["waiting"] == 3
        status = serve.command("stored 2")
        assert wait_until(lambda: serve.command("status")["sent"] == 2, 2)
        assert (status := serve.command("status"))["last_done"] == 2 and status["waiting"] == 1
        # a disk that is slow delays no notification for longer than this
        assert wait_until(lambda: serve.command("status")["sent"] == 3, 8)
        assert 4.5 < time.monotonic() - begun < 7
        serve.command("burst 2")
        assert serve.command("status")["waiting"] == 2
        serve.command("hold off")  # a disk that fails delays none
        assert wait_until(lambda: serve.command("status")["done"] == 5, 2)
        assert wait_until(lambda: sequences(trapd.received()) == [1, 2, 3, 4, 5], 5)
        assert serve.quit() == 0
    finally:
        trapd.end()


def test_given_up_is_done_with(tmp_path):
    serve = Serve(tmp_path, "--agentx", tmp_path / "none", "--kept", 10, mode="subagent")
    status = serve.command("burst 25")
    assert (status["waiting"], status["suppressed"], status["done"], status["last_done"]) == (10, 15, 15, 15)
    assert serve.quit() == 0
    serve = Serve(tmp_path, mode="none")
    assert serve.command("burst 25")["done"] == 25
    assert serve.quit() == 0


def standing(notifications):
    """(alarm id, sequence) of each."""
    return [(int(pairs[2][1].split()[-1]), *sequences([pairs])) for pairs in notifications]


def test_alarms_that_stand_are_sent_again(tmp_path):
    """After a reconnect, where that is set: each once, with its id and sequence, before what has waited."""
    trapd = Trapd(tmp_path / "trapd", free_port())
    port = free_port()
    lines = agents.ACCESS_LINES + f"trap2sink 127.0.0.1:{trapd.port} public\n"
    master = Snmpd(tmp_path / "snmpd", lines, port)
    serve = Serve(tmp_path, "--agentx", master.socket, "--reconnect", 1, "--rate", 0, "--resend", mode="subagent")
    try:
        assert wait_until(lambda: len(trapd.received()) == 3, 5)
        assert standing(trapd.received()) == [(1, 1), (2, 2), (3, 3)]
        assert {pairs[3][1] for pairs in trapd.received()} == {"INTEGER: 2"}, "raised"
        master.end(signal.SIGKILL)
        assert wait_until(lambda: not serve.connected(), 5)
        serve.command("notify connection cleared")
        master = Snmpd(tmp_path / "snmpd", lines, port)
        assert wait_until(lambda: len(trapd.received()) == 7, 10)
        assert standing(trapd.received())[3:] == [(1, 1), (2, 2), (3, 3), (4000000000, 1)]
        assert serve.command("status")["sent"] == 7
        assert serve.quit() == 0
    finally:
        serve.end()
        master.end()
        trapd.end()


def test_readable_with_the_stand_ins(tmp_path, started):
    port = free_port()
    folder = tmp_path / "trapd"
    folder.mkdir()
    (folder / "conf").write_text("disableAuthorization yes\n")
    trapd = agents.Process(folder, "snmptrapd",
                           ["/usr/sbin/snmptrapd", "-f", "-n", "-M", f"{agents.TOP}/tests/demo/mibs:{agents.MIB.parent}",
                            "-m", "FEDWARDEN-MIB:SNMPv2-MIB", "-C", "-c", str(folder / "conf"), "-Lf",
                            str(folder / "traps"), f"udp:127.0.0.1:{port}"])
    serve, _ = started("standalone", f"trap2sink 127.0.0.1:{port} public\n")
    try:
        serve.command("notify tlsOutgoing raised")
        shown = folder / "traps"
        assert wait_until(lambda: shown.exists() and "fedwAlarmResolution" in shown.read_text(), 5), trapd.text()
        text = shown.read_text()
        for words in ("FEDWARDEN-MIB::fedwTlsOutgoingRaised", "fedwAlarmState.4000000000 = INTEGER: raised(2)",
                      "fedwAlarmReason.4000000000 = INTEGER: dnsNxDomain(101)", "INTEGER: ipv6(2)", "major(4)",
                      "fedwNotificationSequence.0 = Gauge32: 1"):
            assert words in text, text
        assert not re.search(r"\.1\.3\.6\.1\.4\.1\.8072\.9999", text)
    finally:
        trapd.end()
