"""The ten events from their source to the receiver of notifications: real servers are misused and write their own logs,
or fail when they are probed, and snmptrapd hears of each alarm when it is raised and when it is cleared. Everything
runs in a network namespace of its own, whose loopback has the addresses of attackers, a partner and the own network."""
import base64
import contextlib
import pathlib
import re
import shutil
import socket
import ssl
import tempfile

import pytest

import lab
import lab_dns
import pki
from lab_alarms import FAR, Watched
from lab_sip import SipClient, SipEdge, show_certificate

FAILURES = 5  # of each kind

EDGE = "192.0.2.10"
OWN_CLIENT = "10.10.0.21"
PARTNER = "198.51.100.5"
ATTACKER = "203.0.113.40"
CHAT_ATTACKER = "203.0.113.41"
STRANGER = "203.0.113.77"
ADDRESSES = (EDGE, OWN_CLIENT, PARTNER, ATTACKER, CHAT_ATTACKER, STRANGER)
SERVICE = "_sipfederationtls._tcp"

CONFIGURATION = """log_level = "info";
agent = {{ mode = "standalone"; listen = "udp:127.0.0.1:{snmp}"; access_file = "{folder}/snmp.conf";
           state_dir = "{folder}/fedwarden/state"; }};
thresholds = {{
    authSource = {{ count = {count}; window = {window}; clear = 0; }};
    invalidCert = {{ count = {count}; window = {window}; clear = 0; }};
    domainPartner = {{ count = {count}; window = {window}; clear = 0; }};
    domainLocal = {{ count = {count}; window = {window}; clear = 0; }};
    tlsOutgoing = {{ count = 2; window = 60; clear = 2; }};
    connection = {{ count = 2; window = 60; clear = 2; }};
    dns = {{ count = 2; window = 60; clear = 2; }};
}};
edge = {{ networks = ( "10.10.0.0/16" ); domains = ( "alpha.example" ); ports = ( {tls}, {lenient} ); }};
feeds = (
    {{ name = "sip"; preset = "kamailio"; file = "{folder}/kamailio/log"; }},
    {{ name = "chat"; preset = "prosody"; file = "{folder}/prosody/prosody.log"; }}
);
collectors = {{ first_spread = 1; }};
resolvers = ( {{ name = "knot"; address = "{partner}"; port = {dns}; }} );
trusts = ( {{ name = "federation"; ca_file = "{folder}/roots.pem"; }} );
partners = (
    {{ name = "beta"; domain = "beta.example"; networks = ( "{partner}" ); families = "ipv4"; interval = 1;
       expected = ( "sip.beta.example:{beta}" ); expiry_days = 14; }}
);
"""


class ChatEdge(lab.Prosody):
    """The edge for XMPP: Prosody that logs wrong passwords and refuses servers without a certificate that it trusts."""

    def __init__(self, folder, name, address, port, client_port, files, domain):
        super().__init__(folder, name, address, port, files, domain, client_port, modules=["log_auth"],
                         log=folder / name / "prosody.log")

    def tail(self, lines=15):
        with contextlib.suppress(OSError):
            return "\n".join(self.target.read_text(errors="replace").splitlines()[-lines:])
        return super().tail(lines)


def read_until(stream, ends):
    """What came until one of these texts is in it, or the end."""
    text = ""
    while not any(end in text for end in ends):
        octets = stream.recv(4096)
        if not octets:
            break
        text += octets.decode("utf-8", "replace")
    return text


