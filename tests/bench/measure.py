"""What all measurements share: processor time of processes, pinning, medians, and rows of the table.

A round gives one number of each subject. Ratios are taken within a round, because a machine that is busy with something
else slows both sides of it, and the median of the rounds is told.
"""
import collections
import glob
import os
import statistics
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "system"))
import lab  # noqa: E402

_cpus = sorted(os.sched_getaffinity(0))
CLIENT = _cpus[0]   # of what is measured
SERVER = _cpus[-1]  # of what serves it and of this program; the same where there is but one
ADDRESS = "127.0.0.1"


class MeasureError(Exception):
    pass


def pinned(cpu, *command):
    return ["taskset", "-c", str(cpu), *map(str, command)]


Done = collections.namedtuple("Done", "output status cpu")


def run(*command, cpu=CLIENT, seconds=60, status=0):
    """A command on one processor, to its end: what it wrote, its status, and its processor time with that of its
    children. MeasureError for another status than `status`."""
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(pinned(cpu, *command), stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, env=lab.environment())
        except OSError as error:
            raise MeasureError(f"{command[0]}: {error}") from error
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            _, wait_status, usage = os.wait4(process.pid, 0)
        finally:
            timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(wait_status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode != status:
        raise MeasureError(f"{os.path.basename(str(command[0]))}: status {process.returncode}\n{text[-1500:]}")
    return Done(text, process.returncode, usage.ru_utime + usage.ru_stime)


def cpu_of(pid):
    """Processor time of all threads of a process, in seconds; far more exact than the ticks of `stat`."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        try:
            with open(path, encoding="ascii") as file:
                total += int(file.read().split()[0])
        except OSError:
            continue
    return total / 1e9


def connections_opened():
    """TCP connections that were opened from this network namespace."""
    with open("/proc/self/net/snmp", encoding="ascii") as file:
        lines = [line.split() for line in file if line.startswith("Tcp:")]
    return int(lines[1][lines[0].index("ActiveOpens")])


class Samples:
    """Numbers by the name of their subject, one a round."""

    def __init__(self):
        self.values = collections.defaultdict(list)

    def add(self, name, value):
        self.values[name].append(value)

    def median(self, name):
        return statistics.median(self.values[name]) if self.values.get(name) else None

    def ratios(self, name, other):
        return [a / b for a, b in zip(self.values.get(name, ()), self.values.get(other, ())) if b > 0]


# What a ratio says: ours in terms of theirs, or how many times less ours is.
AT_MOST = "at most"
AT_LEAST = "at least"
TIMES_LESS = "times less"


class Row:
    """One line of the table. `ours` and `theirs` are names of samples; target None: told, but nothing is wanted."""

    def __init__(self, what, unit, ours, theirs, reference, wanted=AT_MOST, target=None):
        self.what, self.unit, self.ours, self.theirs = what, unit, ours, theirs
        self.reference, self.wanted, self.target = reference, wanted, target

    def judge(self, samples):
        """The row as a dictionary; MeasureError when a side of it has no number."""
        ours, theirs = samples.median(self.ours), samples.median(self.theirs)
        if self.wanted == TIMES_LESS:
            ratios = samples.ratios(self.theirs, self.ours)
        else:
            ratios = samples.ratios(self.ours, self.theirs)
        if ours is None or theirs is None or not ratios:
            raise MeasureError(f"{self.what}: not measured")
        ratio = statistics.median(ratios)
        met = None
        if self.target is not None:
            met = ratio <= self.target if self.wanted == AT_MOST else ratio >= self.target
        return {"what": self.what, "unit": self.unit, "ours": ours, "reference": self.reference, "theirs": theirs,
                "ratio": ratio, "lowest": min(ratios), "highest": max(ratios), "wanted": self.wanted,
                "target": self.target, "met": met}
