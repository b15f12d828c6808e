"""fedwarden check against real DNS, TLS, XMPP and proxy servers and against peers that misbehave on purpose: every way to
fail by its one right reason, and the three ways in which it is told. Everything is in a network namespace of its own."""
import contextlib
import json
import os
import pathlib
import pty
import re
import select
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import lab  # noqa: E402
import lab_dns  # noqa: E402
import pki  # noqa: E402

PROGRAM = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY)) / "fedwarden"
HOST = "127.0.0.1"
BUDGETS = {"dns_try": 300, "dns": 900, "connect": 700, "proxy": 1500, "starttls": 1000, "tls": 1000, "after": 300,
           "walk": 6000}

ZONE = """$ORIGIN lab.test.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 5
@ NS ns
ns A 127.0.0.1
edge A 127.0.0.1
two A 127.0.0.1
two AAAA ::1
alias CNAME edge
empty TXT "no address"
_sipfederationtls._tcp.good SRV 10 10 {good} edge
_sipfederationtls._tcp.nodata TXT "not SRV"
_sipfederationtls._tcp.denied SRV 0 0 0 .
_sipfederationtls._tcp.aliased SRV 10 10 {good} alias
_sipfederationtls._tcp.hollow SRV 10 10 {good} empty
_sipfederationtls._tcp.gone SRV 10 10 {good} nowhere
_sipfederationtls._tcp.hosted SRV 10 10 {good} edge
_sipfederationtls._tcp.mixed SRV 10 10 {good} edge
_sipfederationtls._tcp.mixed SRV 20 10 {closed} edge
_sipfederationtls._tcp.several SRV 10 10 {good} two
_xmpp-server._tcp.xmpp SRV 10 10 {xmpp} edge
mail MX 10 edge
implicit A 127.0.0.1
@ MX 10 edge
split A 127.0.0.1
inside A 127.0.0.1
_sipfederationtls._tcp.unlike SRV 10 10 {good} edge
_sipfederationtls._tcp.split SRV 10 10 {good} split
_sipfederationtls._tcp.inside SRV 10 10 {good} inside
_sipfederationtls._tcp.private SRV 10 10 {good} edge
"""
# The same zone as the world outside sees it.
OUTSIDE = """$ORIGIN lab.test.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 5
@ NS ns
ns A 127.0.0.1
edge A 127.0.0.1
mail MX 10 edge
implicit MX 10 edge
split A 192.0.2.1
split A 192.0.2.2
_sipfederationtls._tcp.good SRV 10 10 {good} edge
_sipfederationtls._tcp.unlike SRV 10 20 {good} edge
_sipfederationtls._tcp.split SRV 10 10 {good} split
_sipfederationtls._tcp.inside SRV 10 10 {good} inside
"""


class Peer:
    """A TCP server whose connections `talk(connection)` handles, each in its own thread."""

    def __init__(self, talk):
        self.talk = talk
        self.said = []
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self.serve)]
        self.threads[0].start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            if self.talk is None:
                connection.close()
                return
            thread = threading.Thread(target=self.handle, args=(connection, self.talk))
            self.threads.append(thread)
            thread.start()

    def handle(self, connection, talk):
        with connection, contextlib.suppress(OSError, ssl.SSLError):
            connection.settimeout(5)
            talk(connection, self.said)

    def close(self):
        self.talk = None
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, self.port)).close()
        for thread in self.threads:
            thread.join()
        self.listener.close()


def reset(connection, _):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang_up(files):
    """Closes in the middle of its first flight, behind the ServerHello."""
    def talk(connection, _):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert, files.key)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(connection.recv(4096))
        with contextlib.suppress(ssl.SSLWantReadError):
            session.do_handshake()
        connection.sendall(outgoing.read()[:200])
    return talk


def mute(connection, said):
    while connection.recv(4096):
        said.append("octets")


def plaintext(connection, _):
    connection.sendall(b"SIP/2.0 400 Bad Request\r\n\r\n")
    connection.recv(4096)


def http_proxy(status):
    def talk(connection, said):
        said.append(read_head(connection))
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    return talk


def read_head(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(4096)
        if not more:
            break
        head += more
    return head.decode()


def relay(one, other):
    while True:
        readable, _, _ = select.select([one, other], [], [], 5)
        if not readable:
            return
        for source in readable:
            data = source.recv(65536)
            if not data:
                return
            (other if source is one else one).sendall(data)


def http_relay(connection, said):
    head = read_head(connection)
    said.append(head)
    address, _, port = head.split()[1].rpartition(":")
    with socket.create_connection((address.strip("[]"), int(port))) as upstream:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        relay(connection, upstream)


def socks5(reply):
    """RFC 1928; reply None: really connects."""
    def talk(connection, said):
        connection.recv(262)
        connection.sendall(b"\5\0")
        request = connection.recv(262)
        said.append(request)
        if reply is not None:
            connection.sendall(bytes([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]))
            return
        address, port = socket.inet_ntoa(request[4:8]), struct.unpack(">H", request[8:10])[0]
        with socket.create_connection((address, port)) as upstream:
            connection.sendall(b"\5\0\0\1\0\0\0\0\0\0")
            relay(connection, upstream)
    return talk


def smtp(files, starttls=True, answer=b"220 go ahead\r\n", greeting=b"220 lab ESMTP\r\n"):
    def talk(connection, said):
        connection.sendall(greeting)
        if not connection.recv(512).startswith(b"EHLO "):
            return
        connection.sendall(b"250-lab\r\n250-SIZE 1000\r\n" + (b"250-STARTTLS\r\n" if starttls else b"") + b"250 HELP\r\n")
        line = connection.recv(512)
        if not line.startswith(b"STARTTLS"):
            said.append(line.decode(errors="replace"))
            return
        connection.sendall(answer)
        if answer != b"220 go ahead\r\n":
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert, files.key)
        with context.wrap_socket(connection, server_side=True) as tls:
            said.append(tls.recv(512).decode())
    return talk


