"""The mutual-TLS acceptor with real clients: for each certificate the one right line and event, over TLS 1.2 and 1.3, with
RSA and ECDSA; and what strangers do: plain text, silence, an octet a second, too many of them. Everything runs in a network
namespace of its own."""
import collections
import contextlib
import http.server
import json
import os
import pathlib
import socket
import ssl
import subprocess
import threading
import time

import pytest

import lab
import lab_pki
import pki

BUILD = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY / "build"))
SERVE = BUILD / "tests/system/listen_serve"
PROGRAM = BUILD / "fedwarden"
NAMES = ["DNS:sip.contoso.test", "URI:sip:contoso.test"]
SUBJECT = "CN=sip.contoso.test,O=fedwarden test"
SUITES = [(version, key) for version in ("1.2", "1.3") for key in ("ec", "rsa")]
FAR = 20  # seconds for what takes parts of one
CONFIGURATION = """log_level = "warning";
agent: {{ mode = "none"; }};
trusts: ( {{ name = "public"; ca_file = "{other}"; }},
          {{ name = "partners"; ca_file = "{ca}"; crl_file = "{crl}"; }} );
partners: ( {{ name = "contoso"; domain = "contoso.test"; enabled = false; }},
            {{ name = "fabrikam"; domain = "fabrikam.test"; enabled = false; networks = ( "127.0.0.66" ); }} );
listen: {{ enabled = true; address = ( "127.0.0.1:{port}", "[::1]:{port}" ); certificate = "{cert}"; key = "{private}";
           trust = "partners"; {more} }};
"""


pytestmark = pytest.mark.usefixtures("loopback")


class Pki(lab_pki.Pki):
    """With their revocation lists, and a server certificate."""

    def __init__(self, folder, key):
        super().__init__(folder, key)
        self.server = pki.write(folder, "server", pki.leaf(self.sub, ["DNS:edge.alpha.test"], key=key), [self.sub])
        self.revoked = pki.leaf(self.sub, NAMES, key=key, serial=0x00C0FFEE01)
        self.crl = pki.crls(folder, "crl.pem", [(self.root, []), (self.sub, [self.revoked])])

    def leaf(self, names=None, **options):
        return pki.leaf(options.pop("issuer", self.sub), NAMES if names is None else names, key=self.key, **options)


@pytest.fixture(scope="module")
def pkis(tmp_path_factory):
    return {key: Pki(tmp_path_factory.mktemp("pki-" + key), key) for key in ("ec", "rsa")}


class Acceptor:
    """listen_serve: .port, .event() the next event, .end() the counts."""

    def __init__(self, folder, made, more="", text=CONFIGURATION):
        self.port = lab.free_port()
        self.made = made
        path = folder / "listen.conf"
        path.write_text(text.format(other=made.other_ca, ca=made.ca, crl=made.crl, port=self.port,
                                    cert=made.server.cert, private=made.server.key, more=more), encoding="ascii")
        self.process = subprocess.Popen([SERVE, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **lab.environment()})
        self.lines = collections.deque()
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        assert self.event() == {"listening": True}

    def read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(json.loads(line))
                self.changed.notify()

    def event(self):
        with self.changed:
            assert self.changed.wait_for(lambda: self.lines, FAR), "nothing told"
            return self.lines.popleft()

    def end(self):
        """The counts; whatever was told and not asked for is one event too many."""
        self.stop()
        counts = self.event()
        assert set(counts) == {"counts"} and not self.lines, (counts, self.lines)
        return counts["counts"]

    def stop(self):
        if self.process.poll() is None:
            self.process.stdin.close()
        status = self.process.wait(timeout=FAR)
        self.reader.join()
        self.process.stdout.close()
        assert status == 0

    def counts(self, **expected):
        """Ends it once it has done with all who came; these and no other counts."""
        assert lab.wait_until(lambda: not unsettled(self), FAR)
        assert self.end() == {"good": 0, "refused": 0, "limited": 0, "timeouts": 0, "other": 0, **expected}

    def address(self, host="127.0.0.1"):
        return (host, self.port)


