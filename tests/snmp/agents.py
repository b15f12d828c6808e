"""serve, snmpd and snmptrapd with private ports and folders, Net-SNMP's tools, and FEDWARDEN-MIB as text."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/system"))
from lab import free_port, wait_until  # noqa: E402

BUILD = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", TOP / "build"))
MIB = TOP / "mibs/FEDWARDEN-MIB.txt"
ROOT = ".1.3.6.1.4.1.8072.9999.9999.1"
BASE_MODULES = TOP.parent / "shared/mibs"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Only what the tests ask: a whole snmpd would also look at the host's disks and interfaces.
SNMPD_MODULES = "snmp_mib,agentx,vacm_conf,system_mib,snmpEngine,usmConf,usmUser,usmStats,setSerialNo"


def environment(folder):
    return {**os.environ, "PATH": PATH, "MIBS": "", "SNMP_PERSISTENT_DIR": str(folder), "SNMPCONFPATH": str(folder)}


class Process:
    def __init__(self, folder, name, arguments, **options):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log = folder / f"{name}.log"
        self.output = open(self.log, "ab")
        self.process = subprocess.Popen(arguments, env=environment(folder), stderr=self.output, **options)

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self.output.close()

    def text(self):
        return self.log.read_text(errors="replace")


class Serve(Process):
    """tests/snmp/serve."""

    def __init__(self, folder, *arguments, mode, name="serve", wait=True):
        super().__init__(folder, name, [str(BUILD / "tests/snmp/serve"), "--mode", mode, *map(str, arguments)],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if wait:
            assert json.loads(self.process.stdout.readline() or "{}").get("ready"), self.text()

    def command(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def connected(self):
        return self.command("status")["connected"]

    def quit(self):
        if self.process.poll() is None:
            self.command("quit")
            code = self.process.wait(10)
        else:
            code = self.process.returncode
        self.end()
        return code


class Snmpd(Process):
    def __init__(self, folder, configuration, port):
        self.socket = folder / "agentx"
        self.port = port
        folder.mkdir(parents=True, exist_ok=True)
        conf = folder / "snmpd.test.conf"
        conf.write_text(f"master agentx\nagentXSocket {self.socket}\n{configuration}\n")
        conf.chmod(0o600)
        super().__init__(folder, "snmpd", ["/usr/sbin/snmpd", "-f", "-Lo", "-C", "-c", str(conf), "-I", SNMPD_MODULES,
                                           f"udp:127.0.0.1:{port}"], stdout=subprocess.DEVNULL)
        assert wait_until(lambda: self.socket.exists() and self.answers(), 10), self.text()

    def answers(self):
        return get(self, [".1.3.6.1.2.1.1.3.0"], timeout=1, check=False) != {}


class Trapd(Process):
    """snmptrapd: received() is a list of notifications, each a list of (name, value as printed)."""

    def __init__(self, folder, port):
        folder.mkdir(parents=True, exist_ok=True)
        conf = folder / "snmptrapd.test.conf"
        conf.write_text("disableAuthorization yes\n")
        self.port = port
        super().__init__(folder, "snmptrapd",
                         ["/usr/sbin/snmptrapd", "-f", "-n", "-On", "-C", "-c", str(conf), "-F", "BEGIN\t%v\n",
                          "-Lf", str(folder / "traps"), f"udp:127.0.0.1:{port}"], stdout=subprocess.DEVNULL)
        assert wait_until(lambda: (folder / "traps").exists() and
                          "NET-SNMP" in (folder / "traps").read_text(errors="replace"), 10)

    def received(self, fedwarden_only=True):
        text = (self.folder / "traps").read_text(errors="replace")
        all_of_them = []
        for part in text.split("BEGIN\t")[1:]:
            pairs = []
            for item in re.split(r"\t(?=\.1\.3\.)", part.strip("\n")):
                name, _, value = item.partition(" = ")
                pairs.append((name, " ".join(value.split())))
            if not fedwarden_only or any(value.startswith(f"OID: {ROOT}.0.") for _, value in pairs):
                all_of_them.append(pairs)
        return all_of_them


class Access:
    """How an agent is asked."""

    def __init__(self, *arguments):
        self.arguments = list(arguments)


PUBLIC = Access("-v2c", "-c", "public")
RESTRICTED = Access("-v2c", "-c", "restricted")
ALICE = Access("-v3", "-u", "alice", "-l", "authPriv", "-a", "SHA", "-A", "authentication", "-x", "AES", "-X",
               "confidential")
BOB = Access("-v3", "-u", "bob", "-l", "authNoPriv", "-a", "SHA", "-A", "authentication")

# Column 23 of fedwPartnerTable, and in it the row of index 8, are not for everybody.
ACCESS_LINES = f"""
view whole included .1
view part included .1
view part excluded {ROOT}.1.4.1.23
view part excluded {ROOT}.1.4.1.0.8 ff:fb
createUser alice SHA authentication AES confidential
createUser bob SHA authentication
rocommunity public 127.0.0.1 -V whole
rocommunity restricted 127.0.0.1 -V part
rouser alice authpriv -V whole
rouser bob auth -V part
"""


def tool(agent, name, *arguments, access=PUBLIC, timeout=5, check=True):
    done = subprocess.run([name, *access.arguments, "-On", "-t", str(timeout), "-r", "0", *map(str, arguments)],
                          env=environment(agent.folder), capture_output=True, text=True, errors="replace", timeout=60)
    assert not check or done.returncode == 0, done.stderr + done.stdout[-500:]
    return done.stdout


def parse(text):
    """{numeric name: value as printed, on one line}, in the order of the answer."""
    values = {}
    for part in re.split(r"\n(?=\.1\.)", text.strip()):
        name, separator, value = part.partition(" = ")
        if separator and not value.startswith("No more variables left"):
            values[name] = " ".join(value.split())
    return values


def walk(agent, root=ROOT, access=PUBLIC):
    return parse(tool(agent, "snmpwalk", "-Cc", f"udp:127.0.0.1:{agent.port}", root, access=access))


def bulkwalk(agent, repetitions, root=ROOT, access=PUBLIC):
    return parse(tool(agent, "snmpbulkwalk", f"-Cr{repetitions}", f"udp:127.0.0.1:{agent.port}", root, access=access))


def bulkget(agent, non_repeaters, repetitions, names, access=PUBLIC):
    """The varbinds in the order of the answer; names may come twice."""
    text = tool(agent, "snmpbulkget", f"-Cn{non_repeaters}", f"-Cr{repetitions}", f"udp:127.0.0.1:{agent.port}",
                *names, access=access)
    pairs = []
    for part in re.split(r"\n(?=\.1\.)", text.strip()):
        name, _, value = part.partition(" = ")
        pairs.append((name, " ".join(value.split())))
    return pairs


def get(agent, names, access=PUBLIC, timeout=5, check=True):
    return parse(tool(agent, "snmpget", f"udp:127.0.0.1:{agent.port}", *names, access=access, timeout=timeout,
                      check=check))


def steady(values):
    """Without what moves with time: dates and ages but never, dates in texts, ticks, spans, counts of the agent itself."""
    return {name: moving(name, value) for name, value in values.items()}


AGES = {"1.1": {3, 7}, "1.2": {11}, "1.3.1": {10}, "1.4.1": {10, 12, 14, 16, 27, 29}, "1.5.1": {9}, "1.6.1": {5, 7},
        "1.7.1": {15, 17}, "1.8.1": {17}, "1.9.1": {14, 16}, "1.10.1": {11, 13}, "1.11.1": {22, 24}}
LEFT = {"1.2": {13}, "1.4.1": {18}, "1.7.1": {31}, "1.8.1": {11}}

NOT_BEFORE = "Hex-STRING: 07 EA 01 01 00 00 00 00 2B 00 00"  # serve's certificates: a date that does not move


def moving(name, value):
    rest = name[len(ROOT) + 1:]
    table, column = re.match(r"(1\.[12]|1\.\d+\.1)\.(\d+)", rest).groups()
    if value.startswith("Timeticks:"):
        return "TICKS"
    if value == NOT_BEFORE:
        return value
    if value.startswith("Hex-STRING: 07 ") and len(value) == len("Hex-STRING:") + 3 * 11:
        return "DATE"
    if int(column) in AGES.get(table, ()) and value != "Gauge32: 4294967295":
        return "AGE"
    if int(column) in LEFT.get(table, ()) and value != "INTEGER: 2147483647":
        return "LEFT"
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "DATE", value)


def literal_tree():
    tree = {}
    for line in (TOP / "tests/snmp/tree.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, value = line.split(" ", 1)
            tree[f"{ROOT}.{name}"] = value
    return tree


def reason_rows():
    """[(number, name, event, severity, actor, cause, resolution, aliases)] of base/reason_list.h."""
    source = (TOP / "include/base/reason_list.h").read_text()
    source = source[source.index("*/"):]
    string = r'((?:\s*"(?:[^"\\]|\\.)*")+)'
    rows = []
    for match in re.finditer(r"REASON_ROW\((\d+), \w+, (\w+), EVENT_(\w+), SEVERITY_(\w+), ACTOR_(\w+)," +
                             string + "," + string + "," + string + r"\)", source):
        texts = ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', match[i])) for i in (6, 7, 8)]
        rows.append((int(match[1]), *match.group(2, 3, 4, 5), *texts))
    return rows


def event_rows():
    source = (TOP / "include/base/event_list.h").read_text()
    source = source[source.index("*/"):]
    return [(int(m[1]), m[2], m[3], m[4]) for m in
            re.finditer(r'EVENT_ROW\((\d+), (\w+), (\w+), (\w+),', source)]


def mib_text():
    return re.sub(r"--.*", "", re.sub(r'"[^"]*"', '""', MIB.read_text()))


def mib_objects():
    """{name: (OID under the root, readable)} of FEDWARDEN-MIB, read from its text."""
    nodes = {"fedwMIB": ""}
    objects = {}
    for match in re.finditer(r"^(\w+)\s+(OBJECT-TYPE|OBJECT IDENTIFIER|NOTIFICATION-TYPE)((?:(?!::=).)*)"
                             r"::= \{ (\w+) (\d+) \}", mib_text(), re.M | re.S):
        name, kind, body, parent, number = match.groups()
        nodes[name] = f"{nodes[parent]}.{number}"
        if kind == "OBJECT-TYPE":
            objects[name] = (ROOT + nodes[name], "MAX-ACCESS  read-only" in body)
    return objects


def mib_enumeration(name):
    body = re.search(rf"^{name} ::= TEXTUAL-CONVENTION.*?SYNTAX\s+INTEGER \{{(.*?)\}}", mib_text(), re.M | re.S)[1]
    return {int(number): label for label, number in re.findall(r"(\w+)\((\d+)\)", body)}


def mib_notifications():
    """{name: (number, [objects])}"""
    return {m[1]: (int(m[3]), re.findall(r"\w+", m[2])) for m in re.finditer(
        r"^(\w+) NOTIFICATION-TYPE\s+OBJECTS\s+\{(.*?)\}.*?::= \{ fedwNotifications (\d+) \}", mib_text(), re.M | re.S)}


class Datagrams:
    """A bare socket in the place of a trap sink: what it is sent, in octets."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(5)
        self.port = self.socket.getsockname()[1]

    def next(self):
        return self.socket.recv(65536)