def sip(files, answer):
    """A TLS 1.3 server that asks for a certificate and says nothing by itself, not even a session ticket."""
    def talk(connection, said):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert, files.key)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(files.cert)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        with context.wrap_socket(connection, server_side=True) as tls:
            said.append(tls.recv(512))
            tls.sendall(answer) if answer else tls.recv(1)
    return talk


class World:
    """All servers of the tests, and the configuration whose partners meet them."""

    def __init__(self, folder, stack):
        self.folder = folder
        self.stack = stack
        self.partners = {}
        self.peers = {}
        self.make_certificates()
        self.make_tls()
        self.make_peers()
        self.make_dns()

    def make_certificates(self):
        names = ["DNS:edge.lab.test", "DNS:*.lab.test", "URI:sip:good.lab.test"]
        root = pki.root("Lab Root")
        sub = pki.intermediate(root, "Lab Issuing CA")
        stranger = pki.root("Stranger Root")
        self.ca = pki.bundle(self.folder, "ca.pem", [root])
        self.stranger_ca = pki.bundle(self.folder, "stranger.pem", [stranger])

        def write(name, leaf, chain=(sub,)):
            return pki.write(self.folder, name, leaf, chain)
        sip_names = ["URI:sip:" + name + ".lab.test" for name in
                     ("good", "aliased", "hosted", "mixed", "several", "unlike", "split", "inside", "private")]
        self.files = {
            "good": write("good", pki.leaf(sub, names + sip_names + ["DNS:edge.lab.test"])),
            "untrusted": write("untrusted", pki.leaf(stranger, names), (stranger,)),
            "incomplete": write("incomplete", pki.leaf(sub, names), ()),
            "wrong": write("wrong", pki.leaf(sub, ["DNS:other.test"])),
            "expired": write("expired", pki.leaf(sub, names, days=-3)),
            "early": write("early", pki.leaf(sub, names, before=-3)),
            "soon": write("soon", pki.leaf(sub, names, days=5)),
            "self": write("self", pki.self_signed(names), ()),
            "xmpp": write("xmpp", pki.leaf(sub, ["DNS:xmpp.lab.test", "DNS:edge.lab.test"])),
            "client": write("client", pki.leaf(sub, ["DNS:us.test"])),
            "client-stranger": write("client-stranger", pki.leaf(stranger, ["DNS:us.test"]), ()),
        }

    def s_server(self, name, files, *options):
        """Its port. "-www" answers one request and so reads what a client sends."""
        port = lab.free_port()
        chain = []
        mark = "-----BEGIN CERTIFICATE-----"
        rest = pathlib.Path(files.cert).read_text(encoding="ascii").split(mark)[2:]
        if rest:
            path = files.cert + ".chain"
            pathlib.Path(path).write_text("".join(mark + text for text in rest), encoding="ascii")
            chain = ["-cert_chain", path]

        class OpenSsl(lab.Server):
            def command(self):
                return ["openssl", "s_server", "-accept", f"{HOST}:{port}", "-cert", files.cert, "-key", files.key,
                        *chain, "-quiet", "-www", *options]

        server = OpenSsl(self.folder, "s_server-" + name, HOST, port)
        server.start()
        self.stack.callback(server.stop)
        return port

    def add(self, name, protocol="tls", host="edge.lab.test", **settings):
        settings = {"domain": "lab.test", "protocol": protocol, "resolvers": ["knot"], **settings}
        if host:
            settings.update(host=host, address=settings.get("address", HOST))
        words = "".join(f" {key} = {self.value(value)};" for key, value in settings.items())
        self.partners[name] = f'    {{ name = "{name}";{words} }}'

    @staticmethod
    def value(value):
        if isinstance(value, list):
            return "( " + ", ".join(f'"{item}"' for item in value) + " )"
        if isinstance(value, bool):
            return str(value).lower()
        return str(value) if isinstance(value, int) else f'"{value}"'

    def make_tls(self):
        for name, files, *options in (
                ("good", "good"), ("untrusted", "untrusted"), ("incomplete", "incomplete"), ("wrong", "wrong"),
                ("expired", "expired"), ("early", "early"), ("soon", "soon"), ("self", "self"),
                ("old", "good", "-tls1", "-cipher", "DEFAULT:@SECLEVEL=0"),
                ("demands", "good", "-Verify", "2", "-verify_return_error", "-CAfile", self.ca),
                ("demands12", "good", "-Verify", "2", "-verify_return_error", "-CAfile", self.ca, "-tls1_2"),
                ("strict", "good", "-Verify", "2", "-verify_return_error", "-CAfile", self.ca)):
            port = self.s_server(name, self.files[files], *options)
            self.peers[name] = port
            self.add(name, port=port)
        self.add("accepted", port=self.peers["demands"], trust="with-client")
        self.add("stranger", port=self.peers["strict"], trust="with-stranger")
        self.closed = lab.free_port()

        web = lab.Nginx(self.folder, "nginx", HOST, lab.free_port(), self.files["good"], "on", self.ca)
        web.start()
        self.stack.callback(web.stop)
        self.add("web", protocol="https", port=web.port)
        self.add("web-client", protocol="https", port=web.port, trust="with-client")
        xmpp = lab.Prosody(self.folder, "prosody", HOST, lab.free_port(), self.files["xmpp"], "xmpp.lab.test")
        xmpp.start()
        self.stack.callback(xmpp.stop)
        self.xmpp = xmpp.port
        self.add("xmpp", protocol="xmpp", domain="xmpp.lab.test", host="")

    def peer(self, talk):
        peer = Peer(talk)
        self.stack.callback(peer.close)
        return peer

    def make_peers(self):
        for name, talk in (("reset", reset), ("hang-up", hang_up(self.files["good"])), ("mute", mute), ("plaintext", plaintext)):
            self.add(name, port=self.peer(talk).port)
        self.add("refused", port=self.closed)
        self.add("dropped", address="127.0.0.2", port=5061)
        self.add("rejected", address="127.0.0.3", port=5061)
        self.add("no-route", address="192.0.2.1", port=5061)
        good = self.peers["good"]
        self.proxy = self.peer(http_relay)
        self.socks = self.peer(socks5(None))
        for name, scheme, port in (
                ("proxy", "http", self.proxy.port), ("proxy-auth", "http", self.peer(http_proxy("407 Who")).port),
                ("proxy-denied", "http", self.peer(http_proxy("403 No")).port),
                ("proxy-timeout", "http", self.peer(http_proxy("504 Slow")).port),
                ("proxy-mute", "http", self.peer(mute).port), ("proxy-gone", "http", self.closed),
                ("socks", "socks5", self.socks.port), ("socks-denied", "socks5", self.peer(socks5(2)).port),
                ("socks-refused", "socks5", self.peer(socks5(5)).port),
                ("socks-unreachable", "socks5h", self.peer(socks5(4)).port)):
            self.add(name, port=good, proxy=f"{scheme}://user:secret@{HOST}:{port}")

        class Tinyproxy(lab.Server):
            def prepare(self):
                self.write("conf", f'Port {self.port}\nListen {HOST}\nTimeout 10\nMaxClients 10\nConnectPort {good}\n'
                                   'LogLevel Critical\nDisableViaHeader Yes\n')

            def command(self):
                return ["tinyproxy", "-d", "-c", self.folder / "conf"]

        tiny = Tinyproxy(self.folder, "tinyproxy", HOST, lab.free_port())
        tiny.start()
        self.stack.callback(tiny.stop)
        self.add("tinyproxy", port=good, proxy=f"http://{HOST}:{tiny.port}")
        self.add("tinyproxy-port", port=self.closed, proxy=f"http://{HOST}:{tiny.port}")
        files = self.files["good"]
        self.pong, self.no_pong = self.peer(sip(files, b"\r\n")), self.peer(sip(files, b""))
        self.add("sip-pong", protocol="sip", domain="good.lab.test", port=self.pong.port, trust="with-client")
        self.add("sip-mute", protocol="sip", domain="good.lab.test", port=self.no_pong.port, trust="with-client")
        self.mail = self.peer(smtp(files))
        for name, peer in (("smtp", self.mail), ("smtp-none", self.peer(smtp(files, starttls=False))),
                           ("smtp-refuses", self.peer(smtp(files, answer=b"454 not now\r\n"))),
                           ("smtp-injected", self.peer(smtp(files, answer=b"220 go\r\n250 evil\r\n"))),
                           ("smtp-busy", self.peer(smtp(files, greeting=b"421 too busy\r\n"))),
                           ("smtp-http", self.peer(smtp(files, greeting=b"HTTP/1.1 400 Bad\r\n\r\n"))),
                           ("smtp-mute", self.peer(mute)), ("smtp-reset", self.peer(reset))):
            self.add(name, protocol="smtp", port=peer.port)
        self.add("mx", protocol="smtp", domain="mail.lab.test", host="", port=self.mail.port)
        self.add("implicit-mx", protocol="smtp", domain="implicit.lab.test", host="", port=self.mail.port)

    def make_dns(self):
        self.dns, silent, liar, hollow, outside = (lab.free_port() for _ in range(5))
        zone = ZONE.format(good=self.peers["good"], closed=self.closed, xmpp=self.xmpp)
        self.stack.enter_context(lab_dns.knot(str(self.folder / "knot"), self.dns, {
            "lab.test": zone, "broken.test": "$ORIGIN broken.test.\n@ SOA this is no zone\n"}))
        self.stack.enter_context(lab_dns.knot(str(self.folder / "outside"), outside, {"lab.test": OUTSIDE.format(
            good=self.peers["good"])}))
        self.stack.enter_context(lab_dns.OddResolver(silent, lambda query, count: []))
        self.stack.enter_context(lab_dns.OddResolver(liar, lambda query, count: [lab_dns.reply_wire(query, 3)]))
        self.stack.enter_context(lab_dns.OddResolver(hollow, lambda query, count: [lab_dns.reply_wire(query)]))
        self.resolvers = {"knot": self.dns, "silent": silent, "liar": liar, "hollow": hollow, "nowhere": "192.0.2.53",
                          "outside": outside}
        for name in ("good", "unlike", "split", "inside", "private"):
            self.add("view-" + name, protocol="sip", domain=name + ".lab.test", host="", views=["knot", "outside"])
        self.add("view-silent", protocol="sip", domain="good.lab.test", host="", views=["silent", "outside"])
        self.add("view-meant", protocol="sip", domain="split.lab.test", host="", views=["knot", "outside"],
                 expected=[f"split.lab.test:{self.peers['good']}", "127.0.0.1", "192.0.2.1", "192.0.2.2"], resolvers=["knot"])
        self.add("view-mail", protocol="smtp", domain="mail.lab.test", host="", port=self.mail.port,
                 views=["knot", "outside"])
        self.add("view-implicit", protocol="smtp", domain="implicit.lab.test", host="", port=self.mail.port,
                 views=["knot", "outside"])
        self.partners["view-host"] = (f'    {{ name = "view-host"; domain = "lab.test"; protocol = "tls"; '
                                      f'host = "split.lab.test"; port = {self.peers["good"]}; resolvers = ( "knot" ); '
                                      'views = ( "knot", "outside" ); sni = "edge.lab.test"; '
                                      'verify_name = "edge.lab.test"; }')
        for name in ("good", "nxdomain", "nodata", "denied", "aliased", "hollow", "gone", "hosted", "mixed", "several"):
            self.add("dns-" + name, protocol="sip", domain=name + ".lab.test", host="")
        self.add("dns-servfail", protocol="sip", domain="broken.test", host="")
        self.add("dns-refused", protocol="sip", domain="elsewhere.test", host="")
        self.add("dns-timeout", protocol="sip", domain="good.lab.test", host="", resolvers=["silent"])
        self.add("dns-unroutable", protocol="sip", domain="good.lab.test", host="", resolvers=["nowhere"])
        self.add("dns-lied", protocol="sip", domain="good.lab.test", host="", resolvers=["liar", "knot"])
        self.add("dns-hollowed", protocol="sip", domain="good.lab.test", host="", resolvers=["hollow", "knot"])
        self.add("dns-foreign", protocol="sip", domain="hosted.lab.test", host="", allowed_targets=["friend.test"])
        self.add("dns-allowed", protocol="sip", domain="hosted.lab.test", host="", allowed_targets=["lab.test"])
        self.add("dns-expected", protocol="sip", domain="good.lab.test", host="",
                 expected=[f"edge.lab.test:{self.peers['good']}", HOST])
        self.add("dns-unexpected", protocol="sip", domain="good.lab.test", host="", expected=["edge.lab.test:1"])
        self.add("dns-moved", protocol="sip", domain="good.lab.test", host="", expected=["127.0.0.9"])

    def configuration(self, collectors="", partners=None, **budgets):
        budgets = " ".join(f"{key} = {value};" for key, value in {**BUDGETS, **budgets}.items())
        client, stranger = self.files["client"], self.files["client-stranger"]
        resolvers = ",\n".join(f'    {{ name = "{name}"; ' + (f'address = "{HOST}"; port = {at}; }}' if isinstance(at, int)
                                                              else f'address = "{at}"; }}')
                               for name, at in self.resolvers.items())
        return f"""collectors: {{ {collectors} budgets: {{ {budgets} }}; }};
trusts: (
    {{ name = "lab"; ca_file = "{self.ca}"; }},
    {{ name = "with-client"; ca_file = "{self.ca}"; certificate = "{client.cert}"; key = "{client.key}"; }},
    {{ name = "with-stranger"; ca_file = "{self.ca}"; certificate = "{stranger.cert}"; key = "{stranger.key}"; }}
);
resolvers: (
{resolvers}
);
partners: (
{",".join(chr(10) + text for name, text in self.partners.items() if partners is None or name in partners)}
);
"""

    def write(self, name="fedwarden.conf", **what):
        path = self.folder / name
        path.write_text(self.configuration(**what), encoding="utf-8")
        return path