@contextlib.contextmanager
def acceptor(folder, made, more="", text=CONFIGURATION):
    running = Acceptor(folder, made, more, text)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def acceptors(pkis, tmp_path_factory):
    """One for each kind of key, that many visit."""
    with contextlib.ExitStack() as stack:
        yield {key: stack.enter_context(acceptor(tmp_path_factory.mktemp("listen-" + key), made,
                                                 "per_minute_per_address = 1000;")) for key, made in pkis.items()}


@pytest.fixture(params=SUITES, ids=lambda suite: "tls" + suite[0] + "-" + suite[1])
def suite(request, acceptors):
    version, key = request.param
    return version, acceptors[key]


def client_context(made, files=None, version=None):
    context = ssl.create_default_context(cafile=made.ca)
    context.check_hostname = False
    if version:
        context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, "TLSv" + version.replace(".", "_"))
    if files:
        context.load_cert_chain(files.cert, files.key)
    return context


def ask(running, files=None, version=None, host="127.0.0.1", source=None, say=b""):
    """The line that is said to who has this certificate, and the port it came from."""
    context = client_context(running.made, files, version)
    with socket.create_connection((host, running.port), timeout=FAR, source_address=(source, 0) if source else None) \
            as plain:
        port = plain.getsockname()[1]
        with context.wrap_socket(plain) as session:
            if say:
                session.sendall(say)
            said = b""
            while chunk := session.recv(4096):
                said += chunk
    assert said.endswith(b"\n") and said.count(b"\n") == 1, said
    return said.decode().rstrip("\n"), port


def refuse(running, leaf, version=None, chain=None, **options):
    """Shows a certificate that is refused; the line and the event, whose fields that always hold are checked."""
    line, port = ask(running, running.made.files(leaf, chain), version, **options)
    event = running.event()
    assert line.startswith(event["reason"] + ": "), (line, event)
    assert (event["event"], event["count"], event["rule"]) == ("invalidCert", 1, "listen")
    assert (event["address"], event["port"]) == (options.get("source") or options.get("host", "127.0.0.1"), port)
    assert event["subject"] == leaf.subject
    assert event["issuer"] == leaf.x509.issuer.rfc4514_string()
    serial = f"{leaf.x509.serial_number:x}"
    assert event["serial"] == ("0" + serial if len(serial) % 2 else serial)
    return line, event


def test_good(suite):
    version, running = suite
    assert ask(running, running.made.files(running.made.leaf()), version)[0] == "ok contoso " + SUBJECT


def test_good_of_nobody(acceptors):
    running = acceptors["ec"]
    line, _ = ask(running, running.made.files(running.made.leaf(["DNS:sip.litware.test"])))
    assert line == "ok, but no partner here has a name of it: CN=sip.litware.test,O=fedwarden test"


@pytest.mark.parametrize("name", ["DNS:*.fabrikam.test", "SRV:_xmpp-server.fabrikam.test", "XMPP:fabrikam.test",
                                  "URI:sip:fabrikam.test"])
def test_each_kind_of_name(acceptors, name):
    running = acceptors["ec"]
    assert ask(running, running.made.files(running.made.leaf(["DNS:x.test", name])))[0].startswith("ok fabrikam ")


def test_none(suite):
    version, running = suite
    line, port = ask(running, version=version)
    assert line == "tlsNoCertificate: no certificate came, and one was asked for"
    event = running.event()
    assert (event["reason"], event["port"], event["partner"]) == ("tlsNoCertificate", port, "")
    assert event["subject"] == event["issuer"] == event["serial"] == event["domain"] == ""


def test_untrusted(suite):
    version, running = suite
    line, event = refuse(running, running.made.leaf(issuer=running.made.other), version, [])
    said = f'issuer "CN=Other Root {running.made.key},O=fedwarden test" is neither sent nor trusted here'
    assert line == "tlsUntrustedRoot: " + said + "; also tlsRevocationUnknown"
    assert event["detail"] == said + "; also tlsRevocationUnknown; names DNS:sip.contoso.test, URI:sip:contoso.test"
    assert (event["partner"], event["domain"]) == ("", ""), "anybody can write contoso's names into a certificate"


