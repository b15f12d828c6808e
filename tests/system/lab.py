"""Real servers on loopback, for tests and for the demonstration.

    lab = Lab(folder)                              everything below one folder; one free port per free_port()
    web = lab.add(Nginx(folder, "web", address, port, files))
    web.start(); web.stop(); web.restart()         ready when start returns; LabError with the end of the log otherwise
    lab.stop()                                     ends all, in reverse order

Each server is a process (and what that forks) with a folder of its own: configuration, pid, log. It is known by pid and
start time as written there, so that another process that makes the same objects can go on with what runs already.
Nothing here needs root, and as root nothing changes its user: the folders are private and everything listens on
loopback only.
"""
import contextlib
import ctypes
import ipaddress
import os
import pathlib
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class LabError(Exception):
    pass


_given_ports = set()


def free_port():
    """A port that is free for UDP and TCP and was not given before, below those that the kernel gives to outgoing
    connections: a server that is stopped and started again finds it free."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as limits:
        first = int(limits.read().split()[0])
    low, high = (max(1024, first - 12000), first) if first > 4096 else (40000, 60000)
    for _ in range(200):
        port = random.randrange(low, high)
        if port in _given_ports:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("", port))
                udp.bind(("", port))
            except OSError:
                continue
            _given_ports.add(port)
            return port
    raise LabError(f"no free port found between {low} and {high}")


def wait_until(condition, seconds, step=0.05):
    """What `condition` returned as soon as that is true, or its last value after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() >= end:
            return value
        time.sleep(step)


def enter_namespace():
    """Moves this process for good into a network namespace of its own, where only loopback is, up. Needs root."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000) != 0:  # CLONE_NEWNET
        raise LabError(f"no network namespace: {os.strerror(ctypes.get_errno())}; run this as root")
    run("ip", "link", "set", "lo", "up")


def accepts(address, port):
    try:
        socket.create_connection((address, port), timeout=1).close()
        return True
    except OSError:
        return False


def environment(**more):
    """Of every process here: the same on every machine, and no user's SNMP settings."""
    return {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "SNMPCONFPATH": "/nonexistent", **more}


def run(*command, timeout=10, check=True, **options):
    """A short command's output; LabError when it fails."""
    options.setdefault("env", environment())
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, errors="replace",
                              timeout=timeout, check=False, stdin=subprocess.DEVNULL, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{command[0]}: {error}") from error
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


@contextlib.contextmanager
def _uninterrupted():
    """Signals that end us wait until the block is done: a process that was started is also noted."""
    came = []
    before = {number: signal.signal(number, lambda number, _: came.append(number))
              for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


class Server:
    """One real server. A subclass says what to write (prepare), what to run (command) and how to see that it serves
    (ready)."""

    start_seconds = 15
    stop_seconds = 5

    def __init__(self, folder, name, address="127.0.0.1", port=0):
        self.name = name
        self.address = address
        self.port = port
        self.folder = pathlib.Path(folder) / name
        self.log = self.folder / "log"
        self.process = None

    def prepare(self):
        """Writes what the server reads."""

    def command(self):
        raise NotImplementedError

    def environment(self):
        return environment()

    def ready(self):
        return accepts(self.address, self.port)

    # The process

    @staticmethod
    def _start_time(pid):
        """Of a process that is not a zombie, in clock ticks since boot; None when there is none."""
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]

    @property
    def pid(self):
        """Of the running process, or None."""
        if self.process is not None:
            self.process.poll()
        try:
            pid, start_time = (self.folder / "pid").read_text(encoding="ascii").split()
        except (OSError, ValueError):
            return None
        return int(pid) if self._start_time(pid) == start_time else None

    def start(self):
        if self.pid:
            raise LabError(f"{self.name} runs already")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepare()
        if self.ready():
            raise LabError(f"{self.name}: somebody else serves at {self.address}:{self.port}")
        with open(self.log, "ab") as log, _uninterrupted():
            self.process = subprocess.Popen([str(c) for c in self.command()], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.folder, env=self.environment(),
                                            start_new_session=True)
            pid = self.process.pid
            (self.folder / "pid").write_text(f"{pid} {self._start_time(pid)}", encoding="ascii")
        wait_until(lambda: self.process.poll() is not None or self.ready(), self.start_seconds)
        if self.process.poll() is not None:
            raise LabError(f"{self.name} ended with status {self.process.returncode}:\n{self.tail()}")
        if not self.ready():
            self.stop()
            raise LabError(f"{self.name} did not serve within {self.start_seconds} s:\n{self.tail()}")
        return self

    def stop(self):
        """Asks it to end, insists when it does not, and takes along what it forked. Returns the exit status when it was
        started by this object, else None."""
        pid = self.pid
        if pid:
            os.kill(pid, signal.SIGTERM)
            if not wait_until(lambda: not self.pid, self.stop_seconds):
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda: not self.pid, self.stop_seconds)
            try:
                os.killpg(pid, signal.SIGKILL)  # it led its own group
            except (ProcessLookupError, PermissionError):
                pass
        (self.folder / "pid").unlink(missing_ok=True)
        return self.process.returncode if self.process is not None else None

    def restart(self):
        self.stop()
        return self.start()

    def signal(self, number):
        pid = self.pid
        if not pid:
            raise LabError(f"{self.name} does not run:\n{self.tail()}")
        os.kill(pid, number)

    def tail(self, lines=15):
        try:
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path


