"""DNS servers for tests: knot, unbound, and resolvers that misbehave on purpose.

All of them are meant to run in a network namespace of their own: see private_network.
"""

import contextlib
import ctypes
import os
import shutil
import socket
import struct
import subprocess
import threading
import time

CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def private_network():
    """This thread and what it starts are in a new network namespace with nothing but loopback. OSError without rights."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            if libc.setns(before, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(before)


def name_wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def query_wire(name, rtype, number=1):
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + name_wire(name) + struct.pack(">2H", rtype, 1)


def question_end(query):
    at = 12
    while query[at]:
        at += 1 + query[at]
    return at + 5


def reply_wire(query, rcode=0, answers=(), flags=0x8000, options=None, extended=0):
    """A reply to `query`: answers are (type, ttl, data) of the name asked; options the data of OPT, None without OPT;
    extended the upper bits of the rcode, which OPT holds."""
    extra = b"" if options is None else b"\0" + struct.pack(">HHIH", 41, 1232, extended << 24, len(options)) + options
    records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", rtype, 1, ttl, len(data)) + data
                       for rtype, ttl, data in answers)
    return (query[:2] + struct.pack(">5H", flags | rcode, 1, len(answers), 0, int(options is not None)) +
            query[12:question_end(query)] + records + extra)


class Server:
    """A real server as a child, known to answer when it is returned, ended with its context."""

    def __init__(self, command, folder, port, probe):
        self.port = port
        self.log = os.path.join(folder, "log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            self.await_reply(probe)
        except Exception:
            self.stop()
            raise

    def await_reply(self, probe):
        end = time.monotonic() + 20
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", self.port))
            sock.settimeout(0.2)
            while time.monotonic() < end and self.process.poll() is None:
                with contextlib.suppress(OSError):
                    sock.send(probe)
                    if len(sock.recv(4096)) >= 12:
                        return
                if self.process.poll() is None:  # refused: recv returned at once
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self.process.wait(0.05)
        with open(self.log, encoding="utf-8", errors="replace") as log:
            raise RuntimeError(f"{self.process.args[0]} does not answer on port {self.port}:\n{log.read()[-2000:]}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def knot(folder, port, zones):
    """knotd with `zones`, a dict of origin -> text of the zone file."""
    os.makedirs(folder)
    lines = ["server:", f"    rundir: {folder}", f"    listen: [127.0.0.1@{port}, ::1@{port}]", "    udp-workers: 1",
             "    tcp-workers: 1", "    background-workers: 1", "    udp-max-payload: 1232",
             "database:", f"    storage: {folder}", "log:", "  - target: stderr", "    any: warning", "zone:"]
    for origin, text in zones.items():
        path = os.path.join(folder, origin + ".zone")
        with open(path, "w", encoding="ascii") as zone:
            zone.write(text)
        lines += [f"  - domain: {origin}", f"    file: {path}", "    zonefile-load: whole", "    journal-content: none",
                  "    semantic-checks: soft"]
    config = os.path.join(folder, "knot.conf")
    with open(config, "w", encoding="ascii") as out:
        out.write("\n".join(lines) + "\n")
    return Server([shutil.which("knotd") or "/usr/sbin/knotd", "-c", config], folder, port,
                  query_wire(next(iter(zones)), 6))


def sign(folder, origin, text, when=None):
    """The zone `origin` of `text` as kzonesign signs it at the time `when`, and its DS records for a file of anchors."""
    os.makedirs(folder)
    path, config, out = (os.path.join(folder, name) for name in ("zone", "knot.conf", "out"))
    os.makedirs(out)
    with open(path, "w", encoding="ascii") as zone:
        zone.write(text)
    with open(config, "w", encoding="ascii") as lines:
        lines.write(f"""server:
    rundir: {folder}
database:
    storage: {folder}
policy:
  - id: lab
    algorithm: ecdsap256sha256
    single-type-signing: on
    rrsig-lifetime: 5d
    rrsig-refresh: 1d
zone:
  - domain: {origin}
    file: {path}
    dnssec-signing: on
    dnssec-policy: lab
""")
    subprocess.run([shutil.which("kzonesign") or "/usr/sbin/kzonesign", "-c", config, "-o", out,
                    *(["-t", str(int(when))] if when else []), origin], check=True, capture_output=True, timeout=20)
    anchors = subprocess.run([shutil.which("keymgr") or "/usr/sbin/keymgr", "-c", config, origin, "ds"], check=True,
                             capture_output=True, text=True, timeout=20).stdout
    with open(os.path.join(out, os.listdir(out)[0]), encoding="ascii") as signed:
        return signed.read(), anchors


def unbound(folder, port, extra):
    """unbound without contact to anything but what `extra`, lines of its configuration, names."""
    os.makedirs(folder)
    config = os.path.join(folder, "unbound.conf")
    with open(config, "w", encoding="ascii") as out:
        out.write(f"""server:
    interface: 127.0.0.1@{port}
    interface: ::1@{port}
    access-control: 127.0.0.0/8 allow
    access-control: ::1/128 allow
    username: ""
    chroot: ""
    directory: "{folder}"
    pidfile: "{folder}/pid"
    use-syslog: no
    logfile: ""
    do-daemonize: no
    do-not-query-localhost: no
    num-threads: 1
    ede: yes
    ede-serve-expired: no
    module-config: "validator iterator"
    root-hints: ""
    cache-max-negative-ttl: 1
    outbound-msg-retry: 1
{extra}
""")
    return Server([shutil.which("unbound") or "/usr/sbin/unbound", "-d", "-c", config], folder, port,
                  query_wire("localhost", 1))


def framed(message):
    return struct.pack(">H", len(message)) + message


class OddResolver:
    """A resolver whose UDP replies `respond(query, count)` makes: an iterable of datagrams, empty for silence. With
    `stream` it listens on TCP too: stream(query) makes what is sent, piece by piece, until it ends or the peer goes."""

    def __init__(self, port, respond, stream=None):
        self.respond = respond
        self.stream = stream
        self.queries = []
        self.sources = []
        self.closing = threading.Event()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", port))
        self.threads = [threading.Thread(target=self.serve)]
        if stream:
            self.listener = socket.create_server(("127.0.0.1", port))
            self.threads.append(threading.Thread(target=self.accept))
        for thread in self.threads:
            thread.start()

    def serve(self):
        while True:
            query, source = self.sock.recvfrom(4096)
            if self.closing.is_set():
                return
            self.queries.append(query)
            self.sources.append(source[1])
            for datagram in self.respond(query, len(self.queries)):
                if self.closing.is_set():
                    return
                with contextlib.suppress(OSError):  # the asker may be gone
                    self.sock.sendto(datagram, source)

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            if self.closing.is_set():
                connection.close()
                return
            thread = threading.Thread(target=self.converse, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def converse(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            query = connection.recv(4096)[2:]
            if len(query) < 12:
                return
            for piece in self.stream(query):
                if self.closing.is_set():
                    return
                connection.sendall(piece)

    def pause(self, seconds):
        """For responders: a wait that ends early when the resolver is closed."""
        self.closing.wait(seconds)

    def close(self):
        self.closing.set()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self.sock.getsockname())
        if self.stream:
            with contextlib.suppress(OSError):
                socket.create_connection(self.listener.getsockname(), 2).close()
        for thread in self.threads:
            thread.join()
        self.sock.close()
        if self.stream:
            self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
