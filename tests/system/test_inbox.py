"""Events that are pushed: fedwarden event, Kamailio and Prosody with the snippets of conf/presets, and reports of RFC 8460
that are dropped into a folder, each counted over SNMP by a real daemon."""
import base64
import contextlib
import gzip
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
import time

import pytest

import lab
import pki

PROGRAM = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY / "build")) / "fedwarden"
PRESETS = lab.REPOSITORY / "conf" / "presets"
FAR = 30
ADDRESS = "127.0.0.1"
CONFIGURATION = """log_level = "debug";
agent = {{ mode = "standalone"; listen = "udp:127.0.0.1:{snmp}"; access_file = "{folder}/snmp.conf";
          state_dir = "{folder}/fedwarden/state"; }};
edge = {{ domains = ( "alpha.example" ); }};
inbox = {{ path = "{folder}/inbox"; mode = "0600"; }};
tlsrpt = {{ directory = "{folder}/reports"; }};
partners = ( {{ name = "contoso"; domain = "contoso.example"; enabled = {enabled}; protocol = "tls"; host = "a.contoso.example";
               address = "127.0.0.9"; port = 9; interval = 604800; }} );
"""


pytestmark = pytest.mark.usefixtures("loopback")


@pytest.fixture
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="fedwarden-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


class Daemon(lab.Fedwarden):
    def __init__(self, folder, name="fedwarden"):
        self.snmp_port = lab.free_port()
        self.top = folder
        (folder / "reports").mkdir(exist_ok=True)
        (folder / "snmp.conf").write_text(f"rocommunity public {ADDRESS}\n", encoding="ascii")
        super().__init__(folder, name, PROGRAM, self.text(), ADDRESS, self.snmp_port)

    def text(self, enabled="true"):
        return CONFIGURATION.format(folder=self.top, snmp=self.snmp_port, enabled=enabled)

    def count(self, event):
        """Failures of an event, by its number."""
        return int(lab.snmp(self.top, "snmpget", ADDRESS, self.snmp_port, f"FEDWARDEN-MIB::fedwEventCount.{event}",
                            options=("-OQUv",)))

    def last(self, column, event):
        """What the row of an event tells of the last failure."""
        return lab.snmp(self.top, "snmpget", ADDRESS, self.snmp_port, f"FEDWARDEN-MIB::fedwEventLast{column}.{event}",
                        options=("-OQUv",)).strip().strip('"')

    def wait_count(self, event, wanted):
        count = lab.wait_until(lambda: self.count(event) >= wanted and self.count(event), FAR, 0.2)
        assert count == wanted, self.tail(40)

    def event(self, *arguments, text=None, socket_path=None):
        """fedwarden event: exit status, what it printed, what it said."""
        done = subprocess.run([str(PROGRAM), "event", "--socket", str(socket_path or self.top / "inbox"), *arguments],
                              input=text, capture_output=True, text=True, timeout=FAR, check=False)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def daemon(folder):
    server = Daemon(folder)
    server.start()
    yield server
    server.stop()


TAKEN = '{"ok":true}\n'


def test_counts_what_is_told(daemon):
    """From the command to SNMP, by address and by partner."""
    before = daemon.count(6)
    assert daemon.event("authSource", "--address", "203.0.113.9", "--user", "bob", "--count", "7") == (0, TAKEN, "")
    assert daemon.event("3", "--partner", "contoso", "--reason", "domUserUnknown", "--count", "4") == (0, TAKEN, "")
    assert daemon.event("invalidCert", "--address", "203.0.113.8", "--serial", "0a:1b", "--subject", "CN=x") == (0, TAKEN, "")
    assert daemon.event("-q", "authSource", "--address", "203.0.113.9", "--hex", "--user", "2c240a") == (0, "", "")
    daemon.wait_count(2, 8)
    daemon.wait_count(3, 4)
    daemon.wait_count(5, 1)
    assert daemon.count(6) == before, "nothing else was counted"


def test_refuses_by_name(daemon):
    status, answer, _ = daemon.event("authSource", "--address", "203.0.113.9", "--reason", "authBadCredential")
    assert status == 1
    assert json.loads(answer) == {"ok": False, "field": "reason", "error": 'there is no reason "authBadCredential". Did you '
                                                                           'mean "authBadCredentials"?'}
    status, answer, _ = daemon.event("3", "--partner", "contosso")
    assert (status, json.loads(answer)["field"]) == (1, "partner")
    lines = '{"event":2,"address":"203.0.113.9","count":2}\n\nnonsense\n{"event":2,"address":"203.0.113.9","count":3}\n'
    status, answer, _ = daemon.event("-", text=lines)
    assert status == 1
    assert [json.loads(line)["ok"] for line in answer.splitlines()] == [True, False, True]
    daemon.wait_count(2, 5)