def test_expired(suite):
    version, running = suite
    leaf = running.made.leaf(days=-3)
    line, event = refuse(running, leaf, version)
    ended = leaf.x509.not_valid_after.isoformat()
    assert line == f'tlsExpired: ended {ended}Z: "{SUBJECT}"'
    assert (event["partner"], event["domain"]) == ("contoso", "sip.contoso.test"), "a trusted CA vouches for the name"


def test_wrong_usage(suite):
    version, running = suite
    line, event = refuse(running, running.made.leaf(eku="server"), version)
    assert line.startswith("tlsWrongUsage: ")
    assert event["partner"] == "contoso"


def test_revoked(suite):
    version, running = suite
    line, event = refuse(running, running.made.revoked, version)
    assert line == f'tlsRevoked: revoked: serial c0ffee01 of "{SUBJECT}"'
    assert event["partner"] == "", "whoever has a stolen key is nobody's partner"


def test_self_signed(suite):
    version, running = suite
    leaf = pki.self_signed(NAMES, key=running.made.key)
    line, event = refuse(running, leaf, version, [])
    assert line == f'tlsSelfSigned: signed by itself: "{SUBJECT}"; also tlsRevocationUnknown'
    assert event["partner"] == ""


def test_chain_not_sent(suite):
    version, running = suite
    line, event = refuse(running, running.made.leaf(issuer_at="http://ca.test/sub.der"), version, [])
    assert line.startswith("tlsIncompleteChain: "), line
    assert event["partner"] == ""


def test_revocation_list_from_a_url(pkis, tmp_path):
    """Who calls before the list is there waits for it; one that cannot be had makes nobody revoked."""
    made, asked, given = pkis["ec"], threading.Event(), threading.Event()

    class Lists(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.set()
            given.wait(FAR)
            self.send_response(200 if self.path == "/crl.pem" else 404)
            self.end_headers()
            if self.path == "/crl.pem":
                self.wfile.write(pathlib.Path(made.crl).read_bytes())

        def log_message(self, *_):
            pass
    with http.server.ThreadingHTTPServer(("127.0.0.1", lab.free_port()), Lists) as lists:
        threading.Thread(target=lists.serve_forever, daemon=True).start()
        for path, reason in (("crl.pem", "tlsRevoked"), ("none.pem", "tlsRevocationUnknown")):
            asked.clear(), given.clear()
            url = f"http://127.0.0.1:{lists.server_address[1]}/{path}"
            text = CONFIGURATION.replace('crl_file = "{crl}"', f'crl_urls = ( "{url}" )')
            with acceptor(tmp_path, made, text=text) as running:
                assert asked.wait(FAR)
                threading.Timer(0.2, given.set).start()
                line, event = refuse(running, made.revoked)
                assert line.startswith(reason) and event["reason"] == reason, line
                assert given.is_set()
        lists.shutdown()


def test_all_errors_are_told(suite):
    version, running = suite
    long_name = "x" * 60
    leaf = running.made.leaf([f"DNS:{long_name}.test"], issuer=running.made.other, days=-3, eku="server",
                             common_name=long_name)
    line, event = refuse(running, leaf, version, [])
    assert event["reason"] == "tlsUntrustedRoot"
    for text in (line, event["detail"]):
        assert "tlsExpired" in text and "tlsWrongUsage" in text and "also" in text


def test_hostile_text_is_printable(acceptors):
    running = acceptors["ec"]
    leaf = pki.self_signed(["DNS:a.test"], common_name="a\nok contoso\r\x1b[31m" + "\u00e9" * 40)
    line, port = ask(running, running.made.files(leaf, []))
    event = running.event()
    assert event["port"] == port
    for text in (line, event["subject"], event["detail"]):
        assert text.isprintable() and "\\0Aok contoso" in text, text


def test_partner_by_address(acceptors):
    running = acceptors["ec"]
    leaf = pki.self_signed(["DNS:sip.contoso.test"])
    _, event = refuse(running, leaf, chain=[], source="127.0.0.66")
    assert event["partner"] == "fabrikam"
    leaf = running.made.leaf(days=-3)
    _, event = refuse(running, leaf, source="127.0.0.66")
    assert event["partner"] == "contoso", "the name of a trusted CA says more than the address"


def test_ipv6(acceptors):
    running = acceptors["ec"]
    line, event = refuse(running, pki.self_signed(NAMES), chain=[], host="::1")
    assert line.startswith("tlsSelfSigned") and event["address"] == "::1"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_s_client(acceptors, version):
    """Another client; what it says does not disturb the line."""
    running = acceptors["ec"]
    for leaf, expected in ((running.made.leaf(), "ok contoso "), (pki.self_signed(NAMES), "tlsSelfSigned: ")):
        files = running.made.files(leaf, [])
        chain = ["-cert_chain", pki.bundle(running.made.folder, "chain.pem", [running.made.sub])]
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{running.port}", "-quiet", "-CAfile", running.made.ca,
             "-cert", files.cert, "-key", files.key, *(chain if expected.startswith("ok") else []),
             "-tls" + version.replace(".", "_")],
            input="GET / HTTP/1.0\r\n\r\n" + "x" * 20000, capture_output=True, text=True, timeout=FAR, check=False,
            env=lab.environment())
        lines = done.stdout.splitlines()
        assert len(lines) == 1 and lines[0].startswith(expected), done
    assert running.event()["reason"] == "tlsSelfSigned"


