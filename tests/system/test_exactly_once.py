"""Nothing is lost and nothing is counted twice: the daemon is killed again and again at random moments while logs are
written and rotated and a partner comes and goes; afterwards each line has been counted once, alarms are the same ones, and
each notification has come, any second time with the number that it had. Everything runs in a network namespace of its
own.

FEDWARDEN_SEED: the random numbers of a run before, which it prints. FEDWARDEN_SOAK=10: ten times as many kills."""
import contextlib
import datetime
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading
import time

import pytest

import lab
import lab_snmp
import pki

PROGRAM = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY / "build")) / "fedwarden"
TIMES = int(os.environ.get("FEDWARDEN_SOAK", "1"))
SEED = int(os.environ.get("FEDWARDEN_SEED", random.randrange(10 ** 6)))
ADDRESS = "127.0.0.1"
FAR = 20  # seconds for what takes one or two, so that a busy machine fails no test

AUTH_SOURCE, INVALID_CERT = 2, 5
COUNTS = [f"1.3.1.5.{AUTH_SOURCE}", f"1.3.1.5.{INVALID_CERT}"]
SEQUENCE = "1.1.25.0"

STANDALONE = 'mode = "standalone"; listen = "udp:{address}:{snmp}"; access_file = "{folder}/snmp.conf";'
SUBAGENT = 'mode = "subagent"; agentx_socket = "{folder}/snmpd/agentx"; reconnect = 1;'
CONFIGURATION = """log_level = "info";
agent = {{ {agent} state_dir = "{folder}/fedwarden/state"; notifications_per_minute = 0; }};
collectors = {{ first_spread = 0; confirm = 0; }};
trusts = ( {{ name = "ours"; ca_file = "{folder}/roots.pem"; }} );
defaults = {{ trust = "ours"; interval = 1; families = "ipv4"; expiry_days = 0; }};
thresholds = {{ authSource = {{ count = 5; window = 3600; clear = 0; }};
                invalidCert = {{ count = 5; window = 3600; clear = 0; }};
                connection = {{ count = 1; window = 60; clear = 1; }}; }};
edge = {{ networks = ( "10.10.0.0/16" ); domains = ( "alpha.example" ); ports = ( 5061 ); }};
feeds = ( {{ name = "mail"; preset = "postfix"; file = "{folder}/mail.log"; }},
          {{ name = "sip"; preset = "kamailio"; file = "{folder}/sip.log"; }} );
partners = ( {{ name = "moody"; domain = "moody.example"; protocol = "tls"; host = "moody.example";
                address = "{address}"; port = {moody}; }} );
{more}"""


class Daemon(lab.Fedwarden):
    """fedwarden with the presets of the sources, started and ended in milliseconds. disk(words): how its disk is from now
    on, see slow_disk.c."""

    def environment(self):
        whole = {**super().environment(), "FEDWARDEN_PRESETS": str(lab.REPOSITORY / "conf" / "presets")}
        if (self.folder / "disk").exists():
            whole["FEDWARDEN_DISK"] = str(self.folder / "disk")
            whole["LD_PRELOAD"] = str(PROGRAM.parent / "tests/system/slow_disk.so")
            whole["ASAN_OPTIONS"] = whole.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        return whole

    def disk(self, words):
        self.folder.mkdir(exist_ok=True)
        (self.folder / "disk.new").write_text(words, encoding="ascii")
        (self.folder / "disk.new").rename(self.folder / "disk")

    def spawn(self):
        """Without waiting."""
        self.folder.mkdir(exist_ok=True)
        self.prepare()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(c) for c in self.command()], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.folder, env=self.environment(), start_new_session=True)
        (self.folder / "pid").write_text(f"{self.process.pid} {self._start_time(self.process.pid)}", encoding="ascii")

    def wait_ready(self):
        lab.wait_until(lambda: self.process.poll() is not None or self.ready(), FAR, 0.005)
        assert self.process.poll() is None and self.ready(), self.tail(30)

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait(FAR)
        self.manager.end()


