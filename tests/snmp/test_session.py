"""The way to SNMP when something goes wrong with it: bounded waits, healing by itself, refusing what cannot heal."""
import os
import pathlib
import re
import signal
import socket
import threading
import time

import pytest

import agents
from agents import ROOT, Serve, Snmpd, free_port, wait_until
from agentx_master import NOTIFY, OBJECTS, Master

HEALTH = f"{ROOT}.1.2.1.0"


def served(agent):
    return agents.get(agent, [HEALTH], timeout=1, check=False).get(HEALTH) == "INTEGER: 3"


def test_snmpd_killed_and_started_again(tmp_path):
    port = free_port()
    master = Snmpd(tmp_path / "snmpd", agents.ACCESS_LINES, port)
    serve = Serve(tmp_path, "--agentx", master.socket, "--reconnect", 5, mode="subagent")
    try:
        assert wait_until(lambda: served(master), 5)
        alarms = agents.walk(master, f"{ROOT}.1.11.1.2")
        for _ in range(3):
            master.end(signal.SIGKILL)
            assert wait_until(lambda: not serve.connected(), 5)
            master = Snmpd(tmp_path / "snmpd", agents.ACCESS_LINES, port)
            started = time.monotonic()
            assert wait_until(lambda: served(master), 5), serve.text()
            assert time.monotonic() - started < 5
            assert agents.walk(master, f"{ROOT}.1.11.1.2") == alarms
        assert serve.quit() == 0
    finally:
        serve.end()
        master.end()


def test_started_before_snmpd(tmp_path):
    folder = tmp_path / "snmpd"
    serve = Serve(tmp_path, "--agentx", folder / "agentx", "--reconnect", 2, mode="subagent")
    assert not serve.connected()
    master = Snmpd(folder, agents.ACCESS_LINES, free_port())
    try:
        assert wait_until(lambda: served(master), 5), serve.text()
    finally:
        serve.end()
        master.end()


def test_socket_that_appears_late(tmp_path):
    """It is looked for as often at the end as it was at the beginning."""
    folder = tmp_path / "snmpd"
    serve = Serve(tmp_path, "--agentx", folder / "agentx", "--reconnect", 2, mode="subagent")
    longest = longest_silence(serve, 7)
    assert longest < 1 and not serve.connected()
    serve.command("burst 5")
    master = Snmpd(folder, agents.ACCESS_LINES, free_port())
    try:
        started = time.monotonic()
        assert wait_until(lambda: served(master), 5), serve.text()
        assert time.monotonic() - started < 5
        assert wait_until(lambda: serve.command("status")["sent"] == 5, 2)
        assert serve.quit() == 0
    finally:
        serve.end()
        master.end()


def descriptors(process):
    return sorted(os.readlink(entry.path).split(":")[0] for entry in os.scandir(f"/proc/{process.pid}/fd"))


def resident(process):
    """KiB; nothing of a build with a sanitizer, which keeps what is freed."""
    if b"__asan_init" in pathlib.Path(f"/proc/{process.pid}/exe").read_bytes():
        return 0
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{process.pid}/status").read_text())[1])