def test_nothing_is_resumed(acceptors):
    running = acceptors["ec"]
    files = running.made.files(running.made.leaf())
    for version in ("1.2", "1.3"):
        context = client_context(running.made, files, version)
        session = None
        for _ in range(2):
            with socket.create_connection(running.address(), timeout=FAR) as plain, \
                    context.wrap_socket(plain, session=session) as client:
                assert client.recv(4096).startswith(b"ok ")
                assert not client.session_reused
                session = client.session


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_are_no_event(tmp_path, pkis):
    with acceptor(tmp_path, pkis["ec"]) as running:
        context = client_context(pkis["ec"])
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(running.address(), timeout=FAR) as plain:
            with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION|protocol version"):
                context.wrap_socket(plain)
        running.counts(other=1)


def test_who_does_not_trust_us_is_no_event(tmp_path, pkis):
    made = pkis["ec"]
    with acceptor(tmp_path, made) as running:
        context = ssl.create_default_context(cafile=made.other_ca)
        context.check_hostname = False
        files = made.files(made.leaf(days=-3))
        context.load_cert_chain(files.cert, files.key)
        with socket.create_connection(running.address(), timeout=FAR) as plain:
            with pytest.raises(ssl.SSLCertVerificationError):
                context.wrap_socket(plain)
        running.counts(other=1)


class Thief:
    """A TLS 1.2 or 1.3 client that has the certificate of another but not its key cannot be made of OpenSSL; its proof is
    broken on the wire instead: of a TLS 1.2 client everything up to ChangeCipherSpec can be read and changed."""

    def __init__(self, running, files):
        context = client_context(running.made, files, "1.2")
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.incoming, self.outgoing)

    def step(self):
        with contextlib.suppress(ssl.SSLWantReadError):
            self.session.do_handshake()
        return self.outgoing.read()


def records(octets):
    while octets:
        length = 5 + int.from_bytes(octets[3:5], "big")
        yield octets[:length]
        octets = octets[length:]


def spoil_proof(flight):
    """Changes the last octet of the signature in CertificateVerify (handshake type 15)."""
    out = b""
    for record in records(flight):
        if record[0] == 22 and record[5] == 15:
            record = record[:-1] + bytes([record[-1] ^ 1])
        out += record
    assert out != flight
    return out