def test_many_lines(daemon):
    """Each is answered when it is stored, but they need not wait for each other: one by one these would take minutes."""
    lines = ['{"event":2,"address":"203.0.113.9"}'] * 1000
    lines[10] = "nonsense"
    lines[20] = '{"event":2,"address":"203.0.113.9"' + 20000 * " " + "}"
    status, answers, said = daemon.event("-", text="\n".join(lines))  # the last one has no end
    assert status == 2 and said == "fedwarden event: a line is too long: 16384 octets are possible\n"
    assert [json.loads(line)["ok"] for line in answers.splitlines()] == [True] * 10 + [False] + [True] * 988
    daemon.wait_count(2, 998)


def test_a_line_at_a_time(daemon):
    """A script writes a line and waits for its answer, also while the daemon is replaced."""
    with subprocess.Popen([str(PROGRAM), "event", "--socket", str(daemon.top / "inbox"), "-"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1) as sender:
        for turn in range(3):
            sender.stdin.write('{"event":2,"address":"203.0.113.9"}\n')
            assert sender.stdout.readline() == TAKEN, turn
            if turn == 1:
                daemon.stop()
                daemon.start()
        daemon.stop()
        _, said = sender.communicate('{"event":2}\n' * 20, timeout=FAR)
        assert sender.returncode == 2
        assert said.count("nobody serves") == 1 and "20 events were not sent" in said


def test_a_sender_that_waits_is_answered_soon(daemon):
    """What is stored every quarter of a second otherwise is stored at once while somebody waits."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(FAR)
        link.connect(str(daemon.top / "inbox"))
        began = time.monotonic()
        for _ in range(20):
            link.send(b'{"event":2,"address":"203.0.113.9"}')
            assert link.recv(1000) == TAKEN.strip().encode()
        took = time.monotonic() - began
    print(f"{1000 * took / 20:.1f} ms each")
    assert took < 19 * 0.25


def test_says_what_is_missing(daemon, folder):
    status, _, said = daemon.event("2", "--address", "203.0.113.9", socket_path=folder / "none")
    assert status == 2 and "Is fedwarden running, and is inbox.path set" in said
    status, _, said = daemon.event("2", "--address", "203.0.113.9", socket_path="/" + 200 * "x")
    assert status == 2 and "at most 107 octets" in said
    status, _, said = daemon.event("2", "--reson", "x")
    assert status == 2 and "usage:" in said
    (folder / "off.conf").write_text("log_level = \"info\";\n", encoding="ascii")
    done = subprocess.run([str(PROGRAM), "event", "-c", str(folder / "off.conf"), "2", "--address", "203.0.113.9"],
                          capture_output=True, text=True, timeout=FAR, check=False)
    assert done.returncode == 2 and "inbox.path is not set" in done.stderr


def test_a_connection_outlives_a_reload(daemon):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.settimeout(FAR)
        peer.connect(str(daemon.top / "inbox"))
        for turn, enabled in enumerate(("false", "true"), start=1):
            peer.send(b'{"event":3,"partner":"contoso"}')
            assert peer.recv(1000) == b'{"ok":true}'
            daemon.reload(daemon.text(enabled))
            daemon.wait_count(3, turn)
        peer.send(b'{"event":3,"partner":"contoso"}' + 20000 * b" ")
        assert json.loads(peer.recv(1000))["error"] == "is longer than 16384 octets"


def test_the_most_silent_gives_its_place(daemon):
    """64 connections that say nothing do not keep the next sender out for long."""
    with contextlib.ExitStack() as stack:
        silent = []
        for _ in range(64):
            peer = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            peer.settimeout(FAR)
            peer.connect(str(daemon.top / "inbox"))
            silent.append(peer)
        assert daemon.event("--timeout", str(FAR - 5), "2", "--address", "203.0.113.9") == (0, TAKEN, "")
        assert silent[0].recv(100) == b"", "the first of them was hung up"
        for peer in silent[1:]:
            peer.send(b'{"event":2,"address":"203.0.113.9"}')
            assert peer.recv(100) == b'{"ok":true}'
        daemon.wait_count(2, 64)


def test_a_socket_left_behind_is_replaced(daemon):
    path = daemon.top / "inbox"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    daemon.signal(signal.SIGKILL)
    lab.wait_until(lambda: not daemon.pid, FAR)
    daemon.stop()
    assert path.exists()
    daemon.start()
    assert daemon.event("2", "--address", "203.0.113.9")[0] == 0
    second = Daemon(daemon.top, "second")
    with pytest.raises(lab.LabError):
        second.start()
    assert "is written by another fedwarden" in second.tail(40)
    second.configuration += 'history = { file = "second.db"; };\n'
    second.start()
    assert "another process serves it" in second.tail(40)
    assert daemon.event("2", "--address", "203.0.113.9")[0] == 0, "the first still serves"
    second.stop()
    assert path.exists(), "the second leaves the socket of the first alone"
    daemon.stop()
    assert not path.exists()


# Products with the snippets of conf/presets

SNIPPET = """#!KAMAILIO
#!define FEDWARDEN_EVENT "{program} event -q --socket {folder}/inbox"
debug = 2
log_stderror = yes
children = 2
dns = no
rev_dns = no
auto_aliases = no
listen = udp:127.0.0.1:{port}
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "sl.so"
loadmodule "textops.so"
loadmodule "ctl.so"
loadmodule "htable.so"
loadmodule "rtimer.so"
loadmodule "exec.so"
modparam("ctl", "binrpc", "unix:{folder}/kamailio/control")
include_file "{presets}/inbox-kamailio.cfg"
request_route {{
    if (method == "REGISTER")
        route(FEDWARDEN_AUTH);
    sl_send_reply("403", "Forbidden");
}}
"""


class Refusing(lab.Kamailio):
    """Refuses every request and tells fedwarden of registrations."""

    def __init__(self, folder):
        super().__init__(folder, "kamailio", ADDRESS, lab.free_port(), None)
        self.top = folder

    def prepare(self):
        self.write("kamailio.cfg", SNIPPET.format(program=PROGRAM, folder=self.top, port=self.port, presets=PRESETS))

    def ready(self):
        return ask(self.port, "OPTIONS", "127.0.0.1", "x", 1, 0.5)


def ask(port, method, source, user, number, seconds=FAR):
    """One SIP request by UDP; whether it was refused."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(seconds)
        peer.bind((source, 0))
        here = f"{source}:{peer.getsockname()[1]}"
        peer.sendto(f"{method} sip:alpha.example SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{number}\r\n"
                    f"From: <sip:{user}@alpha.example>;tag=1\r\nTo: <sip:{user}@alpha.example>\r\nCall-ID: {number}@{source}\r\n"
                    f"CSeq: {number} {method}\r\nMax-Forwards: 9\r\nContent-Length: 0\r\n\r\n".encode(), (ADDRESS, port))
        try:
            return peer.recv(4000).startswith(b"SIP/2.0 403")
        except OSError:
            return False


def test_kamailio_tells(daemon):
    """Many failures of two addresses, one with a user that a shell would run."""
    with lab.Lab(daemon.top) as servers:
        kamailio = servers.add(Refusing(daemon.top))
        kamailio.start()
        for number in range(1, 26):
            assert ask(kamailio.port, "REGISTER", "127.0.0.2", f"bob;touch$IFS{daemon.top}/pwned;'", number)
        for number in range(1, 6):
            assert ask(kamailio.port, "REGISTER", "127.0.0.3", "eve", number)
        daemon.wait_count(2, 30)
        assert lab.wait_until(lambda: "127.0.0.2" in daemon.tail(200), FAR)
        assert not (daemon.top / "pwned").exists()
        assert "user bob" in daemon.tail(200)


class Telling(lab.Prosody):
    """Prosody with mod_fedwarden."""

    def __init__(self, folder, files, roots):
        super().__init__(folder, "prosody", ADDRESS, lab.free_port(), files, "alpha.example", lab.free_port(), roots,
                         ["fedwarden"], f"""plugin_paths = {{ "{PRESETS}" }}
fedwarden_command = "{PROGRAM}"
fedwarden_socket = "{folder}/inbox"
fedwarden_interval = 1
""")


def read_until(peer, mark):
    data = b""
    while mark not in data:
        more = peer.recv(4000)
        assert more, data
        data += more
    return data


def log_in(port, user, password):
    with socket.create_connection((ADDRESS, port), timeout=FAR) as peer:
        peer.sendall(b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' to='alpha.example' version='1.0' "
                     b"xmlns:stream='http://etherx.jabber.org/streams'>")
        read_until(peer, b"</stream:features>")
        secret = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        peer.sendall(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>".encode())
        read_until(peer, b"</failure>")


def offer_certificate(port, files):
    """As another server, contoso.example, whose certificate is refused."""
    header = (b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
              b"from='contoso.example' to='alpha.example' version='1.0' xmlns:stream='http://etherx.jabber.org/streams'>")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(files.cert, files.key)
    with socket.create_connection((ADDRESS, port), timeout=FAR) as plain:
        plain.sendall(header)
        read_until(plain, b"</stream:features>")
        plain.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        read_until(plain, b"<proceed")
        with context.wrap_socket(plain) as peer:
            peer.sendall(header)
            read_until(peer, b"</stream:stream>")


def test_prosody_tells(daemon, folder):
    root, strange = pki.root("Test Root"), pki.root("Unheard-of Root")
    ours = pki.write(folder, "alpha", pki.leaf(root, ["DNS:alpha.example"]))
    theirs = pki.write(folder, "contoso", pki.leaf(strange, ["DNS:contoso.example"], serial=0x1234abcd))
    with lab.Lab(folder) as servers:
        prosody = servers.add(Telling(folder, ours, pki.bundle(folder, "roots.pem", [root])))
        prosody.start()
        for _ in range(3):
            log_in(prosody.client_port, "bob", "wrong")
        daemon.wait_count(2, 3)
        for _ in range(5):
            offer_certificate(prosody.port, theirs)
        daemon.wait_count(5, 5)
        assert lab.wait_until(lambda: "serial 1234abcd" in daemon.tail(200), FAR), daemon.tail(200)


# How partners see us

def report(sessions, result="certificate-expired", domain="alpha.example"):
    return json.dumps({
        "organization-name": "Contoso Ltd", "contact-info": "tls@contoso.example", "report-id": "7",
        "date-range": {"start-datetime": "2026-11-20T00:00:00Z", "end-datetime": "2026-11-20T23:59:59Z"},
        "policies": [{"policy": {"policy-type": "sts", "policy-domain": domain, "mx-host": ["mx1.alpha.example"]},
                      "summary": {"total-successful-session-count": 5, "total-failure-session-count": sessions},
                      "failure-details": [{"result-type": result, "sending-mta-ip": "203.0.113.7",
                                           "receiving-mx-hostname": "mx1.alpha.example",
                                           "failed-session-count": sessions}]}]}).encode()


def test_reports_that_are_dropped(daemon):
    reports = daemon.top / "reports"
    before = daemon.count(1)
    (reports / "a.json").write_bytes(report(30))
    (reports / ".b").write_bytes(gzip.compress(report(12)))
    (reports / "bad.json").write_bytes(b"<report/>")
    (reports / "other.json").write_bytes(report(99, domain="other.example"))
    os.symlink("/etc/hostname", reports / "link.json")
    daemon.wait_count(1, before + 30)
    os.rename(reports / ".b", reports / "a.json")
    daemon.wait_count(1, before + 42)
    assert lab.wait_until(lambda: {f.name for f in (reports / "bad").iterdir()} >= {"bad.json", "other.json"}, FAR)
    assert lab.wait_until(lambda: {f.name for f in (reports / "done").iterdir()} == {"a.json", "1.a.json"}, FAR)
    assert [daemon.last(column, 1) for column in ("PartnerName", "Reason", "Actor", "Host")] == [
        "contoso", "tlsLocalCertificateProblem", "us", "mx1.alpha.example"]
    daemon.reload(daemon.text().replace("tlsrpt = {", "tlsrpt = { keep_files = 1;"))
    assert lab.wait_until(lambda: [f.name for f in (reports / "done").iterdir()] == ["1.a.json"], FAR), "the newest"
    daemon.stop()
    (reports / "later.json").write_bytes(report(5))
    os.utime(reports / "later.json", (1, 1))
    daemon.start()
    daemon.wait_count(1, before + 47)


def test_a_report_leaves_telling_however_often_its_name_was_there(daemon):
    """What stays there is counted again after a restart."""
    reports = daemon.top / "reports"
    for name in ("z.json", *(f"{i}.z.json" for i in range(1, 1000))):
        (reports / "done" / name).touch()
    (reports / ".z").write_bytes(report(3))
    os.rename(reports / ".z", reports / "z.json")
    assert lab.wait_until(lambda: any(len(f.name) == 23 for f in (reports / "done").glob("*.z.json")), FAR)
    assert not list((reports / "telling").iterdir())