def test_reconnects_leak_nothing(tmp_path):
    """FEDWARDEN_SOAK=10: a thousand. What is unanswered each time is sent again, and nothing else is."""
    rounds = 100 * int(os.environ["FEDWARDEN_SOAK"]) if "FEDWARDEN_SOAK" in os.environ else 30
    master = Master(tmp_path / "agentx")
    serve = Serve(tmp_path, "--agentx", tmp_path / "agentx", "--rate", 0, "--reconnect", 1, mode="subagent", wait=False)
    try:
        before = None
        for number in range(rounds):
            began = time.monotonic()
            master.accept()
            assert time.monotonic() - began < 5
            if number == 0:
                serve.process.stdout.readline()  # it is ready
            assert master.next(OBJECTS)[0][:len(OBJECTS)] == OBJECTS, "it is served"
            if number == 10:
                before = descriptors(serve.process), resident(serve.process)
            if number % 3 == 0:
                serve.process.stdin.write("burst 1\n")
                serve.process.stdin.flush()
                serve.process.stdout.readline()
                assert master.receive()[1] == NOTIFY, "and it is not answered"
            master.hang_up()
            if number % 3 == 0:
                master.accept()
                assert master.serve_one() == NOTIFY
                master.hang_up()
        master.accept()
        assert descriptors(serve.process) == before[0]
        assert resident(serve.process) <= before[1] + 512
        status = serve.command("status")
        assert status["connected"] and status["waiting"] == 0 and status["sent"] == (rounds + 2) // 3
        assert status["late_ms"] < 1000
        assert serve.quit() == 0
    finally:
        serve.end()
        master.close()


class Impostor:
    """A Unix socket in the place of snmpd's, which accepts and does with the connection what it is told."""

    def __init__(self, path, treat):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(50)
        self.connections = []
        self.treat = treat
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            self.treat(connection)

    def close(self):
        self.listener.close()
        for connection in self.connections:
            connection.close()


def longest_silence(serve, seconds):
    """How long the main thread left a command unanswered."""
    end = time.monotonic() + seconds
    longest = 0
    while time.monotonic() < end:
        asked = time.monotonic()
        serve.command("status")
        longest = max(longest, time.monotonic() - asked)
        time.sleep(0.002)
    return longest


def test_mute_master_holds_nobody_for_more_than_a_second(tmp_path):
    impostor = Impostor(tmp_path / "agentx", lambda connection: None)
    asked = time.monotonic()
    serve = Serve(tmp_path, "--agentx", tmp_path / "agentx", "--reconnect", 1, mode="subagent")
    try:
        assert time.monotonic() - asked < 1.5
        serve.command("burst 100")
        assert longest_silence(serve, 6) < 1
        status = serve.command("status")
        assert not status["connected"] and status["late_ms"] < 1000
        assert 3 <= len(impostor.connections) <= 10
        asked = time.monotonic()
        assert serve.quit() == 0
        assert time.monotonic() - asked < 1
    finally:
        serve.end()
        impostor.close()


def test_master_that_hangs_up_is_not_flooded(tmp_path):
    """With the library's own reconnecting each such hang-up doubles the attempts."""
    impostor = Impostor(tmp_path / "agentx", lambda connection: connection.close())
    serve = Serve(tmp_path, "--agentx", tmp_path / "agentx", "--reconnect", 1, mode="subagent")
    try:
        assert longest_silence(serve, 6) < 1
        assert 4 <= len(impostor.connections) <= 16
        assert serve.quit() == 0
    finally:
        serve.end()
        impostor.close()


def test_master_that_talks_nonsense(tmp_path):
    impostor = Impostor(tmp_path / "agentx", lambda connection: connection.sendall(os.urandom(4096)))
    serve = Serve(tmp_path, "--agentx", tmp_path / "agentx", "--reconnect", 1, mode="subagent")
    try:
        assert longest_silence(serve, 4) < 1
        assert serve.quit() == 0
    finally:
        serve.end()
        impostor.close()


def test_snmpd_stopped_while_it_is_connected(started):
    serve, master = started("subagent", serve_arguments=("--reconnect", 1, "--rate", 0))
    master.process.send_signal(signal.SIGSTOP)
    serve.command("burst 500")
    assert longest_silence(serve, 5) < 1
    assert not serve.connected()
    master.process.send_signal(signal.SIGCONT)
    assert wait_until(lambda: served(master), 10), serve.text()
    assert wait_until(lambda: serve.command("status")["sent"] == 500, 10), serve.command("status")
    assert serve.quit() == 0