def test_key_is_proven(tmp_path, pkis):
    made = pkis["rsa"]
    with acceptor(tmp_path, made) as running:
        leaf = made.leaf()
        thief = Thief(running, made.files(leaf))
        with socket.create_connection(running.address(), timeout=FAR) as plain:
            plain.sendall(thief.step())
            flight = b""
            while not flight:
                thief.incoming.write(plain.recv(65536))
                flight = thief.step()
            plain.sendall(spoil_proof(flight))
            answer = b"".join(iter(lambda: plain.recv(4096), b""))
        assert answer[:1] == b"\x15" and answer[5:7] == b"\x02\x33", "alert decrypt_error, and no line"
        event = running.event()
        assert (event["reason"], event["subject"], event["partner"]) == ("tlsKeyProofFailed", leaf.subject, "")
        running.counts(refused=1)


def closed(connection):
    connection.settimeout(FAR)
    try:
        return connection.recv(4096) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x00" * 100, b"REGISTER sip:a SIP/2.0\r\n\r\n",
                                  b"\x16\x03\x01\xff\xff" + b"\x00" * 30000, b"\x80\x2e\x01\x00\x02" + b"\x00" * 41])
def test_what_is_no_tls(tmp_path, pkis, text):
    with acceptor(tmp_path, pkis["ec"]) as running:
        with socket.create_connection(running.address(), timeout=FAR) as plain:
            plain.sendall(text)
            plain.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while chunk := plain.recv(4096):
                    answer += chunk
        assert answer == b"" or (answer[0] == 21 and len(answer) == 7), "an alert at most"
        running.counts(other=1)


def test_who_comes_and_goes(tmp_path, pkis):
    with acceptor(tmp_path, pkis["ec"], "connections_per_address = 10;") as running:
        for _ in range(3):
            socket.create_connection(running.address(), timeout=FAR).close()
        with socket.create_connection(running.address(), timeout=FAR) as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        assert ask(running, pkis["ec"].files(pkis["ec"].leaf()))[0].startswith("ok")
        running.counts(other=4, good=1)


def test_silence_and_an_octet_at_a_time(tmp_path, pkis):
    """A handshake has its time as a whole: neither silence nor trickling extends it."""
    with acceptor(tmp_path, pkis["ec"], "handshake_seconds = 2;") as running:
        began = time.monotonic()
        hello = Thief(running, None).step()
        with socket.create_connection(running.address(), timeout=FAR) as mute, \
                socket.create_connection(running.address(), timeout=FAR) as slow:
            slow.settimeout(0.2)
            for i in range(len(hello) - 1):
                try:
                    slow.sendall(hello[i:i + 1])
                    if slow.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
            took = time.monotonic() - began
            assert closed(mute)
        assert 1.5 < took < FAR / 2
        running.counts(timeouts=2)


def test_half_closed(tmp_path, pkis):
    """Who has had the line and does not close is not waited for."""
    with acceptor(tmp_path, pkis["ec"], "handshake_seconds = 60;") as running:
        files = pkis["ec"].files(pkis["ec"].leaf())
        context = client_context(pkis["ec"], files)
        with socket.create_connection(running.address(), timeout=FAR) as plain:
            client = context.wrap_socket(plain, suppress_ragged_eofs=False)
            assert client.recv(4096).startswith(b"ok ")
            assert client.recv(4096) == b"", "close_notify"
            gone = lab.wait_until(lambda: not peers(running), FAR)
            client.detach()
        assert gone
        running.counts(good=1)


def sockets(running):
    return lab.run("ss", "-Htnp", "state", "connected", f"( sport = :{running.port} )").splitlines()


def peers(running):
    """Connections that the acceptor has open."""
    return [line for line in sockets(running) if f"pid={running.process.pid}," in line]


def unsettled(running):
    """Those, and the ones that it has yet to take."""
    return peers(running) + [line for line in sockets(running) if line.split()[0] in ("ESTAB", "CLOSE-WAIT", "SYN-RECV")]


