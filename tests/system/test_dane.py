"""DANE for SMTP and XMPP (RFC 7672, RFC 7673): `fedwarden check` against real TLS servers and TLSA records.

The records lie in a knot without signatures; a resolver before it says of everything that it is authentic, and the
configuration trusts or does not trust its word. FEDWARDEN_BUILD names the build directory.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import socket
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

sys.path.insert(0, os.path.dirname(__file__))
import lab  # noqa: E402
import lab_dns  # noqa: E402
import pki  # noqa: E402
from test_check import Peer, smtp  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(os.environ.get("FEDWARDEN_BUILD", ROOT), "fedwarden")
HOST = "127.0.0.1"


def certificates(path):
    mark = b"-----BEGIN CERTIFICATE-----"
    return [x509.load_pem_x509_certificate(mark + text) for text in pathlib.Path(path).read_bytes().split(mark)[1:]]


def spki(certificate):
    return certificate.public_key().public_bytes(serialization.Encoding.DER,
                                                 serialization.PublicFormat.SubjectPublicKeyInfo)


def tlsa(usage, certificate, selector=1, matching=1):
    data = spki(certificate) if selector else certificate.public_bytes(serialization.Encoding.DER)
    data = [data, hashlib.sha256(data).digest(), hashlib.sha512(data).digest()][matching]
    return f"TLSA {usage} {selector} {matching} {data.hex()}"


class World:
    """One SMTP server a case, its TLSA records, and the configuration."""

    def __init__(self, folder, stack):
        self.folder, self.stack = folder, stack
        root, stranger = pki.root("Lab Root"), pki.root("Stranger Root")
        sub, other = pki.intermediate(root, "Lab Issuing CA"), pki.intermediate(stranger, "Stranger CA")
        self.ca = pki.bundle(folder, "ca.pem", [root])
        names = ["DNS:edge.lab.test"]
        self.files = {name: pki.write(folder, name, leaf, chain) for name, leaf, chain in (
            ("good", pki.leaf(sub, names), (sub,)), ("self", pki.self_signed(["DNS:nothing.test"]), ()),
            ("stranger", pki.leaf(other, names), (other,)), ("expired", pki.leaf(sub, names, days=-3), (sub,)),
            ("wrong", pki.leaf(other, ["DNS:wrong.test"]), (other,)))}
        self.zone = ["$ORIGIN lab.test.", "$TTL 300", "@ SOA ns hostmaster 1 3600 600 86400 5", "@ NS ns", "ns A 127.0.0.1",
                     "edge A 127.0.0.1", "@ MX 10 edge", "alias CNAME edge"]
        self.partners = {}
        self.make_cases()
        self.dns, self.proven = lab.free_port(), lab.free_port()
        stack.enter_context(lab_dns.knot(str(folder / "knot"), self.dns, {"lab.test": "\n".join(self.zone) + "\n"}))
        stack.enter_context(lab_dns.OddResolver(self.proven, self.prove))
        self.config = folder / "fedwarden.conf"
        self.config.write_text(self.configuration(), encoding="utf-8")

    def prove(self, query, _):
        if b"_%d" % self.broken in query:
            return [lab_dns.reply_wire(query, 2)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.connect((HOST, self.dns))
            sock.send(query)
            reply = sock.recv(4096)
        return [reply[:3] + bytes([reply[3] | 0x20]) + reply[4:]]

    def case(self, name, files, *records, resolver="proven", **settings):
        peer = Peer(smtp(self.files[files]))
        self.stack.callback(peer.close)
        self.zone += [f"_{peer.port}._tcp.edge {record}" for record in records]
        words = {"domain": "lab.test", "protocol": "smtp", "port": peer.port, "expiry_days": 0, **settings}
        text = "".join(f" {key} = {json.dumps(value)};" for key, value in words.items())
        self.partners[name] = f'    {{ name = "{name}"; resolvers = ( "{resolver}" );{text} }}'
        return peer.port

    def make_cases(self):
        leaf = {name: certificates(files.cert)[0] for name, files in self.files.items()}
        issuer = {name: certificates(files.cert)[-1] for name, files in self.files.items()}
        self.case("without", "good")
        self.case("key", "self", tlsa(3, leaf["self"]))
        self.case("certificate", "self", tlsa(3, leaf["self"], 0, 2))
        self.case("whole-key", "self", tlsa(3, leaf["self"], 1, 0))
        self.case("rolling", "self", tlsa(3, leaf["good"]), tlsa(3, leaf["self"]))
        self.case("expired-key", "expired", tlsa(3, leaf["expired"]))
        self.case("issuer", "stranger", tlsa(2, issuer["stranger"]))
        self.case("issuer-name", "wrong", tlsa(2, issuer["wrong"]))
        self.case("other-key", "good", tlsa(3, leaf["self"]))
        self.case("other-issuer", "good", tlsa(2, issuer["stranger"]))
        self.case("other-both", "self", tlsa(2, issuer["stranger"]), tlsa(3, leaf["good"]))
        self.case("unproven", "good", tlsa(3, leaf["self"]), resolver="knot")
        self.case("unproven-self", "self", tlsa(3, leaf["self"]), resolver="knot")
        self.case("untrusted-word", "good", tlsa(3, leaf["self"]), resolver="doubted")
        self.case("switched-off", "good", tlsa(3, leaf["self"]), dane=False)
        self.case("unusable", "good", tlsa(1, leaf["self"]), tlsa(0, issuer["stranger"]), "TLSA 3 1 9 00", "TLSA 3 1 1 0011")
        self.case("unusable-self", "self", tlsa(1, leaf["self"]))
        self.broken = self.case("hidden", "good")

    def configuration(self):
        resolvers = ",\n".join(f'    {{ name = "{name}"; address = "{HOST}"; port = {port}; trusted = {trusted}; }}'
                               for name, port, trusted in (("proven", self.proven, "true"), ("knot", self.dns, "true"),
                                                           ("doubted", self.proven, "false")))
        return (f'trusts: ( {{ name = "lab"; ca_file = "{self.ca}"; }} );\nresolvers: (\n{resolvers}\n);\n'
                f'partners: (\n{",".join(chr(10) + text for text in self.partners.values())}\n);\n')


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lab_dns.private_network())
        except OSError as error:
            pytest.skip(f"no network namespace: {error}")
        world = World(tmp_path_factory.mktemp("dane"), stack)
        done = subprocess.run([PROGRAM, "check", "-c", str(world.config), "--json"], capture_output=True, text=True,
                              timeout=60, check=False)
        found = {row["partner"]: row for row in map(json.loads, done.stdout.splitlines())}
        assert list(found) == list(world.partners), done.stderr
        yield found


@pytest.mark.parametrize("partner, reason", [
    ("without", "none"), ("key", "none"), ("certificate", "none"), ("whole-key", "none"), ("rolling", "none"),
    ("expired-key", "none"), ("issuer", "none"), ("issuer-name", "tlsWrongPrincipal"),
    ("other-key", "tlsDaneMismatch"), ("other-issuer", "tlsDaneMismatch"), ("other-both", "tlsDaneMismatch"),
    ("unproven", "none"), ("unproven-self", "tlsSelfSigned"), ("untrusted-word", "none"), ("switched-off", "none"),
    ("unusable", "none"), ("unusable-self", "tlsSelfSigned"), ("hidden", "dnsServFail"),
])
def test_dane(rows, partner, reason):
    assert rows[partner]["reason"] == reason, rows[partner]["steps"]


def test_the_mismatch_names_the_records(rows):
    tls = [step for step in rows["other-both"]["steps"] if step["stage"] == "tls"][0]
    assert tls["detail"].startswith("the chain fits none of the 2 TLSA records of edge.lab.test; leaf"), tls
    assert rows["other-both"]["who"] == "partner"


def test_what_was_found_is_shown(rows):
    address = [step for step in rows["rolling"]["steps"] if step["stage"] == "address"][0]
    assert address["detail"].startswith("127.0.0.1; 2 TLSA at port ")
    hidden = [step for step in rows["hidden"]["steps"] if step["stage"] == "address"][0]
    assert "._tcp.edge.lab.test TLSA: SERVFAIL from" in hidden["detail"]