def test_closes_within_a_second_when_snmpd_is_stopped(started):
    serve, master = started("subagent")
    master.process.send_signal(signal.SIGSTOP)
    asked = time.monotonic()
    assert serve.quit() == 0
    assert time.monotonic() - asked < 1.5
    assert int(re.search(r"closed in (\d+) ms", serve.text())[1]) < 1000


def test_registration_that_fails_is_tried_again(started, tmp_path):
    first, master = started("subagent")
    second = Serve(tmp_path / "second", "--agentx", master.socket, "--reconnect", 1, mode="subagent")
    try:
        assert "did not take our registration" in second.text() or wait_until(
            lambda: "did not take our registration" in second.text(), 3)
        assert not second.connected()
        assert served(master)
        assert first.quit() == 0
        assert wait_until(second.connected, 5), second.text()
        assert served(master)
        assert second.quit() == 0
    finally:
        second.end()


def test_other_requests_are_answered_by_snmpd_alone_after_the_end(started):
    serve, master = started("subagent")
    assert served(master)
    assert serve.quit() == 0
    assert agents.get(master, [HEALTH])[HEALTH].startswith("No Such Object")


def test_without_snmp_the_loop_runs(tmp_path):
    serve = Serve(tmp_path, "--kept", 10, mode="none")
    serve.command("burst 100")
    first = serve.command("status")["turns"]
    assert wait_until(lambda: serve.command("status")["turns"] > first + 20, 5)
    status = serve.command("status")
    assert not status["connected"] and status["late_ms"] < 500
    assert (status["sent"], status["suppressed"], status["waiting"]) == (0, 0, 0)
    assert serve.quit() == 0


@pytest.mark.parametrize("lines, address, message", [
    ("rocommunity public 127.0.0.1", "udp:127.0.0.1:99999", "cannot listen on"),
    ("rocommunity public 127.0.0.1", "", "names no address"),
    ("rocomunity public 127.0.0.1", None, "has errors"),
    ("rouser", None, "has errors"),
])
def test_standalone_refuses_what_cannot_heal(tmp_path, lines, address, message):
    access = tmp_path / "access.conf"
    access.write_text(lines + "\n")
    address = f"udp:127.0.0.1:{free_port()}" if address is None else address
    serve = Serve(tmp_path, "--listen", address, "--access", access, "--state", tmp_path, mode="standalone", wait=False)
    assert serve.process.wait(10) == 1
    serve.end()
    assert message in serve.text()


def test_standalone_without_its_access_file(tmp_path):
    serve = Serve(tmp_path, "--listen", f"udp:127.0.0.1:{free_port()}", "--access", tmp_path / "none.conf", "--state",
                  tmp_path, mode="standalone", wait=False)
    assert serve.process.wait(10) == 1
    serve.end()
    assert "none.conf" in serve.text()


def test_standalone_on_a_port_that_is_taken(started, tmp_path):
    _, agent = started("standalone")
    serve = Serve(tmp_path, "--listen", f"udp:127.0.0.1:{agent.port}", "--access", agent.folder / "access.conf",
                  "--state", tmp_path, mode="standalone", wait=False)
    assert serve.process.wait(10) == 1
    serve.end()
    assert "cannot listen on" in serve.text()


def test_standalone_listens_on_several_addresses(tmp_path):
    ports = free_port(), free_port()
    access = tmp_path / "access.conf"
    access.write_text(agents.ACCESS_LINES)
    serve = Serve(tmp_path, "--listen", ", ".join(f"udp:127.0.0.1:{port}" for port in ports), "--access", access,
                  "--state", tmp_path, mode="standalone")
    for serve.port in ports:
        assert served(serve)
    assert serve.quit() == 0


def listening(pid):
    """The TCP and UDP ports of a process."""
    inodes = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        target = os.readlink(entry.path)
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    ports = set()
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        with open(f"/proc/{pid}/net/{kind}", encoding="ascii") as table:
            for line in list(table)[1:]:
                fields = line.split()
                if fields[9] in inodes:
                    ports.add((kind, int(fields[1].rpartition(":")[2], 16)))
    return ports