def test_more_octets_than_allowed(tmp_path, pkis):
    made = pkis["ec"]
    with acceptor(tmp_path, made, "bytes_max = 4096;") as running:
        chain = [pki.intermediate(made.root, f"CA {n}") for n in range(12)]
        files = made.files(made.leaf(), chain)
        context = client_context(made, files, "1.2")
        with socket.create_connection(running.address(), timeout=FAR) as plain:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                with context.wrap_socket(plain) as client:
                    if client.recv(4096) == b"":
                        raise ConnectionError
        running.counts(other=1)


def test_connections_of_one_address(tmp_path, pkis):
    with acceptor(tmp_path, pkis["ec"], "connections_per_address = 3;") as running:
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(socket.create_connection(running.address(), timeout=FAR)) for _ in range(3)]
            assert lab.wait_until(lambda: len(peers(running)) == 3, FAR)
            for _ in range(5):
                with socket.create_connection(running.address(), timeout=FAR) as more:
                    assert closed(more)
            assert ask(running, pkis["ec"].files(pkis["ec"].leaf()), source="127.0.0.2")[0].startswith("ok")
            held[0].close()
            assert lab.wait_until(lambda: len(peers(running)) <= 2, FAR)
            assert ask(running, pkis["ec"].files(pkis["ec"].leaf()))[0].startswith("ok")
        assert lab.wait_until(lambda: not peers(running), FAR)
        running.counts(good=2, limited=5, other=3)


def test_connections_in_a_minute(tmp_path, pkis):
    with acceptor(tmp_path, pkis["ec"], "per_minute_per_address = 6;") as running:
        began = time.monotonic()
        for _ in range(40):
            with socket.create_connection(running.address(), timeout=FAR) as plain:
                with contextlib.suppress(OSError):  # it was closed before that
                    plain.sendall(b"x" * 16)
                    plain.shutdown(socket.SHUT_WR)
                closed(plain)
        filled = (time.monotonic() - began) / 10
        assert ask(running, pkis["ec"].files(pkis["ec"].leaf()), source="127.0.0.2")[0].startswith("ok")
        assert lab.wait_until(lambda: not unsettled(running), FAR)
        counts = running.end()
        assert counts["good"] == 1 and counts["other"] + counts["limited"] == 40
        assert 6 <= counts["other"] <= 6 + filled + 1


def test_connections_in_all(tmp_path, pkis):
    with acceptor(tmp_path, pkis["ec"], "connections_max = 5; connections_per_address = 2;") as running:
        with contextlib.ExitStack() as stack:
            for n in range(5):
                stack.enter_context(socket.create_connection(running.address(), timeout=FAR,
                                                             source_address=(f"127.0.1.{n}", 0)))
            assert lab.wait_until(lambda: len(peers(running)) == 5, FAR)
            for n in range(5, 8):
                with socket.create_connection(running.address(), timeout=FAR,
                                              source_address=(f"127.0.1.{n}", 0)) as more:
                    assert closed(more)
        assert lab.wait_until(lambda: not peers(running), FAR)
        assert ask(running, pkis["ec"].files(pkis["ec"].leaf()))[0].startswith("ok")
        running.counts(good=1, limited=3, other=5)


def test_without_descriptors(tmp_path, pkis):
    """It waits, does not spin, and goes on when there are some again."""
    with acceptor(tmp_path, pkis["ec"], "connections_max = 200; connections_per_address = 200; "
                  "per_minute_per_address = 1000;") as running:
        pid = running.process.pid
        used = len(os.listdir(f"/proc/{pid}/fd"))
        lab.run("prlimit", "--pid", pid, f"--nofile={used + 4}:4096")
        with contextlib.ExitStack() as stack:
            for _ in range(10):
                stack.enter_context(socket.create_connection(running.address(), timeout=FAR))
            assert lab.wait_until(lambda: len(peers(running)) == 4, FAR)
            before = cpu_ticks(pid)
            time.sleep(2)  # the time over which it could spin
            assert cpu_ticks(pid) - before < 50
        lab.run("prlimit", "--pid", pid, "--nofile=1024:4096")
        assert ask(running, pkis["ec"].files(pkis["ec"].leaf()))[0].startswith("ok")
        running.counts(good=1, other=10)


