"""A disk that is full, read-only, failing or slow under the daemon's history: it goes on in memory, says so, answers SNMP as
quickly as ever, and stores what is missing when it can. The disks are small tmpfs in a mount namespace of the module's own."""
import ctypes
import json
import os
import signal
import subprocess
import sys
import time

import pytest

import lab
import lab_snmp
from test_exactly_once import ADDRESS, FAR, Scene, guess

QUICK = 0.050  # seconds: 99 of 100 answers of SNMP
ENOUGH = 50
HEALTH = "1.2.1.0"


@pytest.fixture(scope="module")
def mounts():
    """What this process mounts is seen by itself and by what it starts, and ends with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)
    root, folder = os.open("/", os.O_RDONLY), os.open(".", os.O_RDONLY)
    if libc.unshare(0x00020000) != 0:  # CLONE_NEWNS
        pytest.skip(f"no mount namespace: {os.strerror(ctypes.get_errno())}; run this as root")
    lab.run("mount", "--make-rprivate", "/")
    yield
    libc.setns(here, 0x00020000)
    os.fchdir(root)  # setns(2) leads to the namespace's own root, which is another one within a chroot
    os.chroot(".")
    os.fchdir(folder)
    for descriptor in (here, root, folder):
        os.close(descriptor)


pytestmark = pytest.mark.usefixtures("loopback", "mounts")


class Disk:
    def __init__(self, path, megabytes=4):
        self.path = path
        path.mkdir()
        lab.run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", path)

    def fill(self):
        """To the last octet, and again with what becomes free."""
        with open(self.path / "filler", "ab", buffering=0) as filler:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        filler.write(b"x" * size)
                except OSError:
                    continue

    def empty(self):
        (self.path / "filler").unlink()

    def remount(self, how):
        lab.run("mount", "-o", f"remount,{how}", self.path)

    def end(self):
        lab.run("umount", "-l", self.path)


@pytest.fixture
def scene(folder):
    disk = Disk(folder / "disk")
    with Scene(folder, more=f'history = {{ file = "{folder}/disk/history.db"; }};') as scene:
        scene.disk = disk
        yield scene
    disk.end()


class Asking:
    """A manager that asks while the block lasts, and ENOUGH times."""

    def __init__(self, scene):
        self.port = scene.ports["snmp"]
        self.agent = scene.fedwarden.process.pid
        self.answers = None

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-B", lab_snmp.__file__, ADDRESS, str(self.port), HEALTH,
                                         str(self.agent), str(ENOUGH)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self.answers = json.loads(self.process.communicate(timeout=FAR)[0])

    def check(self):
        seconds = sorted(self.answers["seconds"])
        p99 = seconds[len(seconds) * 99 // 100]
        print(f"{len(seconds)} answers, 99 % within {1000 * p99:.1f} ms, all within {1000 * seconds[-1]:.0f} ms")
        assert len(seconds) >= ENOUGH and self.answers["unanswered"] == 0 and p99 < QUICK


def notified(scene, kind, reason, after=0):
    found = scene.snmptrapd.wait(lambda n: n.type == f"fedwMonitorSelf{kind}" and n["fedwAlarmReason"] == reason, FAR, after)
    assert found, scene.fedwarden.tail(20)
    return found


def write(scene, count):
    for number in range(count):
        scene.logs["mail"].write(guess(number))


def busy(scene, seconds):
    """All writers write."""
    scene.go_on()
    time.sleep(seconds)
    scene.pause()


def survives(scene, what):
    """What it has told so far is stored: kill -9 and a new start change nothing."""
    [before] = scene.manager.get("1.1.25.0")
    scene.fedwarden.kill()
    scene.restart()
    scene.check_counts(what)
    [after] = scene.manager.get("1.1.25.0")
    assert after >= before, "numbers of notifications go on"


def test_full_disk(scene):
    scene.begin()
    busy(scene, 0.5)
    scene.check_counts("before")
    scene.disk.fill()
    with Asking(scene) as asking:
        busy(scene, 1)
        raised = notified(scene, "Raised", "monHistoryFailing")
        assert "full" in raised["fedwAlarmDetail"]
        busy(scene, 0.5)
        scene.check_counts("while it is full")
    asking.check()
    scene.disk.empty()
    notified(scene, "Cleared", "monHistoryFailing")
    survives(scene, "afterwards")


def test_killed_while_it_is_full(scene):
    """The last that could be stored is where it goes on from, with what the logs hold since."""
    scene.begin()
    busy(scene, 0.5)
    scene.check_counts("before")
    scene.disk.fill()
    busy(scene, 0.5)
    for _ in range(3):
        scene.fedwarden.kill()
        write(scene, 100)
        scene.restart()
        scene.check_counts("while it is full")
    scene.disk.empty()
    time.sleep(2)
    survives(scene, "afterwards")


def test_read_only_disk(scene):
    scene.begin()
    busy(scene, 0.5)
    scene.check_counts("before")
    scene.fedwarden.kill()
    scene.disk.remount("ro")
    scene.restart()
    scene.check_counts("what was kept is read")
    with Asking(scene) as asking:
        notified(scene, "Raised", "monHistoryFailing")
        busy(scene, 1)
        scene.check_counts("while nothing can be written")
    asking.check()
    scene.disk.remount("rw")
    notified(scene, "Cleared", "monHistoryFailing")
    survives(scene, "afterwards")


def test_disk_that_fails(scene):
    """Each write is an input/output error, as when a file system has been remounted because of its disk."""
    scene.fedwarden.disk("")
    scene.begin()
    busy(scene, 0.5)
    scene.fedwarden.disk("error")
    with Asking(scene) as asking:
        busy(scene, 1)
        notified(scene, "Raised", "monHistoryFailing")
        scene.check_counts("while it fails")
    asking.check()
    scene.fedwarden.disk("")
    notified(scene, "Cleared", "monHistoryFailing")
    survives(scene, "afterwards")


def test_slow_disk(scene):
    """300 ms a write: nobody waits for it but those who have to, and nothing is lost."""
    scene.fedwarden.disk("")
    scene.begin()
    scene.fedwarden.disk("delay 300")
    with Asking(scene) as asking:
        busy(scene, 4)
        scene.check_counts("while it is slow")
        assert scene.snmptrapd.wait(lambda n: n.type == "fedwAuthSourceRaised", FAR), "sent after 5 s at the latest"
    asking.check()
    began = time.monotonic()
    scene.fedwarden.signal(signal.SIGTERM)
    assert scene.fedwarden.process.wait(30) == 0
    print(f"ended in {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began < 11
    scene.fedwarden.disk("")
    scene.restart()
    scene.check_counts("afterwards")
    assert "is written by" not in scene.fedwarden.tail()


def test_damaged_history(scene):
    """It is set aside, and that is told; the daemon begins again."""
    scene.begin()
    busy(scene, 0.5)
    scene.check_counts("before")
    scene.fedwarden.kill()
    for name in ("history.db", "history.db-wal", "history.db-shm"):
        path = scene.disk.path / name
        if path.exists():
            path.write_bytes(b"SQLite format 3\0" + os.urandom(4096))
    scene.restart()
    raised = notified(scene, "Raised", "monHistoryLost")
    assert "is damaged: " in raised["fedwAlarmDetail"] and "It was set aside as " in raised["fedwAlarmDetail"]
    [aside] = [path for path in scene.disk.path.glob("history.db.*") if ".broken-" in path.name and "-wal" not in path.name]
    assert str(aside) in scene.fedwarden.tail(40)
    assert scene.manager.get("1.3.1.5.2") == [0], "counters begin again"
    for log in scene.logs.values():
        log.written = 0
    busy(scene, 0.5)
    scene.check_counts("from then on")
    survives(scene, "afterwards")