@pytest.mark.parametrize("role", ["subagent", "standalone"])
def test_listens_where_it_was_told_and_nowhere_else(started, role):
    """The library would open the port of SMUX."""
    serve, agent = started(role)
    expected = {("udp", agent.port)} if role == "standalone" else set()
    assert listening(serve.process.pid) == expected


def test_engine_boots_rise_also_after_a_crash(started, tmp_path):
    port = free_port()
    boots = []
    access = tmp_path / "access.conf"
    access.write_text(agents.ACCESS_LINES)
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
        serve = Serve(tmp_path, "--listen", f"udp:127.0.0.1:{port}", "--access", access, "--state", tmp_path / "state",
                      mode="standalone")
        serve.port = port
        name = ".1.3.6.1.6.3.10.2.1.2.0"
        boots.append(int(agents.get(serve, [name], access=agents.ALICE)[name].split()[-1]))
        serve.end(number)
    assert boots == [boots[0], boots[0] + 1, boots[0] + 2]


def test_state_of_a_relative_path_lies_where_it_says(tmp_path, monkeypatch):
    """The library would make it below "/"."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNMP_PERSISTENT_DIR", raising=False)
    whole = agents.environment
    monkeypatch.setattr(agents, "environment",
                        lambda folder: {k: v for k, v in whole(folder).items() if k != "SNMP_PERSISTENT_DIR"})
    (tmp_path / "access.conf").write_text(agents.ACCESS_LINES)
    name = f"fedwarden-test-{os.getpid()}"
    serve = Serve(tmp_path, "--listen", f"udp:127.0.0.1:{free_port()}", "--access", tmp_path / "access.conf",
                  "--state", f"{name}/deeper", mode="standalone")
    assert serve.quit() == 0
    assert (tmp_path / name / "deeper/fedwarden-snmp.conf").is_file()
    assert not os.path.exists(f"/{name}")


def test_state_that_cannot_be_written_is_said_once(tmp_path, monkeypatch):
    whole = agents.environment
    monkeypatch.setattr(agents, "environment", lambda folder: {**whole(folder), "SNMP_PERSISTENT_DIR": "/proc/nowhere"})
    (tmp_path / "access.conf").write_text(agents.ACCESS_LINES)
    serve = Serve(tmp_path, "--listen", f"udp:127.0.0.1:{(port := free_port())}", "--access",
                  tmp_path / "access.conf", mode="standalone")
    serve.port = port
    assert served(serve)
    assert serve.quit() == 0
    assert [line for line in serve.text().splitlines() if "/proc/nowhere" in line] == [
        line for line in serve.text().splitlines() if "agent.state_dir /proc/nowhere cannot be written: " in line]
    assert serve.text().count("agent.state_dir") == 1


def test_no_file_but_the_state_is_read_or_written(tmp_path):
    """HOME, SNMPCONFPATH and the system's folders hold nothing for us; hosts.deny and hosts.allow are not looked at."""
    (tmp_path / ".snmp").mkdir()
    (tmp_path / ".snmp/fedwarden-snmp.conf").write_text("rocommunity intruder\n")
    (tmp_path / "fedwarden-snmp.conf.d").mkdir()
    folder = tmp_path / "run"
    folder.mkdir()
    access = folder / "access.conf"
    access.write_text(agents.ACCESS_LINES)
    os.environ["HOME"], home = str(tmp_path), os.environ.get("HOME", "/")
    try:
        serve = Serve(folder, "--listen", f"udp:127.0.0.1:{(port := free_port())}", "--access", access, mode="standalone")
    finally:
        os.environ["HOME"] = home
    serve.port = port
    assert served(serve)
    assert agents.get(serve, [HEALTH], access=agents.Access("-v2c", "-c", "intruder"), timeout=1, check=False) == {}
    assert serve.quit() == 0