def cpu_ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def refused_start(folder, made, **changes):
    path = folder / "listen.conf"
    values = {"other": made.other_ca, "ca": made.ca, "crl": made.crl, "port": lab.free_port(),
              "cert": made.server.cert, "private": made.server.key, "more": "", **changes}
    path.write_text(CONFIGURATION.format(**values), encoding="ascii")
    done = subprocess.run([SERVE, path], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FAR,
                          env={**os.environ, **lab.environment()}, check=False)
    told = json.loads(done.stdout)
    assert done.returncode == 1 and not told["listening"]
    return told["problem"]


def test_cannot_start(tmp_path, pkis):
    made = pkis["ec"]
    other = made.files(made.leaf())
    assert "does not belong to the certificate" in refused_start(tmp_path, made, private=other.key)
    with socket.create_server(("127.0.0.1", lab.free_port())) as taken:
        port = taken.getsockname()[1]
        assert refused_start(tmp_path, made, port=port) == \
            f"127.0.0.1 port {port}: Address already in use; find who has it (ss -ltnp) or set another port"


# The daemon

WINDOW = 6
AGENT = """agent: {{ mode = "standalone"; listen = "udp:127.0.0.1:{snmp}"; access_file = "{folder}/snmp.conf";
                    state_dir = "{folder}/fedwarden/state"; }};
resolvers: ( {{ name = "nobody"; address = "127.0.0.1"; port = 9; }} );
defaults: {{ interval = 86400; }};
thresholds: {{ invalidCert: {{ count = 3; window = {window}; clear = 0; }}; }};
"""


class Edge(lab.Lab):
    """A daemon with an acceptor, and who receives its notifications."""

    def __init__(self, folder, made):
        super().__init__(folder)
        self.made = made
        self.port = lab.free_port()
        self.ports = {"snmp": lab.free_port(), "traps": lab.free_port()}
        (self.folder / "snmp.conf").write_text(
            f"rocommunity public 127.0.0.1\ntrap2sink 127.0.0.1:{self.ports['traps']} public\n", encoding="ascii")
        self.snmptrapd = self.add(lab.SnmpTrapd(self.folder, "snmptrapd", "127.0.0.1", self.ports["traps"]))
        self.fedwarden = self.add(lab.Fedwarden(self.folder, "fedwarden", PROGRAM, self.configuration(), "127.0.0.1",
                                                self.ports["snmp"]))

    def configuration(self, enabled=True):
        text = CONFIGURATION.format(other=self.made.other_ca, ca=self.made.ca, crl=self.made.crl, port=self.port,
                                    cert=self.made.server.cert, private=self.made.server.key, more="")
        agent = AGENT.format(snmp=self.ports["snmp"], folder=self.folder, window=WINDOW)
        assert 'agent: { mode = "none"; };\n' in text
        text = text.replace('agent: { mode = "none"; };\n', agent).replace("enabled = false;", "enabled = true;", 1)
        return text if enabled else text.replace("listen: { enabled = true;", "listen: { enabled = false;")

    def table(self, name):
        text = lab.snmp(self.folder, "snmptable", "127.0.0.1", self.ports["snmp"], "FEDWARDEN-MIB::" + name,
                        options=("-OU", "-Cb", "-Cf", "\t"))
        lines = [line.split("\t") for line in text.splitlines() if "\t" in line]
        return [dict(zip(lines[0], (cell.strip('"') for cell in line))) for line in lines[1:]]

    def count(self):
        return next(int(row["Count"]) for row in self.table("fedwEventTable") if row["Name"] == "invalidCert")

    def wait_count(self, number):
        assert lab.wait_until(lambda: self.count() >= number, FAR), self.fedwarden.tail()
        assert self.count() == number, "each once"

    def wait_raised(self, reason):
        raised = self.snmptrapd.wait(lambda n: n.type.endswith("Raised") and n["fedwAlarmReason"] == reason, FAR)
        assert raised, self.fedwarden.tail() + self.snmptrapd.tail()
        return raised

    def wait_cleared(self, raised):
        cleared = self.snmptrapd.wait(
            lambda n: n.type.endswith("Cleared") and n["fedwAlarmId"] == raised["fedwAlarmId"], FAR + 2 * WINDOW)
        assert cleared, self.fedwarden.tail()
        return cleared