def log_in(server, source, user, password):
    """Whether Prosody accepts that password of an XMPP client."""
    with socket.create_connection((server.address, server.client_port), FAR, (source, 0)) as stream:
        stream.sendall(f"<?xml version='1.0'?><stream:stream to='{server.domain}' version='1.0' xmlns='jabber:client' "
                       "xmlns:stream='http://etherx.jabber.org/streams'>".encode())
        assert "PLAIN" in read_until(stream, ["</stream:features>"])
        proof = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        stream.sendall(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{proof}</auth>".encode())
        answer = read_until(stream, ["<success", "</failure>"])
        assert "<success" in answer or "not-authorized" in answer
        return "<success" in answer


def federate(server, source, domain, files):
    """The last words of Prosody to an XMPP server that says it is that domain and shows that certificate."""
    header = (f"<?xml version='1.0'?><stream:stream from='{domain}' to='{server.domain}' version='1.0' "
              "xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
              "xmlns:stream='http://etherx.jabber.org/streams'>").encode()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(files.cert, files.key)
    with socket.create_connection((server.address, server.port), FAR, (source, 0)) as stream:
        stream.sendall(header)
        assert "starttls" in read_until(stream, ["</stream:features>"])
        stream.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        assert "<proceed" in read_until(stream, ["<proceed", "<failure"])
        with context.wrap_socket(stream) as tls:
            tls.sendall(header)
            return read_until(tls, ["</stream:features>", "</stream:stream>"])


class Scene(Watched):
    """The edges, a partner's server and its DNS, fedwarden that reads and probes, and the receiver of notifications."""

    def __init__(self, folder):
        super().__init__(folder)
        self.ports.update({name: lab.free_port()
                           for name in ("tls", "lenient", "sip", "chat", "servers", "beta", "dns")})
        self.root, self.strange_root = pki.root("Federation Root"), pki.root("Unheard-of Root")
        roots = pki.bundle(folder, "roots.pem", [self.root])
        self.good = pki.write(folder, "good", pki.leaf(self.root, ["DNS:sip.beta.example"]))
        self.strange = pki.write(folder, "strange", pki.leaf(self.strange_root, ["DNS:sip.gamma.example"],
                                                             serial=0x0123456789abcdef))
        edge = pki.write(folder, "edge", pki.leaf(self.root, ["DNS:sip.alpha.example", "DNS:alpha.example"]))
        ports = self.ports
        self.knot = self.add(lab.Knot(folder, "knot", PARTNER, ports["dns"], {"beta.example": [
            ("sip", "A", PARTNER), ("sip2", "A", PARTNER), (SERVICE, "SRV", f"0 0 {ports['beta']} sip")]}))
        self.beta = self.add(lab.Kamailio(folder, "beta", PARTNER, ports["beta"], self.beta_certificate()))
        self.sip = self.add(SipEdge(folder, "kamailio", EDGE, ports["tls"], ports["lenient"], ports["sip"], edge,
                                    roots, "alpha.example"))
        self.chat = self.add(ChatEdge(folder, "prosody", EDGE, ports["servers"], ports["chat"], edge, "alpha.example"))
        self.fedwarden = self.add_fedwarden(CONFIGURATION.format(
            folder=folder, window=self.WINDOW, count=self.THRESHOLD, partner=PARTNER, **ports))

    def beta_certificate(self, issuer=None, names=("DNS:sip.beta.example", "DNS:beta.example"), **options):
        """Writes the certificate that the partner's server shows."""
        leaf = pki.leaf(issuer or self.root, list(names), **options)
        return pki.write(self.folder, "beta", leaf)


@pytest.fixture(scope="module")
def network():
    with lab_dns.private_network():
        for address in ADDRESSES:
            lab.run("ip", "address", "add", f"{address}/32", "dev", "lo")
        yield


@pytest.fixture(scope="module")
def scene(network):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fedwarden-"))
    try:
        with Scene(folder) as scene:
            yield scene.start()
    finally:
        shutil.rmtree(folder)


def test_wrong_passwords_from_an_unknown_address(scene):
    with scene.raises_and_clears("authSource", "authBadCredentials", FAILURES, Address=ATTACKER,
                                 Target=ATTACKER) as alarm, SipClient(ATTACKER, scene.sip) as attacker:
        for number in range(FAILURES):
            assert attacker.register("alice", f"guess {number}") == 401
        assert attacker.register("alice", scene.sip.PASSWORD) == 200
    assert "user alice" in alarm["Detail"]
    assert alarm["Resolution"].startswith(f"Find out who owns {ATTACKER}; block it")
    assert "user alice" in alarm["Resolution"]


def test_bad_client_certificates(scene):
    """Kamailio as it comes: it says that it refused, not why. A client that refuses the certificate of the edge, by an
    alert, shows no bad one."""
    with scene.raises_and_clears("invalidCert", "tlsOther", FAILURES, Address=STRANGER, Target=STRANGER,
                                 PartnerName=""):
        assert show_certificate(scene.sip, scene.ports["tls"], PARTNER, scene.good)
        for _ in range(FAILURES):
            assert not show_certificate(scene.sip, scene.ports["tls"], STRANGER, scene.strange, trusting=False)
            assert not show_certificate(scene.sip, scene.ports["tls"], STRANGER, scene.strange)
    assert "alert unknown ca" in scene.sip.log.read_text(encoding="utf-8", errors="replace")


def test_bad_client_certificates_of_a_partner(scene):
    """Where the script judges, it tells whose certificate that was."""
    with scene.raises_and_clears("invalidCert", "tlsUntrustedRoot", FAILURES, Address=PARTNER,
                                 PartnerName="beta") as alarm:
        assert show_certificate(scene.sip, scene.ports["lenient"], PARTNER, scene.good)
        for _ in range(FAILURES):
            assert not show_certificate(scene.sip, scene.ports["lenient"], PARTNER, scene.strange)
    for what in ("serial 0123456789abcdef", "issuer Unheard-of", "subject sip.gamma.example", "tlsUntrustedRoot"):
        assert what in alarm["Detail"]


def test_partner_sends_to_unknown_users(scene):
    with scene.raises_and_clears("domainPartner", "domUserUnknown", FAILURES, PartnerName="beta", Address=PARTNER), \
            SipClient(PARTNER, scene.sip) as partner:
        assert partner.message("sip:carol@beta.example", "sip:alice@alpha.example") == 200
        for number in range(FAILURES):
            assert partner.message("sip:carol@beta.example", f"sip:nobody{number}@alpha.example") == 404


def test_own_network_sends_to_a_domain_that_is_not_federated(scene):
    with scene.raises_and_clears("domainLocal", "domOutboundUnsupported", FAILURES, Address=OWN_CLIENT,
                                 Target="gamma.example"), SipClient(OWN_CLIENT, scene.sip) as client:
        for _ in range(FAILURES):
            assert client.message("sip:alice@alpha.example", "sip:bob@gamma.example") == 403


def test_wrong_passwords_at_prosody(scene):
    with scene.raises_and_clears("authSource", "authBadCredentials", FAILURES, Address=CHAT_ATTACKER):
        for number in range(FAILURES):
            assert not log_in(scene.chat, CHAT_ATTACKER, "alice", f"guess {number}")


def test_bad_certificates_at_prosody(scene):
    """It tells no address then, only who the other side says it is."""
    with scene.raises_and_clears("invalidCert", "tlsUntrustedRoot", FAILURES, Target="gamma.example",
                                 AddressType="unknown"):
        for _ in range(FAILURES):
            assert "not trusted" in federate(scene.chat, STRANGER, "gamma.example", scene.strange)


def test_partner_with_an_untrusted_root(scene):
    def show(*issuer, **options):
        scene.beta_certificate(*issuer, **options)
        scene.beta.reload()
    with scene.raises_and_clears("tlsOutgoing", "tlsUntrustedRoot", repair=show, PartnerName="beta", Address=PARTNER):
        show(scene.strange_root)


def test_partner_with_other_faults_of_its_certificate(scene):
    """Whoever reads the resolution alone knows what to ask for."""
    def show(*issuer, **options):
        scene.beta_certificate(*issuer, **options)
        scene.beta.reload()
    place = f"; sip.beta.example ({PARTNER}) port {scene.ports['beta']}"
    for reason, wanted, arguments, options in (
            ("tlsIncompleteChain",
             'Ask beta to send the full chain: issuer "CN=Test Issuing CA,O=fedwarden test" not sent',
             [pki.intermediate(scene.root)], {"issuer_at": "http://ca.beta.example/issuing.cer"}),
            ("tlsWrongPrincipal", "Correct the name here, or ask beta for a certificate with it: "
             "wanted beta.example, offered DNS:old.beta.example", [], {"names": ["DNS:old.beta.example"]}),
            ("tlsExpired", r'Ask beta to renew; check this host\'s clock: ended 20\d\d-\d\d-\d\dT[\d:]+Z: '
             '"CN=sip.beta.example', [], {"days": -3})):
        after = len(scene.snmptrapd.read())
        try:
            show(*arguments, **options)
            raised = scene.received(lambda n, reason=reason: n.type == "fedwTlsOutgoingRaised" and
                                    n["fedwAlarmReason"] == reason, after)
        finally:
            show()
        scene.received(lambda n, alarm=raised["fedwAlarmId"]: n.type == "fedwTlsOutgoingCleared" and
                       n["fedwAlarmId"] == alarm, after)
        resolution = raised["fedwAlarmResolution"]
        assert re.match(wanted, resolution) and resolution.endswith(place), resolution


def test_partner_whose_certificate_ends_soon(scene):
    def show(**options):
        scene.beta_certificate(**options)
        scene.beta.reload()
    with scene.raises_and_clears("certExpiry", "tlsExpiringSoon", repair=show, PartnerName="beta", Address=PARTNER):
        show(days=5)


def test_partner_that_does_not_listen(scene):
    with scene.raises_and_clears("connection", "tcpRefused", repair=scene.beta.start, PartnerName="beta",
                                 Address=PARTNER, Port=str(scene.ports["beta"])) as alarm:
        scene.beta.stop()
    assert alarm["Resolution"].startswith(
        f"Ask beta whether its service runs at sip.beta.example ({PARTNER}) port {scene.ports['beta']}; check the port")


def test_partner_without_its_record(scene):
    def publish():
        scene.knot.change("beta.example", ("set", SERVICE, "SRV", f"0 0 {scene.ports['beta']} sip"))
    with scene.raises_and_clears("dns", "dnsNxDomain", repair=publish, PartnerName="beta",
                                 Target=f"{SERVICE}.beta.example") as alarm:
        scene.knot.change("beta.example", ("unset", SERVICE, "SRV"))
    for what in ("Ask beta to publish the record", f"{SERVICE}.beta.example SRV: ", f"{PARTNER}:{scene.ports['dns']}"):
        assert what in alarm["Resolution"], alarm["Resolution"]


def test_partner_with_another_record(scene):
    def publish(host="sip"):
        scene.knot.change("beta.example", ("unset", SERVICE, "SRV"),
                          ("set", SERVICE, "SRV", f"0 0 {scene.ports['beta']} {host}"))
    with scene.raises_and_clears("configDrift", "dnsUnexpectedAnswer", repair=publish, PartnerName="beta") as alarm:
        publish("sip2")
    assert "sip2.beta.example" in alarm["Detail"]


def test_monitor_itself(scene):
    good = scene.fedwarden.configuration

    def mend():
        scene.fedwarden.reload(good)
    with scene.raises_and_clears("monitorSelf", "monConfigInvalid", repair=mend) as alarm:
        scene.fedwarden.reload(good.replace('preset = "prosody"', 'preset = "prosodie"'))
    assert re.match(r"fedwarden\.conf:\d+: feeds\[1\]\.preset: .*prosodie", alarm["Detail"]), "the folder takes no room"
