"""The fault matrix: partners that fail in every way that walking them can tell, each by a server that behaves so. Those of
test_check.py are among them; here are the rest. `Faults.expected` says for each partner the one right reason and the stage
where it is found; partners of `Faults.healthy` have nothing wrong with them.

tests/system/test_faults.py holds fedwarden against it, tests/bench/faults other tools as well."""
import contextlib
import pathlib
import socket
import ssl
import struct
import subprocess

import lab
import lab_dns
import pki
import test_check
from test_check import HOST, reset

NAMES = ["DNS:edge.lab.test", "DNS:*.lab.test", "URI:sip:good.lab.test"]
CNAME, SERVFAIL = 5, 2


def extended_error(code):
    """The option of OPT (RFC 8914)."""
    return struct.pack(">3H", 15, 2, code)


def is_whole(query):
    """After FORMERR c-ares sends a question again without its OPT, or, when it had none, with its end cut off."""
    with contextlib.suppress(IndexError):
        return lab_dns.question_end(query) <= len(query)
    return False


def behind_hello(octets, then=None):
    """Sends that instead of a ServerHello."""
    def talk(connection, _):
        connection.recv(4096)
        connection.sendall(octets)
        if then:
            then(connection, _)
        else:
            connection.recv(4096)
    return talk


def alert(number):
    return behind_hello(bytes([21, 3, 3, 0, 2, 2, number]))


def messages(flight):
    """(type, first, end) of the handshake messages in the unprotected records of a flight."""
    at = 0
    while at + 5 <= len(flight):
        end = at + 5 + int.from_bytes(flight[at + 3:at + 5], "big")
        inside = at + 5
        while flight[at] == 22 and inside + 4 <= end:
            first, inside = inside + 4, inside + 4 + int.from_bytes(flight[inside + 1:inside + 4], "big")
            yield flight[first - 4], first, inside
        at = end


CERTIFICATE, SERVER_KEY_EXCHANGE = 11, 12


def tampered(files, kind, offset):
    """A TLS 1.2 server that turns over one octet of a message of its first flight."""
    def talk(connection, _):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert, files.key)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(connection.recv(4096))
        with contextlib.suppress(ssl.SSLWantReadError):
            session.do_handshake()
        flight = bytearray(outgoing.read())
        for found, first, end in messages(flight):
            if found == kind:
                flight[end - 1 if offset < 0 else first + offset] ^= 1
        connection.sendall(flight)
        connection.recv(4096)
    return talk