class Log:
    """A log that several threads write, each record whole or in pieces between those of others, and that is rotated as
    logrotate does. .written: records of which the last line stands in the file."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        self.written = 0
        self.file = open(path, "ab", buffering=0)

    def write(self, lines):
        for line in lines:
            with self.lock:
                self.file.write(line.encode())
                self.written += line is lines[-1]

    def reopen(self):
        """What a server does when it is told that its log was rotated."""
        with self.lock:
            self.file.close()
            self.file = open(self.path, "ab", buffering=0)

    def _names(self):
        return sorted(self.path.parent.glob(self.path.name + ".*"), key=lambda name: int(name.name.split(".")[2]))

    def _make_room(self):
        for name in reversed(self._names()):
            parts = name.name.split(".")
            number = int(parts[2]) + 1
            if number > 9:
                name.unlink()
            else:
                name.rename(name.with_name(".".join([*parts[:2], str(number), *parts[3:]])))

    def rename(self, compress=False, later=0.0):
        """To NAME.1; the writer goes on in it for a while."""
        self._make_room()
        old = self.path.with_name(self.path.name + ".1")
        self.path.rename(old)
        self.path.touch()
        time.sleep(later)
        self.reopen()
        if compress:
            subprocess.run(["gzip", "-f", old], check=True)

    def copy_and_truncate(self):
        with self.lock:  # what comes between the two is lost, as logrotate(8) says
            self._make_room()
            shutil.copyfile(self.path, self.path.with_name(self.path.name + ".1"))
            os.truncate(self.path, 0)


def guess(number):
    """A line that Postfix writes of a wrong password."""
    now = time.strftime("%b %d %H:%M:%S")
    return [f"{now} sip-edge1 postfix/smtpd[{1000 + number % 30000}]: warning: unknown[203.0.113.40]: SASL PLAIN "
            f"authentication failed: (reason unavailable), sasl_username=user{number}@alpha.example\n"]


def refused(process, number):
    """The four lines that Kamailio writes of a certificate that it refuses. Their times are those of rsyslog: with whole
    seconds two logs of one second would begin alike, and such are not told apart."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")
    head = f"{now} sip-edge1 /usr/sbin/kamailio[{process}]: ERROR: tls "
    return [f"{head}[tls_server.c:1341]: tls_h_read_f(): protocol level error\n",
            f"{head}[tls_util.h:49]: tls_err_ret(): TLS accept:error:0A000086:SSL routines::certificate verify failed\n",
            f"{head}[tls_server.c:1349]: tls_h_read_f(): src addr: 198.51.100.7:{10000 + number % 50000}\n",
            f"{head}[tls_server.c:1352]: tls_h_read_f(): dst addr: 10.10.0.1:5061\n"]