def block_addresses():
    """127.0.0.2 swallows what is sent to it; 127.0.0.3 says that it is prohibited."""
    rules = """table inet lab {
    chain input {
        type filter hook input priority 0;
        ip daddr 127.0.0.2 tcp dport 5061 drop
        ip daddr 127.0.0.3 tcp dport 5061 reject with icmp type admin-prohibited
    }
}
"""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, timeout=10)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    if not os.access(PROGRAM, os.X_OK):
        pytest.fail(f"{PROGRAM} is missing: build it, or set FEDWARDEN_BUILD")
    with contextlib.ExitStack() as stack:
        stack.enter_context(lab_dns.private_network())
        block_addresses()
        folder = pathlib.Path(tmp_path_factory.mktemp("check"))
        folder.chmod(0o755)
        made = World(folder, stack)
        made.write()
        yield made


def environment(**more):
    return {**lab.environment(), **{name: value for name, value in os.environ.items() if "SAN_OPTIONS" in name}, **more}


def fedwarden(*words, timeout=60, **more):
    return subprocess.run([PROGRAM, "check", *map(str, words)], capture_output=True, text=True, timeout=timeout,
                          check=False, env=environment(**more), stdin=subprocess.DEVNULL)


MEMBERS = {"partner": str, "domain": str, "protocol": str, "health": str, "reason": str, "code": int, "event": int,
           "stage": str, "who": str, "cause": str, "resolution": str, "detail": str, "duration_ms": int, "steps": list,
           "certificates": list, "peer_cas": list}