def test_daemon_counts_notifies_and_clears(tmp_path, pkis):
    made = pkis["ec"]
    with Edge(tmp_path, made) as edge:
        edge.start()
        assert ask(edge, made.files(made.leaf()))[0].startswith("ok contoso ")
        leaf = pki.self_signed(NAMES, serial=0xABCDEF01)
        files = made.files(leaf, [])
        for _ in range(2):
            assert ask(edge, files)[0].startswith("tlsSelfSigned: ")
        edge.wait_count(2)
        assert ask(edge, made.files(made.leaf(days=-3)), source="127.0.0.9")[0].startswith("tlsExpired: ")
        assert ask(edge)[0].startswith("tlsNoCertificate: ")
        edge.wait_count(4)
        raised = edge.wait_raised("tlsNoCertificate")
        assert raised.type == "fedwInvalidCertRaised"
        assert raised["fedwAlarmAddress"] == "127.0.0.1"
        assert raised["fedwAlarmCause"] and raised["fedwAlarmResolution"]
        rows = {socket.inet_ntoa(bytes.fromhex(row["Address"])): row for row in edge.table("fedwSourceTable")}
        assert set(rows) == {"127.0.0.1", "127.0.0.9"}
        assert (rows["127.0.0.9"]["PartnerName"], rows["127.0.0.9"]["LastReason"]) == ("contoso", "tlsExpired")
        assert rows["127.0.0.1"]["Serial"] == "abcdef01" and rows["127.0.0.1"]["Subject"] == SUBJECT
        assert "tlsSelfSigned" in rows["127.0.0.1"]["Reasons"]
        edge.wait_cleared(raised)
        assert edge.count() == 4


def test_daemon_reloads(tmp_path, pkis):
    made = pkis["ec"]
    with Edge(tmp_path, made) as edge:
        edge.start()
        port = ("tcp", "127.0.0.1", edge.port)
        assert port in lab.listening(edge.fedwarden.pid)
        with socket.create_connection(("127.0.0.1", edge.port), timeout=FAR) as waiting:
            edge.fedwarden.reload(edge.configuration(enabled=False))
            assert closed(waiting)
        assert port not in lab.listening(edge.fedwarden.pid)
        edge.fedwarden.reload(edge.configuration())
        assert ask(edge, made.files(made.leaf()))[0].startswith("ok contoso ")
        assert edge.count() == 0


def test_daemon_starts_without_the_port(tmp_path, pkis):
    """It watches all the same, says so, and takes the port when it can."""
    made = pkis["ec"]
    with Edge(tmp_path, made) as edge:
        with socket.create_server(("127.0.0.1", edge.port)):
            edge.start()
            raised = edge.wait_raised("monFeedUnreadable")
            assert raised["fedwAlarmDetail"].startswith(
                f"listen: 127.0.0.1 port {edge.port}: Address already in use; find who has it")
        edge.wait_cleared(raised)
        assert ask(edge, made.files(made.leaf()))[0].startswith("ok contoso ")


def test_check_config_tries_the_key(tmp_path, pkis):
    made = pkis["ec"]
    path = tmp_path / "fedwarden.conf"
    text = Edge(tmp_path, made).configuration().replace("agent: { mode = \"standalone\"", "agent: { mode = \"none\"")
    for private, status in ((made.server.key, 0), (made.files(made.leaf()).key, 1)):
        path.write_text(text.replace(made.server.key, private), encoding="ascii")
        done = subprocess.run([PROGRAM, "check-config", "-c", path], capture_output=True, text=True, timeout=FAR,
                              check=False, env={**os.environ, **lab.environment()})
        assert done.returncode == status, done
        assert ("listen: " in done.stderr and "does not belong to the certificate" in done.stderr) == (status == 1)