class Faults(test_check.World):
    """All partners; .expected: {partner: (reason, stage)}, .healthy, .settings: {partner: what was configured of it}."""

    def __init__(self, folder, stack):
        self.expected = {name: (reason, stage) for name, reason, stage in test_check.FAILURES}
        self.expected["dns-several"] = self.expected["dns-mixed"] = ("tcpRefused", "connect")
        self.healthy = list(test_check.HEALTHY)
        self.settings = {}
        self.trusts = []
        super().__init__(folder, stack)
        # as the order happens to be, one of the two; "incomplete-named" has one reason
        del self.partners["incomplete"], self.partners["strict"]
        self.make_odd_resolvers()
        self.make_bad_certificates()
        self.make_bad_handshakes()
        self.make_bad_ways()

    def add(self, name, protocol="tls", host="edge.lab.test", **settings):
        super().add(name, protocol, host, **settings)
        self.settings[name] = {"domain": "lab.test", "protocol": protocol, "host": host, "address": HOST, **settings}

    def fault(self, name, reason, stage, **settings):
        self.expected[name] = (reason, stage)
        self.add(name, **settings)

    def trust(self, name, ca=None, **settings):
        words = "".join(f' {key} = {self.value(value)};' for key, value in settings.items())
        self.trusts.append(f'    {{ name = "{name}"; ca_file = "{ca or self.ca}";{words} }}')
        return name

    def configuration(self, *arguments, **options):
        text = super().configuration(*arguments, **options)
        end = text.index("\n);\nresolvers: (")
        return text[:end] + "".join(",\n" + trust for trust in self.trusts) + text[end:]

    # DNS

    def make_odd_resolvers(self):
        def odd(name, reason, respond):
            port = lab.free_port()
            self.stack.enter_context(lab_dns.OddResolver(port, respond))
            self.resolvers["odd-" + name] = port
            self.fault("dns-" + name, reason, "srv", protocol="sip", domain="good.lab.test", host="",
                       resolvers=["odd-" + name])
        for name, reason, code in (("bogus", "dnsBogus", 6), ("expired", "dnsSignatureExpired", 7),
                                   ("blocked", "dnsFiltered", 15), ("censored", "dnsFiltered", 16),
                                   ("unreached", "dnsUnreachableAuthority", 22)):
            odd(name, reason, lambda query, _, code=code: [lab_dns.reply_wire(query, SERVFAIL,
                                                                              options=extended_error(code))])
        for name, reason, rcode in (("formerr", "dnsMalformed", 1), ("notimp", "dnsNotImplemented", 4),
                                    ("notauth", "dnsOther", 9)):
            odd(name, reason, lambda query, _, rcode=rcode: [lab_dns.reply_wire(query, rcode)] if is_whole(query) else [])
        odd("garbage", "dnsMalformed", lambda query, _: [query[:2] + b"\x80\0\0\1\0\5\0\0\0\0" + query[12:] + b"\xc0"])
        odd("loop", "dnsLoop", lambda query, _: [lab_dns.reply_wire(query, answers=[(CNAME, 60, b"\xc0\x0c")])])
        odd("forged", "dnsTimeout", lambda query, _: [bytes([query[0] ^ 1]) + lab_dns.reply_wire(query, 3)[1:]])
        port = lab.free_port()
        zone = "$ORIGIN lab.test.\n$TTL 60\n@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns\nns A 127.0.0.1\nsix AAAA 2001:db8::6\n"
        self.stack.enter_context(lab_dns.knot(str(self.folder / "six"), port, {"lab.test": zone}))
        self.resolvers["six"] = port
        self.expected["dns-six"] = ("noUsableAddress", "address")
        self.partners["dns-six"] = ('    { name = "dns-six"; domain = "lab.test"; protocol = "https"; host = "six.lab.test"; '
                                    'families = "ipv4"; resolvers = ( "six" ); }')

    # Certificates

    def serve(self, name, reason, certificate, chain, *options, stage="tls", **settings):
        files = pki.write(self.folder, "fault-" + name, certificate, chain)
        self.fault(name, reason, stage, port=self.s_server(name, files, *options), **settings)

    def make_bad_certificates(self):
        root, other = pki.root("Fault Root"), pki.root("Other Root")
        sub = pki.intermediate(root, "Fault CA")
        ca = pki.bundle(self.folder, "fault-ca.pem", [root])
        self.fault_ca = ca
        self.trust("fault", ca)

        def bad(name, reason, certificate, chain=(sub,), *options, trust="fault", **settings):
            self.serve(name, reason, certificate, chain, *options, trust=trust, **settings)
        bad("root-sent", "tlsUntrustedRoot", pki.leaf(other, NAMES), [other])
        bad("incomplete-named", "tlsIncompleteChain", pki.leaf(sub, NAMES, issuer_at="http://ca.test/fault.cer"), [])
        bad("issuer-expired", "tlsExpired", *self.below(root, "Expired CA", days=-1))
        bad("common-name", "tlsWrongPrincipal", pki.leaf(sub, [], common_name="edge.lab.test"))
        bad("nul-in-name", "tlsWrongPrincipal", pki.leaf(sub, ["RAWDNS:edge.lab.test\x00.evil.test"], common_name="x"))
        bad("usage", "tlsWrongUsage", pki.leaf(sub, NAMES, eku="email"))
        bad("signature", "tlsBadSignature", pki.leaf(sub, NAMES, spoil=True))
        bad("no-authority", "tlsConstraintViolated", *self.below(root, "No CA", ca=False))
        bad("narrow", "tlsConstraintViolated", *self.below(root, "Narrow CA", permitted=["elsewhere.test"]))
        bad("critical", "tlsUnknownCriticalExtension", pki.leaf(sub, NAMES, critical=True))
        weak = ("-cipher", "DEFAULT@SECLEVEL=0")
        bad("weak-key", "tlsWeakKey", pki.leaf(sub, NAMES, key="rsa1024"), (sub,), *weak)
        bad("weak-signature", "tlsWeakSignature", pki.leaf(sub, NAMES, digest="sha1"), (sub,), *weak)
        chain = [sub]
        for number in range(12):
            chain.insert(0, pki.intermediate(chain[0], f"CA {number}"))
        bad("deep", "tlsDepthExceeded", pki.leaf(chain[0], NAMES), chain)
        self.make_revoked(bad, root, sub)
        bad("pinned", "tlsPinMismatch", pki.leaf(sub, NAMES),
            trust=self.trust("pinned", ca, pins=["sha256//" + "A" * 42 + "E="]))
        bad("intercepted", "tlsIntercepted", *self.below(root, "Web Gateway CA"), stage="certificate",
            trust=self.trust("inspected", ca, inspection_cas=["Web Gateway CA"]))
        bad("intercepted-unknown", "tlsIntercepted", pki.leaf(other, NAMES), [],
            trust=self.trust("inspected-other", ca, inspection_cas=[other.subject]))
        distrusted = self.folder / "distrusted.pem"
        subprocess.run(["openssl", "x509", "-in", ca, "-trustout", "-addreject", "serverAuth", "-out", distrusted],
                       check=True, timeout=30)
        bad("distrusted", "tlsDistrusted", pki.leaf(sub, NAMES), trust=self.trust("distrusting", distrusted))
        self.fault_root, self.fault_sub = root, sub

    @staticmethod
    def below(root, name, **options):
        """A leaf and its chain below an authority with these options."""
        authority = pki.intermediate(root, name, **options)
        return pki.leaf(authority, NAMES), [authority]

    def make_revoked(self, bad, root, sub):
        revoked, stapled, unknown, must = (pki.leaf(sub, NAMES) for _ in range(4))
        must = pki.leaf(sub, NAMES, must_staple=True)
        lists = pki.crls(self.folder, "fault-lists.pem", [(root, []), (sub, [revoked])])
        partial = pki.crl(self.folder, "fault-partial.pem", root)
        bad("revoked", "tlsRevoked", revoked, trust=self.trust("listed", self.fault_ca, crl_file=str(lists)))
        bad("unlisted", "tlsRevocationUnknown", unknown, trust=self.trust("half-listed", self.fault_ca, crl_file=str(partial)))
        staple = pki.ocsp_response(self.folder, "fault-staple", stapled, sub, status="revoked")
        bad("stapled-revoked", "tlsRevoked", stapled, (sub,), "-status_file", staple)
        bad("must-staple", "tlsRevocationUnknown", must)

    # Handshakes

    def make_bad_handshakes(self):
        good = pki.write(self.folder, "fault-good", pki.leaf(self.fault_sub, NAMES), [self.fault_sub])
        asks = ("-Verify", "2", "-verify_return_error", "-CAfile", self.fault_ca)
        revoked = pki.leaf(self.fault_sub, ["DNS:us.test"])
        ended = pki.leaf(self.fault_sub, ["DNS:us.test"], days=-2)
        lists = pki.crl(self.folder, "fault-ours.pem", self.fault_sub, [revoked])
        for name, reason, ours, options in (
                ("ours-revoked", "tlsClientCertRejected", revoked, (*asks, "-crl_check", "-CRL", lists)),
                ("ours-ended", "tlsLocalCertificateProblem", ended, asks)):
            files = pki.write(self.folder, name, ours, [self.fault_sub])
            self.fault(name, reason, "tls", port=self.s_server(name, good, *options),
                       trust=self.trust(name, self.fault_ca, certificate=files.cert, key=files.key))
        ecdsa_only = ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256")
        self.fault("cipher", "tlsNoSharedCipher", "tls", port=self.s_server("cipher", good, *ecdsa_only), trust="fault")
        self.fault("group", "tlsNoSharedCipher", "tls", trust="fault",
                   port=self.s_server("group", good, "-tls1_3", "-groups", "secp256k1"))
        self.fault("sni", "tlsSniRejected", "tls", sni="nobody.test", trust="fault", port=self.s_server(
            "sni", good, "-servername", "edge.lab.test", "-cert2", good.cert, "-key2", good.key, "-servername_fatal"))
        self.make_weak_exchange()
        for name, reason, talk in (
                ("alpn", "tlsAlpnMismatch", alert(120)), ("internal-error", "tlsPeerInternalError", alert(80)),
                ("strange-alert", "tlsOther", alert(255)), ("alert-version", "tlsNoSharedProtocol", alert(70)),
                ("bad-certificate", "tlsMalformedCertificate", tampered(good, CERTIFICATE, 6)),
                ("key-proof", "tlsKeyProofFailed", tampered(good, SERVER_KEY_EXCHANGE, -1)),
                ("odd-record", "tlsProtocolViolation", behind_hello(b"\x16\x03\x03\0\4\2\0\0\0")),
                ("reset-behind-hello", "tcpReset", behind_hello(b"", reset))):
            self.fault(name, reason, "tls", port=self.peer(talk).port, trust="fault")

    def make_weak_exchange(self):
        files = pki.write(self.folder, "fault-rsa", pki.leaf(self.fault_sub, NAMES, key="rsa"), [self.fault_sub])
        weak = self.folder / "dh.pem"
        subprocess.run(["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:modp_1536", "-out", weak],
                       check=True, capture_output=True, timeout=60)
        options = ("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256@SECLEVEL=0", "-dhparam", weak)
        self.fault("weak-exchange", "tlsWeakParameters", "tls", port=self.s_server("weak-exchange", files, *options),
                   trust="fault")

    # The way there, and what is said before TLS

    def make_bad_ways(self):
        port = self.peers["good"]
        self.fault("proxy-broken", "connectionOther", "proxy", port=port,
                   proxy=f"http://{HOST}:{self.peer(test_check.http_proxy('500 Broken')).port}")
        self.fault("socks-broken", "connectionOther", "proxy", port=port,
                   proxy=f"socks5://{HOST}:{self.peer(test_check.socks5(1)).port}")
        files = self.files["good"]
        for name, reason, peer in (
                ("smtp-554", "appRejected", test_check.smtp(files, greeting=b"554 no service for you\r\n")),
                ("smtp-closes", "appProtocolError", closes_behind(b"220-lab\r\n")),
                ("smtp-tls", "appProtocolError", behind_connect(b"\x15\x03\x01\0\2\2\x28"))):
            self.fault(name, reason, "starttls", protocol="smtp", port=self.peer(peer).port)


def behind_connect(octets):
    def talk(connection, _):
        connection.sendall(octets)
        connection.recv(4096)
    return talk


def closes_behind(octets):
    def talk(connection, _):
        connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    return talk