class Lab:
    """Servers that live and end together."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.servers = []

    def add(self, server):
        self.servers.append(server)
        return server

    def start(self):
        for server in self.servers:
            if not server.pid:
                server.start()
        return self

    def stop(self):
        for server in reversed(self.servers):
            server.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


# Partners. `files` is what pki.write returned: paths of certificate (with the chain to send) and key. They are read
# again by reload().


class Kamailio(Server):
    """A SIP proxy behind TLS that answers OPTIONS. client_ca: it asks for the peer's certificate and refuses one that
    is not from there, or none."""

    def __init__(self, folder, name, address, port, files, client_ca=None):
        super().__init__(folder, name, address, port)
        self.files = files
        self.client_ca = client_ca

    def prepare(self):
        demand = f"verify_certificate = yes\nrequire_certificate = yes\nca_list = {self.client_ca}\n" \
            if self.client_ca else "verify_certificate = no\nrequire_certificate = no\n"
        self.write("tls.cfg", f"[server:default]\nmethod = TLSv1.2+\n{demand}"
                              f"certificate = {self.files.cert}\nprivate_key = {self.files.key}\n"
                              "[client:default]\nmethod = TLSv1.2+\n")
        self.write("kamailio.cfg", f"""#!KAMAILIO
debug = 2
log_stderror = yes
children = 1
tcp_children = 2
enable_tls = yes
dns = no
rev_dns = no
auto_aliases = no
listen = tls:{self.address}:{self.port}
loadmodule "tls.so"
loadmodule "sl.so"
loadmodule "ctl.so"
modparam("ctl", "binrpc", "unix:{self.folder}/control")
modparam("tls", "config", "{self.folder}/tls.cfg")
request_route {{
    if (method == "OPTIONS") {{
        sl_send_reply("200", "OK");
        exit;
    }}
    sl_send_reply("404", "Not Found");
}}
""")

    def command(self):
        return ["kamailio", "-f", self.folder / "kamailio.cfg", "-Y", self.folder, "-DD", "-E", "-m", "32", "-M", "4"]

    def reload(self):
        """New connections get the certificate that the files hold now; nobody is refused meanwhile."""
        run("kamcmd", "-s", f"unix:{self.folder}/control", "tls.reload")


class Nginx(Server):
    """A web server behind TLS. verify: "off", "optional" or "on", whether it asks for the peer's certificate."""

    def __init__(self, folder, name, address, port, files, verify="off", client_ca=None):
        super().__init__(folder, name, address, port)
        self.files = files
        self.verify = verify
        self.client_ca = client_ca

    def prepare(self):
        user = "user root;\n" if os.geteuid() == 0 else ""
        demand = f"ssl_client_certificate {self.client_ca};\n" if self.client_ca else ""
        temporary = "".join(f"    {what}_temp_path {self.folder}/{what};\n"
                            for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.write("index.html", "This is a partner.\n")
        self.write("nginx.conf", f"""{user}daemon off;
worker_processes 1;
pid {self.folder}/nginx.pid;
error_log {self.folder}/error.log;
events {{
    worker_connections 128;
}}
http {{
    access_log {self.folder}/access.log;
{temporary}    server {{
        listen {self.address}:{self.port} ssl;
        ssl_certificate {self.files.cert};
        ssl_certificate_key {self.files.key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_verify_client {self.verify};
        {demand}root {self.folder};
    }}
}}
""")

    def command(self):
        return ["nginx", "-e", self.folder / "error.log", "-p", self.folder, "-c", self.folder / "nginx.conf"]

    def tail(self, lines=15):
        try:
            return "\n".join((self.folder / "error.log").read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return super().tail(lines)

    def reload(self):
        """Returns when a new connection gets the certificate that the file holds now."""
        expected = ssl.PEM_cert_to_DER_cert(_certificates(self.files.cert)[0])
        self.signal(signal.SIGHUP)
        if not wait_until(lambda: served_certificate(self.address, self.port) == expected, 10):
            raise LabError(f"{self.name} did not take the new certificate:\n{self.tail()}")


class MutualTls(Server):
    """OpenSSL's own server, which demands a certificate that is from client_ca."""

    def __init__(self, folder, name, address, port, files, client_ca):
        super().__init__(folder, name, address, port)
        self.files = files
        self.client_ca = client_ca

    def command(self):
        chain = _certificates(self.files.cert)[1:]  # -cert sends the first one alone
        send = ["-cert_chain", self.write("chain.pem", "\n".join(chain))] if chain else []
        return ["openssl", "s_server", "-accept", f"{self.address}:{self.port}", "-cert", self.files.cert, *send,
                "-key", self.files.key, "-CAfile", self.client_ca, "-Verify", "3", "-verify_return_error", "-www",
                "-quiet"]


class Prosody(Server):
    """An XMPP server that offers STARTTLS to other servers of its domain's peers. It reads certificates once.

    client_port   of clients, which may send passwords in the clear; other servers then need good certificates
    roots         file of CAs that those of other servers must come from
    modules       beside those that it needs;  settings: further lines;  log: a file instead of the usual one
    """

    def __init__(self, folder, name, address, port, files, domain, client_port=0, roots=None, modules=(), settings="",
                 log="*console"):
        super().__init__(folder, name, address, port)
        self.files = files
        self.domain = domain
        self.client_port = client_port
        self.roots = roots
        self.modules = ("tls", "dialback", "saslauth", "disco", *modules)
        self.settings = settings
        self.target = log

    def prepare(self):
        (self.folder / "data").mkdir(exist_ok=True)
        cafile = f', cafile = "{self.roots}"' if self.roots else ""
        clients = """s2s_secure_auth = true
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
""" if self.client_port else ""
        self.write("prosody.lua", f"""run_as_root = true
pidfile = "{self.folder}/prosody.pid"
data_path = "{self.folder}/data"
certificates = "{self.folder}"
interfaces = {{ "{self.address}" }}
c2s_ports = {{ {self.client_port or ""} }}
c2s_direct_tls_ports = {{}}
s2s_ports = {{ {self.port} }}
modules_enabled = {{ {", ".join(f'"{name}"' for name in self.modules)} }}
modules_disabled = {{ {"" if self.client_port else '"c2s", '}"offline" }}
s2s_require_encryption = true
log = {{ info = "{self.target}" }}
ssl = {{ certificate = "{self.files.cert}", key = "{self.files.key}"{cafile} }}
{clients}{self.settings}VirtualHost "{self.domain}"
""")

    def command(self):
        return ["prosody", "-F", "--config", self.folder / "prosody.lua"]

    def ready(self):
        return super().ready() and (not self.client_port or accepts(self.address, self.client_port))


class Knot(Server):
    """A DNS server that is the authority for its zones: {"contoso.example": [(owner, type, data), ...]}, owners relative
    to the zone, "@" for itself. It also serves as the resolver of tests, for nothing else is asked."""

    TTL = 60

    def __init__(self, folder, name, address, port, zones):
        super().__init__(folder, name, address, port)
        self.zones = zones

    def prepare(self):
        sections = []
        for zone, records in self.zones.items():
            self.write(zone + ".zone", f"$ORIGIN {zone}.\n$TTL {self.TTL}\n"
                                       "@ SOA ns hostmaster 1 3600 600 86400 5\n@ NS ns\n"
                                       f"ns A {self.address}\n" +
                       "".join(f"{owner} {kind} {data}\n" for owner, kind, data in records))
            sections.append(f"  - domain: {zone}\n    file: {zone}.zone\n")
        self.write("knot.conf", f"""server:
    rundir: "{self.folder}"
    listen: {self.address}@{self.port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
control:
    listen: "{self.folder}/control"
log:
  - target: stderr
    any: info
database:
    storage: "{self.folder}/database"
    journal-db-max-size: 16M
template:
  - id: default
    storage: "{self.folder}"
    zonefile-sync: -1
    journal-content: none
zone:
{"".join(sections)}""")

    def command(self):
        return ["knotd", "-c", self.folder / "knot.conf"]

    def ready(self):
        return accepts(self.address, self.port) and (self.folder / "control").exists()

    def control(self, *words):
        return run("knotc", "-s", self.folder / "control", *words)

    def change(self, zone, *changes):
        """Changes of a served zone that take effect together, each ("set", owner, type, data) or
        ("unset", owner, type)."""
        self.control("zone-begin", zone)
        try:
            for verb, owner, kind, *data in changes:
                ttl = [self.TTL] if verb == "set" else []
                self.control("zone-" + verb, zone, owner, *ttl, kind, *data)
            self.control("zone-commit", zone)
        except LabError:
            run("knotc", "-s", self.folder / "control", "zone-abort", zone, check=False)
            raise


def _certificates(path):
    """Each certificate of a PEM file, as text."""
    with open(path, encoding="ascii") as pem:
        return re.findall(r"-+BEGIN CERTIFICATE-+.*?-+END CERTIFICATE-+", pem.read(), re.DOTALL)


def served_certificate(address, port):
    """The certificate (DER) that a TLS server shows to somebody without one, None when there is no handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((address, port), timeout=2) as tcp, context.wrap_socket(tcp) as tls:
            return tls.getpeercert(binary_form=True)
    except OSError:
        return None


def _bound_sockets():
    """(protocol, address, port, inode) of IPv4 and IPv6 sockets that wait for a peer to begin, as the kernel has them:
    TCP that listens, and UDP on a port that somebody chose rather than the kernel."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as limits:
        first, last = map(int, limits.read().split())
    for protocol, state in (("tcp", "0A"), ("udp", "07")):
        for version in ("", "6"):
            with open(f"/proc/net/{protocol}{version}", encoding="ascii") as table:
                rows = [line.split() for line in table.readlines()[1:]]
            for row in rows:
                octets, _, port = row[1].partition(":")
                port = int(port, 16)
                if row[3] != state or (protocol == "udp" and first <= port <= last):
                    continue
                words = [bytes.fromhex(octets[i:i + 8]) for i in range(0, len(octets), 8)]
                if sys.byteorder == "little":
                    words = [word[::-1] for word in words]
                yield protocol, str(ipaddress.ip_address(b"".join(words))), port, row[9]


def udp_bound(address, port):
    """Whether somebody listens there."""
    return any(bound[:3] == ("udp", address, port) for bound in _bound_sockets())


def listening(pid):
    """(protocol, address, port) of all that a process listens at."""
    own = set()
    for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            own.add(os.readlink(descriptor))
        except OSError:  # closed meanwhile
            pass
    return sorted(bound[:3] for bound in _bound_sockets() if f"socket:[{bound[3]}]" in own)


# SNMP. Debian has no IETF base modules: tests/demo/mibs stands in for those that FEDWARDEN-MIB needs.

MIB_FOLDERS = (REPOSITORY / "mibs", REPOSITORY / "tests" / "demo" / "mibs")


def mib_environment(folder):
    """For Net-SNMP's programs: readable names, and nothing written outside `folder`."""
    return environment(MIBDIRS=":".join(map(str, MIB_FOLDERS)), MIBS="FEDWARDEN-MIB:SNMPv2-MIB",
                       SNMP_PERSISTENT_DIR=str(pathlib.Path(folder) / "persistent"))


class Notification(dict):
    """Values by object name, without module and instance; .type is the notification's name, .time (monotonic) when it
    was read."""

    def __init__(self, kind, values):
        super().__init__(values)
        self.type = kind
        self.time = time.monotonic()


def _readable(value):
    """Net-SNMP shows octets that are no text, such as an InetAddress, as hexadecimal in quotes."""
    octets = re.fullmatch(r'"((?:[0-9A-F]{2} ?)*)"', value)
    if not octets:
        return value
    octets = bytes.fromhex(octets.group(1))
    return str(ipaddress.ip_address(octets)) if len(octets) in (4, 16) else octets.hex()


class SnmpTrapd(Server):
    """Net-SNMP's receiver. Its file gets a line for each notification, the bindings apart by a unit separator, which
    the agent never sends."""

    SEPARATOR = "\x1f"

    def __init__(self, folder, name, address, port, community="public"):
        super().__init__(folder, name, address, port)
        self.community = community
        self.received = self.folder / "received"
        self.offset = 0
        self.notifications = []

    def prepare(self):
        (self.folder / "persistent").mkdir(exist_ok=True)
        self.received.touch()
        self.write("snmptrapd.conf", f"authCommunity log {self.community}\n"
                                     f"format2 %V{self.SEPARATOR}%v\\n\n")

    def command(self):
        return ["snmptrapd", "-f", "-n", "-X", "-C", "-c", self.folder / "snmptrapd.conf", "-Lf", self.received,
                "-OQUS", f"udp:{self.address}:{self.port}"]

    def environment(self):
        return mib_environment(self.folder)

    def ready(self):
        return udp_bound(self.address, self.port)

    def tail(self, lines=15):
        text = self.received.read_text(encoding="utf-8", errors="replace").replace(self.SEPARATOR, "  ")
        return "\n".join(text.splitlines()[-lines:])

    def read(self):
        """Takes in what came since; all notifications so far."""
        with open(self.received, "rb") as received:
            received.seek(self.offset)
            new = received.read()
        whole = new[:new.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.decode("utf-8", "replace").split("\n"):
            values = {}
            for binding in line.split(self.SEPARATOR):
                name, equals, value = binding.partition(" = ")
                if equals:
                    values[name.rpartition("::")[2].partition(".")[0]] = _readable(value)
            if "snmpTrapOID" in values:
                self.notifications.append(Notification(values["snmpTrapOID"].rpartition("::")[2], values))
        return self.notifications

    def wait(self, wanted, seconds, after=0):
        """The first notification from position `after` on for which wanted(notification) is true, or None."""
        def find():
            return next((n for n in self.read()[after:] if wanted(n)), None)
        return wait_until(find, seconds)


class Snmpd(Server):
    """Net-SNMP's agent as AgentX master, with notifications to trap_port. agentx: the socket's path."""

    def __init__(self, folder, name, address, port, trap_port=0, community="public"):
        super().__init__(folder, name, address, port)
        self.trap_port = trap_port
        self.community = community
        self.agentx = self.folder / "agentx"

    def prepare(self):
        (self.folder / "persistent").mkdir(exist_ok=True)
        sink = f"trap2sink {self.address}:{self.trap_port} {self.community}\n" if self.trap_port else ""
        self.write("snmpd.conf", f"agentAddress udp:{self.address}:{self.port}\n"
                                 f"rocommunity {self.community} {self.address}\n{sink}"
                                 f"master agentx\nagentXSocket {self.agentx}\n")

    def command(self):
        return ["snmpd", "-f", "-C", "-c", self.folder / "snmpd.conf", "-LE", "7", "-p", self.folder / "snmpd.pid"]

    def environment(self):
        return mib_environment(self.folder)

    def ready(self):
        return udp_bound(self.address, self.port) and self.agentx.exists()


class Manager(threading.Thread):
    """Listens to what a daemon tells its service manager (sd_notify), as systemd does: without pause, since the daemon
    would wait for a full socket. The lines stand in .told in the order of arrival."""

    END = b"END"

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path = str(path)
        self.told = []
        pathlib.Path(path).unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.start()

    def run(self):
        while True:
            message = self.socket.recv(4096)
            if message == self.END:
                break
            self.told += message.decode().splitlines()
        self.socket.close()

    def end(self):
        """What was told before is in .told when this returns."""
        if self.is_alive():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto(self.END, self.path)
            self.join()


class Fedwarden(Server):
    """The program itself: `fedwarden run` with the text of a configuration. .told: what its manager heard."""

    def __init__(self, folder, name, program, configuration, address="127.0.0.1", port=0):
        super().__init__(folder, name, address, port)
        self.program = program
        self.configuration = configuration
        self.manager = None

    @property
    def conf(self):
        return self.folder / "fedwarden.conf"

    @property
    def told(self):
        return self.manager.told if self.manager else []

    def prepare(self):
        (self.folder / "state").mkdir(exist_ok=True)
        self.write("fedwarden.conf", self.configuration)
        if self.manager:
            self.manager.end()
        self.manager = Manager(self.folder / "manager")

    def command(self):
        return [self.program, "run", "-c", self.conf]

    def environment(self):
        sanitizers = {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
        return environment(NOTIFY_SOCKET=str(self.folder / "manager"),
                           SNMP_PERSISTENT_DIR=str(self.folder / "state"), **sanitizers)

    def ready(self):
        return "READY=1" in self.told

    def stop(self):
        status = super().stop()
        if self.manager:
            self.manager.end()
        return status

    def reload(self, configuration, seconds=20):
        """SIGHUP with another text; returns when it says that it is done with it, good or bad."""
        seen = len(self.told)
        self.configuration = configuration
        self.write("fedwarden.conf", configuration)
        self.signal(signal.SIGHUP)
        if not wait_until(lambda: "READY=1" in self.told[seen:], seconds):
            raise LabError(f"{self.name} did not reload within {seconds} s:\n{self.tail()}")


def snmp(folder, tool, address, port, *arguments, options=("-OQUSt",), community="public"):
    """The output of one of Net-SNMP's tools, names readable."""
    return run(tool, "-v2c", "-c", community, "-t", "2", "-r", "2", *options, f"udp:{address}:{port}", *arguments,
               env=mib_environment(folder), timeout=30)