class Moody(threading.Thread):
    """A partner that now serves TLS and now hangs up, and counts its visitors."""

    def __init__(self, files, port):
        super().__init__(daemon=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(files.cert, files.key)
        self.listener = socket.create_server((ADDRESS, port))
        self.well = True
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            try:
                if self.well:
                    connection.settimeout(2)
                    with self.context.wrap_socket(connection, server_side=True) as served:
                        served.recv(1)
            except OSError:
                pass
            finally:
                connection.close()

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Scene(lab.Lab):
    """Logs with their writers, a partner, the daemon and who receives its notifications."""

    def __init__(self, folder, agent=STANDALONE, more=""):
        super().__init__(folder)
        self.ports = {name: lab.free_port() for name in ("snmp", "traps", "moody")}
        (self.folder / "snmp.conf").write_text(
            f"rocommunity public {ADDRESS}\ntrap2sink {ADDRESS}:{self.ports['traps']} public\n", encoding="ascii")
        root = pki.root("Root")
        pki.bundle(self.folder, "roots.pem", [root])
        files = pki.write(self.folder, "moody", pki.leaf(root, ["DNS:moody.example"]), [])
        self.moody = Moody(files, self.ports["moody"])
        self.logs = {"mail": Log(self.folder / "mail.log"), "sip": Log(self.folder / "sip.log")}
        self.snmptrapd = self.add(lab.SnmpTrapd(self.folder, "snmptrapd", ADDRESS, self.ports["traps"]))
        names = {"address": ADDRESS, "folder": self.folder, **self.ports}
        configuration = CONFIGURATION.format(agent=agent.format(**names), more=more, **names)
        self.fedwarden = self.add(Daemon(self.folder, "fedwarden", PROGRAM, configuration, ADDRESS, self.ports["snmp"]))
        self.manager = lab_snmp.Manager(ADDRESS, self.ports["snmp"])
        self.writing = threading.Event()
        self.ended = threading.Event()
        self.idle = []
        self.writers = []

    def begin(self, seed=SEED):
        """The daemon and the writers: three of one log, two of the other."""
        self.snmptrapd.start()
        self.restart()
        for number in range(5):
            idle = threading.Event()
            self.idle.append(idle)
            writer = threading.Thread(target=self._write, args=(number, idle, random.Random(seed + number)), daemon=True)
            self.writers.append(writer)
            writer.start()

    def _write(self, writer, idle, chance):
        number = writer
        while not self.ended.is_set():
            if not self.writing.is_set():
                idle.set()
                self.writing.wait(0.1)
                continue
            idle.clear()
            for _ in range(chance.randrange(1, 12)):
                if writer < 3:
                    self.logs["mail"].write(guess(number))
                else:
                    self.logs["sip"].write(refused(2000 + writer, number))
                number += 5
            time.sleep(chance.random() * 0.02)

    def restart(self):
        self.fedwarden.spawn()
        self.fedwarden.wait_ready()

    def pause(self):
        self.writing.clear()
        for idle in self.idle:
            assert idle.wait(FAR)

    def go_on(self):
        for idle in self.idle:
            idle.clear()
        self.writing.set()

    def counts(self):
        return self.manager.get(*COUNTS)

    def expected(self):
        return [self.logs["mail"].written, self.logs["sip"].written]

    def check_counts(self, what):
        expected = self.expected()
        lab.wait_until(lambda: self.counts() == expected, FAR, 0.01)
        assert self.counts() == expected, f"{what}: lines written {expected}\n{self.fedwarden.tail(20)}"

    def rotate(self, chance):
        kind = chance.randrange(4)
        if kind == 0:
            self.logs["mail"].rename(later=chance.random() * 0.05)
        elif kind == 1:
            self.logs["mail"].rename(compress=True)
        elif kind == 2:
            self.logs["sip"].rename(compress=chance.random() < 0.5)
        else:
            self.logs["sip"].copy_and_truncate()

    def stop(self):
        self.ended.set()
        self.writing.set()
        for writer in self.writers:
            writer.join(FAR)
        self.manager.close()
        self.moody.end()
        super().stop()


def check_notifications(scene):
    """Each number came, and one that came twice said the same; alarms were raised once, and cleared at most once."""
    [last] = scene.manager.get(SEQUENCE)

    def seen():
        return {int(n["fedwNotificationSequence"]): n for n in scene.snmptrapd.read()}
    lab.wait_until(lambda: len(seen()) >= last, FAR)
    by_number = {}
    for notification in scene.snmptrapd.read():
        number = int(notification["fedwNotificationSequence"])
        said = (notification.type, notification["fedwAlarmId"], notification["fedwAlarmReason"],
                notification["fedwAlarmSeverity"], notification["fedwAlarmTotalCount"])
        assert by_number.setdefault(number, said) == said, f"number {number} says another thing the second time"
    assert sorted(by_number) == list(range(1, last + 1)), "none is lost"
    standing, before = set(), set()
    for number in sorted(by_number):
        kind, alarm = by_number[number][:2]
        if kind.endswith("Cleared"):
            standing.remove(alarm)
        elif alarm not in standing:
            assert alarm not in before, f"alarm {alarm} is raised again under its old id"
            standing.add(alarm)
            before.add(alarm)
    return by_number


pytestmark = pytest.mark.usefixtures("loopback")


@pytest.fixture
def scene(folder):
    with Scene(folder) as scene:
        yield scene


def standing(scene, alarms):
    return scene.manager.get(*(f"1.11.1.2.{alarm}" for alarm in alarms))


def raised_alarms(scene):
    """The ids of the two that the logs raise, once they are stored."""
    assert lab.wait_until(lambda: len({n["fedwAlarmId"] for n in scene.snmptrapd.read()
                                       if n.type in ("fedwAuthSourceRaised", "fedwInvalidCertRaised")}) == 2, FAR)
    return sorted({int(n["fedwAlarmId"]) for n in scene.snmptrapd.read()
                   if n.type in ("fedwAuthSourceRaised", "fedwInvalidCertRaised")})


def one_life(scene, chance, number):
    """From one end to the next, and what happens while nobody is there."""
    scene.go_on()
    time.sleep(chance.random() * 0.3)
    if chance.random() < 0.5:
        scene.rotate(chance)
        time.sleep(chance.random() * 0.1)
    if number % 8 == 0:
        scene.moody.well = not scene.moody.well
    if chance.random() < 0.1:
        scene.fedwarden.signal(signal.SIGHUP)
        time.sleep(chance.random() * 0.05)
    scene.fedwarden.kill(signal.SIGTERM if chance.random() < 0.05 else signal.SIGKILL)
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        time.sleep(chance.random() * 0.03)
        scene.rotate(chance)
    while chance.random() < 0.15:  # killed before it could begin
        scene.fedwarden.spawn()
        time.sleep(chance.random() * 0.15)
        scene.fedwarden.kill()
    scene.restart()


def kill_again_and_again(scene, rounds):
    print(f"FEDWARDEN_SEED={SEED}")
    chance = random.Random(SEED)
    began = time.monotonic()
    scene.begin()
    scene.go_on()
    alarms = raised_alarms(scene)
    for number in range(rounds):
        one_life(scene, chance, number)
        assert standing(scene, alarms) == alarms, f"kill {number}: alarms keep their ids"
        scene.pause()
        scene.check_counts(f"kill {number}")
    took = time.monotonic() - began
    scene.fedwarden.signal(signal.SIGTERM)
    assert scene.fedwarden.process.wait(FAR) == 0
    scene.restart()
    scene.check_counts("after the last, which was asked to end")
    by_number = check_notifications(scene)
    moods = [kind for kind, *_ in by_number.values() if kind.startswith("fedwConnection")]
    print(f"{rounds} kills in {took:.0f} s, {sum(scene.expected())} records, {len(by_number)} notifications, "
          f"{len(scene.snmptrapd.read()) - len(by_number)} of them twice, {len(moods)} of the partner")
    return took


def test_killed_a_hundred_times(scene):
    took = kill_again_and_again(scene, 100 * TIMES)
    assert took < 180 * TIMES


def test_killed_while_writes_fail(scene):
    """What is not stored is read again; what is stored, half a batch or a torn page included, is not."""
    print(f"FEDWARDEN_SEED={SEED}")
    chance = random.Random(SEED)
    scene.fedwarden.disk("")
    scene.begin()
    scene.go_on()
    alarms = raised_alarms(scene)
    for number in range(30 * TIMES):
        scene.fedwarden.disk(chance.choice(("", "error", "full", "delay 10", f"exit {chance.randrange(1, 40)}")))
        scene.go_on()
        time.sleep(chance.random() * 0.3)
        if chance.random() < 0.5:
            scene.fedwarden.disk(chance.choice(("", "error", "full")))
            time.sleep(chance.random() * 0.2)
        if chance.random() < 0.5:
            scene.rotate(chance)
        scene.fedwarden.kill()
        scene.fedwarden.disk(chance.choice(("", "", "delay 5", "error", "full")))
        scene.restart()
        assert standing(scene, alarms) == alarms, f"kill {number}: alarms keep their ids"
        scene.pause()
        scene.check_counts(f"kill {number}")
    scene.fedwarden.disk("")
    assert scene.fedwarden.tail(100000).count("cannot be written") > 5, "the disk was bad at times"
    scene.fedwarden.kill()
    scene.restart()
    scene.check_counts("after the last")


@pytest.fixture
def under_snmpd(folder):
    with Scene(folder, SUBAGENT) as scene:
        scene.snmpd = scene.add(lab.Snmpd(folder, "snmpd", ADDRESS, scene.ports["snmp"], scene.ports["traps"]))
        yield scene


def numbers(scene):
    return [int(n["fedwNotificationSequence"]) for n in scene.snmptrapd.read() if "fedwNotificationSequence" in n]


def in_memory(scene, text, seconds=FAR):
    return lab.wait_until(lambda: text in scene.fedwarden.tail(400), seconds)


def test_notifications_wait_for_snmpd_over_restarts(under_snmpd):
    """What falls due while it is away is kept, however often the daemon ends meanwhile, and comes in order."""
    scene = under_snmpd
    scene.moody.well = False
    scene.begin()
    assert in_memory(scene, "1 raised: moody")
    for number in range(6):
        scene.logs["mail"].write(guess(number))
    assert in_memory(scene, "2 raised: no partner, authSource")
    scene.fedwarden.kill(signal.SIGTERM)
    assert "2 notifications were not sent; they will be after the next start" in scene.fedwarden.tail()
    scene.restart()
    for number in range(6):
        scene.logs["sip"].write(refused(2000, number))
    assert in_memory(scene, "3 raised: no partner, invalidCert")
    scene.moody.well = True
    assert in_memory(scene, "1 cleared: moody")
    time.sleep(1)  # it is stored by now
    scene.fedwarden.kill()
    scene.restart()
    assert "4 notifications were not sent before; 4 are now" in scene.fedwarden.tail(40)
    scene.snmpd.start()
    assert lab.wait_until(lambda: len(numbers(scene)) >= 4, FAR), scene.fedwarden.tail()
    assert numbers(scene) == [1, 2, 3, 4]
    assert [(n.type, n["fedwAlarmId"]) for n in scene.snmptrapd.read()[-4:]] == [
        ("fedwConnectionRaised", "1"), ("fedwAuthSourceRaised", "2"), ("fedwInvalidCertRaised", "3"),
        ("fedwConnectionCleared", "1")]
    scene.fedwarden.kill(signal.SIGTERM)
    scene.restart()
    time.sleep(2)
    assert numbers(scene) == [1, 2, 3, 4], "what snmpd has acknowledged does not come again"


def test_notification_that_nobody_acknowledged_comes_again(under_snmpd):
    """Killed between storing and sending, or between sending and storing that it was sent: the same number and id."""
    scene = under_snmpd
    scene.snmpd.start()
    scene.begin()
    assert lab.wait_until(lambda: (scene.manager.get(SEQUENCE) or [None])[0] == 0, FAR)
    scene.snmpd.signal(signal.SIGSTOP)
    for number in range(6):
        scene.logs["mail"].write(guess(number))
    assert in_memory(scene, "1 raised: no partner, authSource")
    time.sleep(1)  # it is stored and on its way to a master that does not read it
    scene.fedwarden.kill()
    scene.snmpd.signal(signal.SIGCONT)
    scene.restart()
    assert "1 notifications were not sent before; 1 are now" in scene.fedwarden.tail(40)
    assert lab.wait_until(lambda: numbers(scene), FAR)
    time.sleep(1)
    said = [(n.type, n["fedwAlarmId"], n["fedwNotificationSequence"]) for n in scene.snmptrapd.read()
            if "fedwNotificationSequence" in n]
    assert set(said) == {("fedwAuthSourceRaised", "1", "1")} and len(said) <= 2


def tell(path, stop, said):
    """Events to the inbox, ten under way at a time; said: how many were sent, and how many answered by ok."""
    while not stop.is_set():
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
                link.settimeout(FAR)
                link.connect(str(path))
                while not stop.is_set():
                    for _ in range(10):
                        link.send(b'{"event":"dns","target":"partner.example"}')
                        said["sent"] += 1
                    for _ in range(10):
                        answer = link.recv(1000)
                        if not answer:
                            raise ConnectionResetError
                        assert answer == b'{"ok":true}', answer
                        said["answered"] += 1
        except OSError:
            time.sleep(0.01)


def test_what_the_inbox_answered_is_kept(folder):
    """A sender that has its answer may forget; one that has none may send again: it was counted once or not at all."""
    with Scene(folder, more=f'inbox = {{ path = "{folder}/inbox"; mode = "0600"; }};') as scene:
        scene.begin()
        said = {"sent": 0, "answered": 0}
        for number in range(8):
            stop = threading.Event()
            sender = threading.Thread(target=tell, args=(folder / "inbox", stop, said))
            before = dict(said)
            sender.start()
            assert lab.wait_until(lambda: said["answered"] >= before["answered"] + 20, FAR, 0.01)
            time.sleep(0.05 * number)
            scene.fedwarden.kill(signal.SIGTERM if number == 7 else signal.SIGKILL)
            stop.set()
            sender.join()
            scene.restart()
            [counted] = scene.manager.get("1.3.1.5.7")
            assert said["answered"] <= counted <= said["sent"], f"kill {number}"
        print(said, counted)


ROWS = 600  # of a report


def tls_report():
    """One of RFC 8460 that tells of ROWS failed sessions, each of another server."""
    details = [{"result-type": "certificate-expired", "sending-mta-ip": f"203.0.{n // 200}.{n % 200 + 1}",
                "failed-session-count": 1} for n in range(ROWS)]
    return json.dumps({"organization-name": "Contoso Ltd", "report-id": "7", "policies": [{
        "policy": {"policy-type": "sts", "policy-domain": "alpha.example"},
        "summary": {"total-successful-session-count": 0, "total-failure-session-count": ROWS},
        "failure-details": details}]})


def stored_failures(scene, event):
    """What is in the file of a daemon that was killed."""
    copy = scene.folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in (scene.fedwarden.folder / "state").glob("history.db*"):
        shutil.copy(path, copy)
    with contextlib.closing(sqlite3.connect(copy / "history.db")) as database:
        [row] = database.execute("SELECT count FROM totals WHERE number = ?", (event,)).fetchall() or [(0,)]
    return row[0]


def test_killed_in_the_middle_of_reports(folder):
    """Of a report that was half told the other half is told, once. Senders of the inbox make batches end anywhere in it."""
    more = f'inbox = {{ path = "{folder}/inbox"; mode = "0600"; }}; tlsrpt = {{ directory = "{folder}/reports"; }};'
    (folder / "reports").mkdir()
    with Scene(folder, more=more) as scene:
        scene.begin()
        halves = given = 0
        for number in range(40):
            for _ in range(20):  # by renaming, so that each is there as a whole
                given += 1
                (folder / "report").write_text(tls_report(), encoding="ascii")
                (folder / "report").rename(folder / "reports" / f"{given}.json")
            stop = threading.Event()
            sender = threading.Thread(target=tell, args=(folder / "inbox", stop, {"sent": 0, "answered": 0}))
            sender.start()
            time.sleep(0.02 * (number % 7))
            scene.fedwarden.kill()
            stop.set()
            sender.join()
            stored = stored_failures(scene, 1)
            halves += stored % ROWS != 0
            scene.restart()
            assert stored <= scene.manager.get("1.3.1.5.1")[0] <= given * ROWS, f"kill {number}"
            if halves >= 2 and number >= 5:
                break
        assert lab.wait_until(lambda: scene.manager.get("1.3.1.5.1") == [given * ROWS], FAR), scene.manager.get("1.3.1.5.1")
        assert lab.wait_until(lambda: len(os.listdir(folder / "reports/done")) == given, FAR)
        assert not os.listdir(folder / "reports/telling") and not os.listdir(folder / "reports/bad")
        print(f"{number + 1} kills, {given} reports, {halves} times half of one was stored")
        assert halves, "no kill came in the middle of a report"


def test_partners_that_go_and_come_while_nothing_runs(scene):
    """The alarm of one that is gone is cleared under its id; who comes back has the index that it had."""
    scene.moody.well = False
    scene.begin()
    raised = scene.snmptrapd.wait(lambda n: n.type == "fedwConnectionRaised", FAR)
    assert raised and raised["fedwAlarmPartnerName"] == "moody"
    assert scene.manager.get("1.4.1.2.1") == [b"moody"]
    scene.fedwarden.kill()
    whole = scene.fedwarden.configuration
    scene.fedwarden.configuration = whole.replace('"moody"', '"another"')
    scene.restart()
    cleared = scene.snmptrapd.wait(lambda n: n.type == "fedwConnectionCleared", FAR)
    assert cleared and cleared["fedwAlarmId"] == raised["fedwAlarmId"]
    assert scene.manager.get("1.4.1.2.1", "1.4.1.2.2") == [None, b"another"]
    scene.fedwarden.kill()
    scene.fedwarden.configuration = whole.replace("partners = (", 'partners = ( { name = "first"; domain = "first.example"; '
                                                  'protocol = "sip"; enabled = false; },')
    scene.restart()
    assert scene.manager.get("1.4.1.2.1", "1.4.1.2.2") == [b"moody", None]
    check_notifications(scene)