STEP_MEMBERS = {"stage": str, "state": str, "target": str, "address": str, "port": int, "reason": str, "ms": int,
                "resolver": str, "rcode": str, "alert": int, "tls_version": str, "cipher": str}
CERTIFICATE_MEMBERS = {"depth": int, "subject": str, "names": list, "issuer": str, "serial": str, "sha256": str,
                       "not_before": str, "not_after": str, "errors": list}
STATUS = {"ok": 0, "warning": 1, "critical": 2}


def check_shape(row):
    for thing, members in ((row, MEMBERS), *((step, STEP_MEMBERS) for step in row["steps"]),
                           *((c, CERTIFICATE_MEMBERS) for c in row["certificates"])):
        for name, kind in members.items():
            assert isinstance(thing[name], kind), (name, thing)
    assert "secret" not in json.dumps(row)


def look(world, partner):
    done = fedwarden("-c", world.folder / "fedwarden.conf", "--json", partner)
    assert done.stdout.count("\n") == 1, done.stdout + done.stderr
    row = json.loads(done.stdout)
    check_shape(row)
    assert row["partner"] == partner
    assert done.returncode == STATUS[row["health"]]
    return row


def step(row, stage):
    return [s for s in row["steps"] if s["stage"] == stage]


FAILURES = [
    ("dns-nxdomain", "dnsNxDomain", "srv"), ("dns-nodata", "dnsNoData", "srv"), ("dns-servfail", "dnsServFail", "srv"),
    ("dns-refused", "dnsRefused", "srv"), ("dns-timeout", "dnsTimeout", "srv"),
    ("dns-unroutable", "netUnreachable", "srv"), ("dns-denied", "dnsServiceDenied", "srv"),
    ("dns-aliased", "dnsSrvBadTarget", "address"), ("dns-hollow", "dnsSrvBadTarget", "address"),
    ("dns-gone", "dnsNxDomain", "address"), ("dns-foreign", "dnsSrvForeignTarget", "srv"),
    ("dns-unexpected", "dnsUnexpectedAnswer", "srv"), ("dns-moved", "dnsUnexpectedAnswer", "address"),
    ("view-unlike", "dnsUnexpectedAnswer", "srv"), ("view-split", "dnsUnexpectedAnswer", "srv"),
    ("view-inside", "dnsSrvBadTarget", "srv"), ("view-private", "dnsNxDomain", "srv"), ("view-silent", "dnsTimeout", "srv"),
    ("view-implicit", "dnsUnexpectedAnswer", "srv"), ("view-host", "dnsUnexpectedAnswer", "address"),
    ("refused", "tcpRefused", "connect"), ("dropped", "tcpTimeout", "connect"), ("reset", "tcpReset", "tls"),
    ("rejected", "adminProhibited", "connect"), ("no-route", "netUnreachable", "connect"),
    ("proxy-gone", "proxyUnreachable", "connect"), ("proxy-auth", "proxyAuthRequired", "proxy"),
    ("proxy-denied", "proxyDenied", "proxy"), ("proxy-timeout", "tcpTimeout", "proxy"),
    ("proxy-mute", "tcpTimeout", "proxy"), ("socks-denied", "proxyDenied", "proxy"),
    ("socks-refused", "tcpRefused", "proxy"), ("socks-unreachable", "hostUnreachable", "proxy"),
    ("tinyproxy-port", "proxyDenied", "proxy"),
    ("smtp-none", "tlsStartTlsNotOffered", "starttls"), ("smtp-refuses", "tlsStartTlsRefused", "starttls"),
    ("smtp-injected", "tlsProtocolViolation", "starttls"), ("smtp-busy", "appOverloaded", "starttls"),
    ("smtp-http", "appProtocolError", "starttls"), ("smtp-mute", "appTimeout", "starttls"),
    ("smtp-reset", "tcpReset", "starttls"),
    ("untrusted", "tlsUntrustedRoot", "tls"),
    ("wrong", "tlsWrongPrincipal", "tls"), ("expired", "tlsExpired", "tls"), ("early", "tlsNotYetValid", "tls"),
    ("self", "tlsSelfSigned", "tls"), ("soon", "tlsExpiringSoon", "certificate"), ("old", "tlsNoSharedProtocol", "tls"),
    ("demands", "tlsClientCertRequired", "tls"), ("demands12", "tlsClientCertRequired", "tls"),
    ("stranger", "tlsClientCertRejectedCa", "tls"), ("web", "tlsClientCertRequired", "client"),
    ("hang-up", "tlsClosedDuringHandshake", "tls"), ("mute", "tlsHandshakeTimeout", "tls"),
    ("plaintext", "tlsPlaintext", "tls"),
]


