"""What a real Postfix sees at the edge, from its log to the receiver of notifications: clients that guess passwords,
that show bad certificates, that write to nobody, and next hops that show bad certificates or do not listen. Everything
runs in a network namespace of its own. Skipped where Postfix is not unpacked yet and cannot be downloaded."""
import os
import pathlib
import shutil
import smtplib
import ssl
import tempfile

import pytest

import lab
import lab_dns
import lab_postfix
import pki
from lab_alarms import PROGRAM, Watched

FAILURES = 5  # of each kind
PASSWORD = "the right one"

EDGE = "192.0.2.10"
OWN_CLIENT = "10.10.0.21"
PARTNER = "198.51.100.5"
ATTACKER = "203.0.113.40"
STRANGER = "203.0.113.77"
LATECOMER = "203.0.113.78"
DOUBTER, OLD_DOUBTER = "203.0.113.79", "203.0.113.80"
ADDRESSES = (EDGE, OWN_CLIENT, PARTNER, ATTACKER, STRANGER, LATECOMER, DOUBTER, OLD_DOUBTER)

CONFIGURATION = """log_level = "info";
agent = {{ mode = "standalone"; listen = "udp:127.0.0.1:{snmp}"; access_file = "{folder}/snmp.conf";
           state_dir = "{folder}/fedwarden/state"; }};
defaults = {{ interval = 86400; }};
thresholds = {{
    authSource = {{ count = {count}; window = {window}; clear = 0; }};
    invalidCert = {{ count = {count}; window = {window}; clear = 0; }};
    domainPartner = {{ count = {count}; window = {window}; clear = 0; }};
    domainLocal = {{ count = {count}; window = {window}; clear = 0; }};
    tlsOutgoing = {{ count = {count}; window = {window}; clear = 0; }};
    connection = {{ count = {count}; window = {window}; clear = 0; }};
}};
edge = {{ networks = ( "10.10.0.0/16" ); domains = ( "alpha.example" ); }};
feeds = ( {{ name = "mail"; preset = "postfix"; file = "{folder}/edge/mail.log"; }} );
partners = ( {{ name = "beta"; domain = "beta.example"; protocol = "smtp"; host = "mx.beta.example";
                address = "{partner}"; port = {beta}; trust = "federation"; }} );
trusts = ( {{ name = "federation"; ca_file = "{folder}/roots.pem"; }} );
"""