@pytest.mark.parametrize("partner, reason, stage", FAILURES, ids=[f[0] for f in FAILURES])
def test_reason(world, partner, reason, stage):
    row = look(world, partner)
    assert (row["reason"], row["stage"]) == (reason, stage), row
    assert row["cause"] and row["resolution"] and row["who"] != "none" and row["event"] > 0
    failed = [s for s in row["steps"] if s["state"] == "failed"]
    assert failed and all(s["reason"] != "none" for s in failed)


HEALTHY = ["good", "accepted", "web-client", "xmpp", "smtp", "mx", "implicit-mx", "proxy", "socks", "tinyproxy", "dns-good",
           "dns-allowed", "dns-expected", "dns-hosted", "dns-lied", "dns-hollowed",
           "view-good", "view-meant", "view-mail", "sip-pong", "sip-mute"]


@pytest.mark.parametrize("partner", HEALTHY)
def test_healthy(world, partner):
    row = look(world, partner)
    assert (row["health"], row["reason"], row["code"], row["who"]) == ("ok", "none", 1, "none"), row
    assert row["event"] == 0 and row["cause"] == row["resolution"] == ""
    assert all(s["state"] == "ok" for s in row["steps"])
    assert step(row, "tls")[0]["tls_version"] in ("1.2", "1.3") and step(row, "tls")[0]["cipher"]
    assert [c["depth"] for c in row["certificates"]] == [0, 1]
    assert all(c["errors"] == [] for c in row["certificates"])


def test_incomplete_chain(world):
    """It is told from an untrusted one by what other peers sent: the good one is met first."""
    path = world.write("one-by-one.conf", collectors="in_flight = 1;")
    done = fedwarden("-c", path, "--json", "good", "incomplete")
    row = json.loads(done.stdout.splitlines()[1])
    check_shape(row)
    assert (row["reason"], row["stage"]) == ("tlsIncompleteChain", "tls")
    leaf = row["certificates"][0]
    assert "Lab Issuing CA" in leaf["issuer"] and "DNS:edge.lab.test" in leaf["names"]
    assert leaf["errors"] == ["tlsIncompleteChain"] and "Lab Issuing CA" in row["detail"]
    assert re.fullmatch(r"[0-9a-f]{64}", leaf["sha256"]) and re.fullmatch(r"[0-9a-f]+", leaf["serial"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", leaf["not_after"])


def test_views_name_what_each_resolver_answers(world):
    inside, outside = (f"{HOST}:{world.resolvers[name]}" for name in ("knot", "outside"))
    port = world.peers["good"]
    for name, view, resolver, words in (
            ("good", "knot", inside, "1 target; edge.lab.test 127.0.0.1"),
            ("good", "outside", outside, "1 target; edge.lab.test 127.0.0.1"),
            ("unlike", "outside", outside, f'resolver "outside" has 10 20 edge.lab.test:{port} and lacks '
                                           f'10 10 edge.lab.test:{port}, unlike "knot"'),
            ("split", "outside", outside, 'split.lab.test is 192.0.2.1, 192.0.2.2 for resolver "outside" but 127.0.0.1 '
                                          'for "knot"'),
            ("inside", "outside", outside, "target inside.lab.test has neither an A nor an AAAA record for "
                                          'resolver "outside"'),
            ("private", "outside", outside, f"_sipfederationtls._tcp.private.lab.test SRV: NXDOMAIN from {outside}")):
        row = look(world, "view-" + name)
        found = [s for s in step(row, "srv") if s["target"] == f"_sipfederationtls._tcp.{name}.lab.test@{view}"]
        assert [(s["resolver"], s["detail"]) for s in found] == [(resolver, words)], row["steps"]


def test_a_resolver_that_denies_alone_is_named(world):
    for name, says in (("dns-lied", "NXDOMAIN from"), ("dns-hollowed", "record from")):
        row = look(world, name)
        liar = f"{HOST}:{world.resolvers['liar' if name == 'dns-lied' else 'hollow']}"
        for stage in ("srv", "address"):
            found = step(row, stage)[0]
            assert found["resolver"] == f"{HOST}:{world.dns}" and f"{says} {liar}" in found["detail"], found


def test_dns_is_attributed(world):
    row = look(world, "dns-nxdomain")
    first = row["steps"][0]
    assert (first["stage"], first["rcode"], first["resolver"]) == ("srv", "NXDOMAIN", f"{HOST}:{world.dns}")
    assert first["target"] == "_sipfederationtls._tcp.nxdomain.lab.test"
    assert step(look(world, "dns-timeout"), "srv")[0]["rcode"] == ""


def test_every_address_is_an_endpoint(world):
    row = look(world, "dns-several")
    assert row["reason"] == "tcpRefused"
    assert [(s["address"], s["state"]) for s in step(row, "connect")] == [("127.0.0.1", "ok"), ("::1", "failed")]
    assert len(row["certificates"]) == 2


def test_every_port_is_an_endpoint(world):
    row = look(world, "dns-mixed")
    assert row["reason"] == "tcpRefused"
    assert [(s["port"], s["state"]) for s in step(row, "connect")] == [(world.peers["good"], "ok"),
                                                                      (world.closed, "failed")]


def test_later_stages_are_skipped(world):
    row = look(world, "refused")
    assert [(s["stage"], s["state"]) for s in row["steps"]] == [
        ("connect", "failed"), ("tls", "skipped"), ("certificate", "skipped"), ("name", "skipped"), ("client", "skipped")]


def test_filter_is_named_by_its_message(world):
    assert "ICMP" in look(world, "rejected")["detail"] or "prohibited" in look(world, "rejected")["detail"]


def test_proxy_sees_the_address_and_no_secret_is_told(world):
    row = look(world, "proxy")
    head = world.proxy.said[-1]
    assert head.startswith(f"CONNECT {HOST}:{world.peers['good']} HTTP/1.1\r\n")
    assert [s["stage"] for s in row["steps"]][:2] == ["connect", "proxy"]
    assert [(s["address"], s["port"]) for s in row["steps"][:2]] == [("", 0), (HOST, world.peers["good"])]
    assert f"http://{HOST}:{world.proxy.port}" in row["steps"][0]["detail"], "it is the proxy that we connect to"
    for partner in ("proxy-auth", "proxy-denied", "proxy-gone", "socks-denied"):
        assert f"{HOST}:" in look(world, partner)["detail"]


def test_environment_names_no_proxy(world):
    for partner in ("good", "proxy"):
        done = fedwarden("-c", world.folder / "fedwarden.conf", "--json", partner, no_proxy="*",
                         http_proxy=f"http://{HOST}:{world.closed}", ALL_PROXY=f"http://{HOST}:{world.closed}")
        assert json.loads(done.stdout)["reason"] == "none"


def test_smtp_is_left_politely(world):
    look(world, "smtp")
    assert lab.wait_until(lambda: world.mail.said, 5)
    assert world.mail.said[-1] == "QUIT\r\n"


def test_client_certificate(world):
    client = step(look(world, "accepted"), "client")[0]
    assert client["state"] == "ok" and "accepted" in client["detail"]
    assert "not asked for" in step(look(world, "good"), "client")[0]["detail"]


def test_client_certificate_is_proven_by_a_keepalive(world):
    assert "accepted" in step(look(world, "sip-pong"), "client")[0]["detail"]
    assert world.pong.said[-1] == b"\r\n\r\n"
    unproven = look(world, "sip-mute")
    assert "not refused" in step(unproven, "client")[0]["detail"]
    assert 2 * BUDGETS["after"] <= unproven["duration_ms"] < 2 * BUDGETS["after"] + 1000


def test_many_in_order_and_the_worst_status(world):
    names = ["good", "expired", "soon", "dns-good"]
    done = fedwarden("-c", world.folder / "fedwarden.conf", "--json", *reversed(names))
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["partner"] for row in rows] == names
    assert [row["health"] for row in rows] == ["ok", "critical", "warning", "ok"]
    assert done.returncode == 2
    done = fedwarden("-c", world.folder / "fedwarden.conf", "--json", "good", "soon")
    assert done.returncode == 1


def test_all_at_once(world):
    done = fedwarden("-c", world.folder / "fedwarden.conf", "--json")
    rows = {row["partner"]: row["reason"] for row in map(json.loads, done.stdout.splitlines())}
    assert list(rows) == list(world.partners)
    assert rows.pop("incomplete") in ("tlsIncompleteChain", "tlsUntrustedRoot")  # as the order happens to be
    assert rows == {**{name: "none" for name in HEALTHY}, **{name: reason for name, reason, _ in FAILURES},
                    "dns-mixed": "tcpRefused", "dns-several": "tcpRefused", "strict": "tlsClientCertRequired"}


LAB_ROOT = "CN=Lab Root,O=fedwarden test"


@pytest.mark.parametrize("partner, cas, detail", [
    ("good", [], "not asked for"), ("accepted", [LAB_ROOT], "asked for, sent and accepted"),
    ("web-client", [LAB_ROOT], "asked for, sent and accepted"), ("demands", [LAB_ROOT], "a certificate was asked for"),
    ("stranger", [LAB_ROOT], f'; the issuer of ours is none of the 1 CAs that it names: "{LAB_ROOT}"'),
    ("web", [LAB_ROOT], f'; it takes those of the 1 CAs that it names: "{LAB_ROOT}"')])
def test_whose_client_certificates_it_takes(world, partner, cas, detail):
    row = look(world, partner)
    assert row["peer_cas"] == cas
    client = step(row, "client")
    assert len(client) == 1 and detail in client[0]["detail"], row
    verbose = fedwarden("-c", world.folder / "fedwarden.conf", "-v", partner).stdout
    assert [line.split()[1:] for line in verbose.splitlines() if line.split()[:1] == ["takes"]] == [ca.split() for ca in cas]


def test_text_of_one(world):
    done = fedwarden("-c", world.folder / "fedwarden.conf", "expired")
    lines = done.stdout.splitlines()
    assert re.match(r"expired  lab\.test  TLS +CRITICAL  tlsExpired \(304\)$", lines[0])
    assert any(line.startswith("  + connect      127.0.0.1:") for line in lines)
    assert any(line.startswith("  x TLS") for line in lines)
    assert any("leaf" in line and "ended 3 days ago  <- tlsExpired" in line for line in lines)
    assert any(re.match(r"  cause       [a-z.]+\.lab\.test's certificate \(or one in its chain\) has expired\.$", line)
               for line in lines)
    assert any(line.startswith("  resolution  Ask expired") and "to renew; check this host's clock: ended 20" in line
               for line in lines)
    assert any(line.startswith("  who acts    partner") for line in lines)
    assert done.stdout.isascii() and "\033" not in done.stdout and done.stderr == ""
    assert done.returncode == 2


def test_text_of_many(world):
    done = fedwarden("-c", world.folder / "fedwarden.conf", "good", "expired", "refused")
    lines = done.stdout.splitlines()
    assert [line.split()[:3] for line in lines[:2]] == [["expired", "CRITICAL", "tlsExpired"],
                                                        ["refused", "CRITICAL", "tcpRefused"]]
    assert re.fullmatch(r"3 partners: 2 critical, 0 warning, 1 ok, in \d+\.\d s", lines[-1])
    verbose = fedwarden("-c", world.folder / "fedwarden.conf", "-v", "good", "expired", "refused").stdout
    assert len(re.findall(r"^  [+x] connect ", verbose, re.MULTILINE)) == 3


def on_terminal(words, **more):
    """What it writes when all of its streams are a terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen([PROGRAM, "check", *map(str, words)], stdin=slave, stdout=slave, stderr=slave, close_fds=True,
                          env=environment(TERM="xterm", **more)) as process:
        os.close(slave)
        seen = b""
        with contextlib.suppress(OSError):  # EIO is the end of a terminal
            while True:
                more = os.read(master, 4096)
                if not more:
                    break
                seen += more
        os.close(master)
        process.wait(30)
    return seen.decode()


def test_terminal(world):
    seen = on_terminal(["-c", world.folder / "fedwarden.conf", "expired"])
    assert "\u2713" in seen and "\u2717" in seen and "\033[1;31mCRITICAL\033[0m" in seen
    assert "\033" not in on_terminal(["-c", world.folder / "fedwarden.conf", "expired"], NO_COLOR="1")
    plain = on_terminal(["-c", world.folder / "fedwarden.conf", "expired"], LC_ALL="C")
    assert plain.isascii() and "\033[1;31m" in plain


def test_progress(world):
    names = ["good", "soon", "expired", "refused", "mute", "dropped", "wrong"]
    seen = on_terminal(["-c", world.folder / "fedwarden.conf", *names])
    assert re.search(r"\r\[[#.]{24}\] \d/7, \d failing, \S+ left\033\[K", seen)
    assert re.search(r"7 partners: \d critical, 1 warning, 1 ok", seen)
    assert "left" not in on_terminal(["-c", world.folder / "fedwarden.conf", *names[:3]])


NAGIOS = r"FEDWARDEN ([A-Z]+) - ([^|\n]*) \| time=\d+\.\d{3}s;;;0 cert_days=(-?\d+|U);30;7 endpoints_ok=(\d+);;;0;(\d+)\n"


@pytest.mark.parametrize("partner, state, text, days, ok", [
    ("good", "OK", "good: healthy, certificate ends in 59 days", "59", "1"),
    ("soon", "WARNING", "soon: tlsExpiringSoon, ", "4", "0"),
    ("wrong", "CRITICAL", "wrong: tlsWrongPrincipal, ", "59", "0"),
    ("refused", "CRITICAL", "refused: tcpRefused, Connection refused (partner acts)", "U", "0"),
    ("demands", "CRITICAL", "demands: tlsClientCertRequired, ", "59", "0"),
])
def test_nagios(world, partner, state, text, days, ok):
    done = fedwarden("-c", world.folder / "fedwarden.conf", "--nagios", partner)
    found = re.fullmatch(NAGIOS, done.stdout)
    assert found, done.stdout
    assert found[1] == state and found[2].startswith(text) and found[3] == days and (found[4], found[5]) == (ok, "1")
    assert done.returncode == ["OK", "WARNING", "CRITICAL"].index(state)


def test_nagios_of_many(world):
    done = fedwarden("-c", world.folder / "fedwarden.conf", "--nagios", "good", "soon", "expired")
    found = re.fullmatch(NAGIOS, done.stdout)
    assert found and found[1] == "CRITICAL"
    assert found[2] == "2 of 3 partners fail: expired tlsExpired, soon tlsExpiringSoon"


def test_closed_standard_descriptors_are_no_sockets(world):
    """Otherwise a peer's socket would get the number of standard output, and what we print."""
    def listen(connection, said):
        said.append(connection.recv(4096))
        connection.recv(4096)
    peer = world.peer(listen)
    conf = world.folder / "closed.conf"
    conf.write_text('partners: ( { name = "listens"; domain = "lab.test"; protocol = "tls"; '
                    f'address = "{HOST}"; port = {peer.port}; }} );\n', encoding="utf-8")
    process = subprocess.Popen(["sh", "-c", 'exec "$0" check -c "$1" <&- >&- 2>&-', PROGRAM, conf], env=environment())
    try:
        assert lab.wait_until(lambda: peer.said, 10)
        assert {os.readlink(f"/proc/{process.pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}
    finally:
        process.kill()
        process.wait(10)


def test_check_config_tries_certificates_and_keys(world):
    def check_config(trust):
        path = world.folder / "own.conf"
        path.write_text(f'trusts: ( {{ name = "ours"; {trust} }} );\n', encoding="ascii")
        return subprocess.run([PROGRAM, "check-config", "-c", path], capture_output=True, text=True, timeout=30,
                              check=False, env=environment())
    client, other, ca = world.files["client"], world.files["good"], f'ca_file = "{world.ca}";'
    done = check_config(f'{ca} certificate = "{client.cert}"; key = "{client.key}";')
    assert (done.returncode, done.stderr) == (0, "")
    done = check_config(f'{ca} certificate = "{client.cert}"; key = "{other.key}";')
    assert (done.returncode, done.stdout) == (1, "")
    assert 'own.conf: trust profile "ours": ' in done.stderr and "key" in done.stderr


def test_check_config_reads_the_access_file(world):
    """All mistakes at once: those of the file in snmpd.conf's words beside the others."""
    def check_config(access, key):
        path, snmp = world.folder / "agent.conf", world.folder / "access.conf"
        snmp.write_text(access, encoding="ascii")
        path.write_text(f'agent: {{ mode = "standalone"; listen = "udp:{HOST}:1"; access_file = "{snmp}"; }};\n'
                        f'trusts: ( {{ name = "t"; certificate = "{world.files["client"].cert}"; key = "{key}"; }} );\n',
                        encoding="ascii")
        return subprocess.run([PROGRAM, "check-config", "-c", path], capture_output=True, text=True, timeout=30,
                              check=False, env=environment())
    done = check_config("rocommunity public 127.0.0.1\ncreateUser bob SHA longenough AES\nrouser bob\n",
                        world.files["client"].key)
    assert (done.returncode, done.stderr) == (0, "")
    done = check_config("rocommunity public 127.0.0.1\nnonsense 1\nrouser\n", world.files["good"].key)
    assert (done.returncode, done.stdout) == (1, "")
    for what in ("access.conf: line 2:", "nonsense", "access.conf: line 3:", 'trust profile "t"'):
        assert what in done.stderr


def test_output_that_cannot_be_written_is_told():
    for words in (["explain", "304"], ["check", "--help"], ["match", "--preset", "postfix", "/dev/null"]):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30,
                                  check=False, env={**environment(), "FEDWARDEN_PRESETS": f"{lab.REPOSITORY}/conf/presets"})
        assert done.returncode == 3
        assert done.stderr == f"fedwarden {words[0]}: what it printed could not be written: No space left on device\n"


def test_unknown_partner(world):
    done = fedwarden("-c", world.folder / "fedwarden.conf", "expird")
    assert done.returncode == 3 and 'Did you mean "expired"?' in done.stderr and done.stdout == ""
    done = fedwarden("-c", world.folder / "fedwarden.conf", "--nagios", "expird")
    assert done.returncode == 3 and done.stdout.startswith("FEDWARDEN UNKNOWN - ")


def test_wrong_use(world):
    for words in (["--protocol", "gopher", "lab.test"], ["--protocol", "sip"], ["--nonsense"], ["--json", "--nagios"],
                  ["-c", world.folder / "absent.conf"]):
        done = fedwarden(*words)
        assert done.returncode == 3 and done.stderr, words
    bad = world.folder / "bad.conf"
    bad.write_text('partners: ( { name = "x"; } );\n', encoding="ascii")
    done = fedwarden("-c", bad, "--json")
    assert done.returncode == 3 and "bad.conf:1: " in done.stderr and done.stdout == ""


def test_without_a_configuration(world, tmp_path):
    """The resolvers of /etc/resolv.conf are asked, which a mount namespace lets us say."""
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.5\noptions timeout:1 attempts:1\n", encoding="ascii")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'mount --bind {resolv} /etc/resolv.conf && exec "$@"', "sh", PROGRAM, "check",
         "--protocol", "sip", "--json", "good.lab.test", "nxdomain.lab.test"], text=True, capture_output=True,
        timeout=60, check=False, env=environment())
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["domain"] for row in rows] == ["good.lab.test", "nxdomain.lab.test"], done.stderr
    assert all(row["reason"] == "dnsTimeout" and row["protocol"] == "sip" for row in rows)
    assert done.returncode == 2