class Scene(Watched):
    """The edge's mail server, the partner's, and fedwarden that reads the edge's log."""

    def __init__(self, folder, packages):
        super().__init__(folder)
        self.ports.update({name: lab.free_port() for name in ("mail", "demanding", "beta", "bad", "nobody")})
        ports = self.ports
        self.root, strange_root = pki.root("Federation Root"), pki.root("Unheard-of Root")
        roots = pki.bundle(folder, "roots.pem", [self.root])
        names = ["DNS:mx.beta.example"]
        self.good = pki.write(folder, "good", pki.leaf(self.root, names))
        self.strange = pki.write(folder, "strange", pki.leaf(strange_root, ["DNS:mx.gamma.example"]))
        self.expired = pki.write(folder, "expired", pki.leaf(self.root, ["DNS:mx.gamma.example"], days=-2))
        edge = pki.write(folder, "edge", pki.leaf(self.root, ["DNS:mx.alpha.example"]))
        for files in (self.good, self.strange, edge):
            for path in files:
                os.chmod(path, 0o644)  # those keys are nobody's
        self.beta = self.add(lab_postfix.Postfix(
            folder, "beta", PARTNER, ports["beta"], self.good, packages, "beta.example",
            listeners={"bad": (ports["bad"], {"smtpd_tls_chain_files": f"{self.strange.key},{self.strange.cert}"})}))
        hops = {"good": ports["beta"], "untrusted": ports["bad"], "absent": ports["nobody"]}
        routes = " ".join(f"{{ {name}.beta.example = smtp:[{PARTNER}]:{port} }}" for name, port in hops.items())
        self.edge = self.add(lab_postfix.Postfix(
            folder, "edge", EDGE, ports["mail"], edge, packages, "alpha.example", users={"alice": PASSWORD},
            listeners={"demanding": (ports["demanding"], {"smtpd_tls_security_level": "encrypt",
                                                          "smtpd_tls_req_ccert": "yes"})},
            settings={"mynetworks": "10.10.0.0/16", "relay_domains": "beta.example",
                      "smtpd_relay_restrictions": "reject_unauth_destination",
                      "transport_maps": f"inline:{{ {routes} }}",
                      "smtpd_tls_CAfile": roots, "smtp_tls_CAfile": roots, "smtp_tls_security_level": "verify",
                      "smtp_tls_verify_cert_match": "mx.beta.example", "smtp_connection_cache_on_demand": "no",
                      "default_destination_concurrency_failed_cohort_limit": "100"}))
        self.fedwarden = self.add_fedwarden(CONFIGURATION.format(
            folder=folder, window=self.WINDOW, count=self.THRESHOLD, partner=PARTNER, **ports))

    def send(self, source, sender, recipient):
        """The edge's answer (code, text) to a mail."""
        with self.edge.client(source) as client:
            client.ehlo()
            client.mail(sender)
            answer = client.rcpt(recipient)
            if answer[0] == 250:
                answer = client.data("Subject: test\r\n\r\nHello.\r\n")
            return answer

    def secure(self, source, files=None, version=ssl.TLSVersion.TLSv1_3, trusting=True):
        """A mail with that client certificate: the last code. One that is not trusting ends the handshake with the alert
        that it does not know the CA of the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE if trusting else ssl.CERT_REQUIRED
        context.maximum_version = version
        if files:
            context.load_cert_chain(files.cert, files.key)
        try:
            with self.edge.client(source, "demanding") as client:
                client.starttls(context=context)
                client.ehlo()
                return client.mail("carol@beta.example")[0]
        except (smtplib.SMTPServerDisconnected, ssl.SSLError):
            return 0


@pytest.fixture(scope="module")
def packages():
    try:
        return lab_postfix.unpack(PROGRAM.parent.resolve())
    except lab.LabError as error:
        pytest.skip(f"Postfix cannot be downloaded: {str(error).splitlines()[-1]}")


@pytest.fixture(scope="module")
def scene(packages):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fedwarden-"))
    folder.chmod(0o711)
    try:
        with lab_dns.private_network():
            for address in ADDRESSES:
                lab.run("ip", "address", "add", f"{address}/32", "dev", "lo")
            with Scene(folder, packages) as scene:
                yield scene.start()
    finally:
        shutil.rmtree(folder)


def test_wrong_passwords_from_an_unknown_address(scene):
    with scene.raises_and_clears("authSource", "authBadCredentials", FAILURES, Address=ATTACKER, Target=ATTACKER):
        for number in range(FAILURES):
            with scene.edge.client(ATTACKER) as client, pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("alice", f"guess {number}")
        with scene.edge.client(ATTACKER) as client:
            assert client.login("alice", PASSWORD)[0] == 235


def test_certificates_of_an_unknown_root(scene):
    with scene.raises_and_clears("invalidCert", "tlsUntrustedRoot", FAILURES, Address=STRANGER, Target=STRANGER,
                                 PartnerName="") as alarm:
        assert scene.secure(PARTNER, scene.good) == 250
        for _ in range(FAILURES):
            assert scene.secure(STRANGER, scene.strange) != 250
    assert "Unheard-of Root" in alarm["Detail"]


@pytest.mark.parametrize("source, version", ((DOUBTER, ssl.TLSVersion.TLSv1_3), (OLD_DOUBTER, ssl.TLSVersion.TLSv1_2)))
def test_clients_that_end_the_handshake_with_an_alert(scene, source, version):
    """It is the edge's certificate that they refuse: only those that show a bad one count."""
    with scene.raises_and_clears("invalidCert", "tlsUntrustedRoot", FAILURES, Address=source, Target=source):
        for _ in range(FAILURES):
            assert scene.secure(source, scene.strange, version, trusting=False) == 0
            assert scene.secure(source, scene.strange, version) != 250
    log = scene.edge.mail_log.read_text(encoding="utf-8")
    assert log.count(f"SSL_accept error from unknown[{source}]") == FAILURES
    assert "alert unknown ca" in log


def test_certificates_that_have_expired(scene):
    with scene.raises_and_clears("invalidCert", "tlsExpired", FAILURES, Address=LATECOMER, Target=LATECOMER):
        for _ in range(FAILURES):
            assert scene.secure(LATECOMER, scene.expired) != 250


def test_partner_without_certificates(scene):
    with scene.raises_and_clears("invalidCert", "tlsNoCertificate", FAILURES, Address=PARTNER, PartnerName="beta"):
        for _ in range(FAILURES):
            assert scene.secure(PARTNER) != 250


def test_mail_for_nobody(scene):
    """Alarms of different events run their course together, which saves time here."""
    with scene.raises_and_clears("domainPartner", "domUserUnknown", FAILURES, PartnerName="beta", Address=PARTNER), \
            scene.raises_and_clears("domainLocal", "domOutboundUnsupported", FAILURES, Address=OWN_CLIENT,
                                    Target="gamma.example"):
        assert scene.send(PARTNER, "carol@beta.example", "alice@alpha.example")[0] == 250
        for number in range(FAILURES):
            assert scene.send(PARTNER, "carol@beta.example", f"nobody{number}@alpha.example")[0] == 550
            assert scene.send(OWN_CLIENT, "alice@alpha.example", "bob@gamma.example")[0] == 554


def test_bad_next_hops(scene):
    """One has a certificate of an unknown root, one does not listen."""
    with scene.raises_and_clears("tlsOutgoing", "tlsUntrustedRoot", FAILURES, PartnerName="beta", Address=PARTNER,
                                 Port=str(scene.ports["bad"])), \
            scene.raises_and_clears("connection", "tcpRefused", FAILURES, PartnerName="beta", Address=PARTNER,
                                    Port=str(scene.ports["nobody"])):
        assert scene.send(OWN_CLIENT, "alice@alpha.example", "carol@good.beta.example")[0] == 250
        for number in range(FAILURES):
            assert scene.send(OWN_CLIENT, "alice@alpha.example", f"carol{number}@untrusted.beta.example")[0] == 250
            assert scene.send(OWN_CLIENT, "alice@alpha.example", f"carol{number}@absent.beta.example")[0] == 250