def test_many_walks_share_the_time(world):
    """Forty black holes at once take as long as one."""
    with contextlib.ExitStack() as stack:
        before = dict(world.partners)
        stack.callback(lambda: (world.partners.clear(), world.partners.update(before)))
        for i in range(40):
            world.add(f"hole{i}", address="127.0.0.2", port=5061)
        path = world.write("holes.conf", partners=[f"hole{i}" for i in range(40)])
        began = time.monotonic()
        done = fedwarden("-c", path, "--json")
        took = time.monotonic() - began
    assert [json.loads(line)["reason"] for line in done.stdout.splitlines()] == ["tcpTimeout"] * 40
    assert took < 10 * BUDGETS["connect"] / 1000


def test_the_whole_walk_has_an_end(world):
    """What is under way when its time is over ends with its own stage's timeout."""
    names = {"mute": "tlsHandshakeTimeout", "dropped": "tcpTimeout", "smtp-mute": "appTimeout", "proxy-mute": "tcpTimeout",
             "dns-timeout": "dnsTimeout"}
    path = world.write("short.conf", partners=names, walk=300, dns_try=5000, dns=9000, connect=9000, proxy=9000,
                       starttls=9000, tls=9000)
    for name, reason in names.items():
        done = fedwarden("-c", path, "--json", name)
        row = json.loads(done.stdout)
        assert row["reason"] == reason, row
        assert 300 <= row["duration_ms"] < 1500


def test_handshakes_are_paced(world):
    """One a second: the third begins two seconds after the first, and its partner is not blamed for it."""
    path = world.write("paced.conf", collectors="handshakes_per_second = 1;", walk=500)
    began = time.monotonic()
    done = fedwarden("-c", path, "--json", "good", "soon", "accepted")
    assert time.monotonic() - began > 1.9
    assert [json.loads(line)["reason"] for line in done.stdout.splitlines()] == ["none", "tlsExpiringSoon", "none"]


def test_endpoints_are_capped(world):
    path = world.write("capped.conf", collectors="endpoints_per_partner = 1;")
    row = json.loads(fedwarden("-c", path, "--json", "dns-several").stdout)
    assert len(step(row, "connect")) == 1 and row["reason"] == "none"
    assert "1 of them not probed" in step(row, "address")[0]["detail"]


def test_tools_are_there():
    for tool in ("nft", "openssl", "nginx", "prosody", "tinyproxy"):
        assert shutil.which(tool, path=lab.PATH), f"{tool} is missing: see tests/packages.sh"
