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
import time

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
        self.trusts, self.trust_settings = [], {}
        super().__init__(folder, stack)
        # as the order happens to be, one of the two; "incomplete-named" has one reason
        del self.partners["incomplete"], self.partners["strict"]
        self.make_odd_resolvers()
        self.make_bad_certificates()
        self.make_bad_handshakes()
        self.make_bad_ways()
        self.make_protocols()

    def add(self, name, protocol="tls", host="edge.lab.test", **settings):
        super().add(name, protocol, host, **settings)
        self.settings[name] = {"domain": "lab.test", "protocol": protocol, "host": host, "address": HOST, **settings}

    def fault(self, name, reason, stage, **settings):
        self.expected[name] = (reason, stage)
        self.add(name, **settings)

    def trust(self, name, ca=None, **settings):
        words = "".join(f' {key} = {self.value(value)};' for key, value in settings.items())
        self.trust_settings[name] = {"ca_file": ca or self.ca, **settings}
        self.trusts.append(f'    {{ name = "{name}"; ca_file = "{ca or self.ca}";{words} }}')
        return name

    def trust_of(self, name):
        """What was configured of that profile, also of one of test_check.World."""
        ours = {"with-client": "client", "with-stranger": "client-stranger"}.get(name)
        usual = {"ca_file": self.ca}
        if ours:
            usual.update(certificate=self.files[ours].cert, key=self.files[ours].key)
        return self.trust_settings.get(name, usual)

    def configuration(self, *arguments, **options):
        options.setdefault("app", 700)
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


    # What is spoken before TLS and inside

    def make_protocols(self):
        files = pki.write(self.folder, "fault-edge", pki.leaf(self.fault_sub, NAMES), [self.fault_sub])

        def peer(name, protocol, before, inside=(), **settings):
            if protocol == "sip":
                settings["domain"] = "good.lab.test"
            elif protocol.startswith("xmpp"):
                settings["domain"] = "edge.lab.test"
            settings["trust"] = "fault"
            reason, stage = settings.pop("fails", (None, None))
            port = self.peer(speaks(files, before, inside)).port
            if reason:
                self.fault(name, reason, stage, protocol=protocol, port=port, **settings)
            else:
                self.healthy.append(name)
                self.add(name, protocol=protocol, port=port, **settings)
        for protocol, before in BEFORE.items():
            peer(protocol + "-good", protocol, before, app=True, inside=INSIDE.get(protocol, ()))
            through = f"http://{HOST}:{self.proxy.port}"
            peer(protocol + "-proxied", protocol, before, proxy=through, app=True, inside=INSIDE.get(protocol, ()))
            injected = [*before[:-1], (before[-1][0], before[-1][1] + b"a EVIL\r\n")]
            peer(protocol + "-injected", protocol, injected, fails=("tlsProtocolViolation", "starttls"))
            peer(protocol + "-injected-proxied", protocol, injected, proxy=through, fails=("tlsProtocolViolation", "starttls"))
        for name, protocol, answers, reason in UNWILLING:
            before = [(wait, answer) for (wait, _), answer in zip(BEFORE[protocol], answers)]
            peer(f"{protocol}-{name}", protocol, before, fails=(reason, "starttls"))
        for name, protocol, answer, reason in ANSWERS:
            fails = {"fails": (reason, "app")} if reason else {}
            before = BEFORE.get(protocol, ())
            wait = INSIDE[protocol][-1][0]
            peer(f"{protocol}-app-{name}", protocol, before, [(wait, answer)], app=True, **fails)
        peer("sip-app-proxied", "sip", (), [(b"OPTIONS", b"SIP/2.0 503 Full\r\nRetry-After: 30\r\n\r\n")], app=True,
             proxy=f"http://{HOST}:{self.proxy.port}", fails=("appOverloaded", "app"))
        self.make_real_servers(files)

    def make_real_servers(self, files):
        """Kamailio answers OPTIONS, nginx HEAD; Prosody opens streams, between servers and of clients."""
        sip = lab.Kamailio(self.folder, "kamailio", HOST, lab.free_port(), files)
        web = lab.Nginx(self.folder, "fault-nginx", HOST, lab.free_port(), files)
        client_port = lab.free_port()
        xmpp = lab.Prosody(self.folder, "fault-prosody", HOST, lab.free_port(), files, "edge.lab.test", client_port)
        for server in (sip, web, xmpp):
            server.start()
            self.stack.callback(server.stop)
        web.write("index.html", "")
        for name, protocol, domain, port in (("real-sip", "sip", "good.lab.test", sip.port),
                                             ("real-https", "https", "lab.test", web.port),
                                             ("real-xmpp-client", "xmpp-client", "edge.lab.test", client_port)):
            self.healthy.append(name)
            self.add(name, protocol=protocol, domain=domain, port=port, trust="fault", app=True)
        self.healthy.append("real-xmpp")
        self.add("real-xmpp", protocol="xmpp", domain="xmpp.lab.test", host="", app=True)
        # it takes only servers with a certificate (s2s_secure_auth)
        self.fault("real-xmpp-strict", "appRejected", "app", protocol="xmpp", domain="edge.lab.test", port=xmpp.port,
                   trust="fault", app=True)
        self.fault("real-xmpp-unknown", "appRejected", "starttls", protocol="xmpp", domain="lab.test",
                   port=xmpp.port, trust="fault", verify_name="edge.lab.test")


STREAM = b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
TLS = b"xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
FEATURES = b"<stream:features><starttls " + TLS + b"><required/></starttls></stream:features>"


def ldap_answer(code, tag=0x78):
    return bytes([0x30, 12, 2, 1, 1, tag, 7, 10, 1, code, 4, 0, 4, 0])


XMPP = [(b"<stream:stream", STREAM + FEATURES), (b"<starttls", b"<proceed " + TLS + b"/>")]
# What a good server says before TLS, each answer when that came: up to the go-ahead.
BEFORE = {
    "smtp": [(b"", b"220 lab ESMTP\r\n"), (b"EHLO", b"250-lab\r\n250 STARTTLS\r\n"), (b"STARTTLS", b"220 go\r\n")],
    "imap": [(b"", b"* OK ready\r\n"), (b"CAPABILITY", b"* CAPABILITY IMAP4rev1 STARTTLS\r\na OK done\r\n"),
             (b"STARTTLS", b"b OK begin\r\n")],
    "pop3": [(b"", b"+OK ready\r\n"), (b"CAPA", b"+OK\r\nUIDL\r\nSTLS\r\n.\r\n"), (b"STLS", b"+OK begin\r\n")],
    "ldap": [(b"1.3.6.1.4.1.1466.20037", ldap_answer(0))],
    "xmpp": XMPP,
    "xmpp-client": XMPP,
}
# And inside TLS.
INSIDE = {
    "smtp": [(b"EHLO", b"250-lab\r\n250 HELP\r\n")],
    "imap": [(b"CAPABILITY", b"* CAPABILITY IMAP4rev1\r\na OK done\r\n")],
    "pop3": [(b"CAPA", b"+OK\r\nUIDL\r\n.\r\n")],
    "xmpp": [(b"<stream:stream", STREAM + b"<stream:features/>")],
    "xmpp-client": [(b"<stream:stream", STREAM + b"<stream:features/>")],
    "sip": [(b"OPTIONS", b"SIP/2.0 200 OK\r\n\r\n")],
    "https": [(b" / HTTP/1.1", b"HTTP/1.1 200 OK\r\n\r\n")],
}
UNWILLING = [
    ("silent", "imap", [], "appTimeout"), ("bye", "imap", [b"* BYE go\r\n"], "appRejected"),
    ("down", "imap", [b"* BYE [UNAVAILABLE] later\r\n"], "appOverloaded"),
    ("none", "imap", [b"* OK\r\n", b"* CAPABILITY IMAP4rev1\r\na OK\r\n"], "tlsStartTlsNotOffered"),
    ("refuses", "imap", [b"* OK\r\n", b"* CAPABILITY STARTTLS\r\na OK\r\n", b"b NO\r\n"], "tlsStartTlsRefused"),
    ("foreign", "imap", [b"220 smtp\r\n"], "appProtocolError"),
    ("none", "pop3", [b"+OK\r\n", b"+OK\r\nUIDL\r\n.\r\n"], "tlsStartTlsNotOffered"),
    ("refuses", "pop3", [b"+OK\r\n", b"+OK\r\nSTLS\r\n.\r\n", b"-ERR\r\n"], "tlsStartTlsRefused"),
    ("busy", "pop3", [b"-ERR [SYS/TEMP] later\r\n"], "appOverloaded"), ("foreign", "pop3", [b"* OK\r\n"], "appProtocolError"),
    ("none", "ldap", [ldap_answer(2)], "tlsStartTlsNotOffered"), ("refuses", "ldap", [ldap_answer(1)], "tlsStartTlsRefused"),
    ("busy", "ldap", [ldap_answer(51)], "appOverloaded"), ("foreign", "ldap", [ldap_answer(0, 0x61)], "appProtocolError"),
    ("none", "xmpp", [STREAM + b"<stream:features/>"], "tlsStartTlsNotOffered"),
    ("refuses", "xmpp", [STREAM + FEATURES, b"<failure " + TLS + b"/>"], "tlsStartTlsRefused"),
    ("refuses", "xmpp-client", [STREAM + FEATURES, b"<failure " + TLS + b"/>"], "tlsStartTlsRefused"),
    ("unknown", "xmpp-client", [STREAM + b"<stream:error><host-unknown/></stream:error>"], "appRejected"),
]
# (name, protocol, the answer inside TLS, the reason, None: it is well)
ANSWERS = [
    ("ok", "sip", b"SIP/2.0 100 Trying\r\n\r\nSIP/2.0 200 OK\r\n\r\n", None),
    ("403", "sip", b"SIP/2.0 403 Forbidden\r\n\r\n", "appRejected"),
    ("407", "sip", b"SIP/2.0 407 Proxy Authentication Required\r\n\r\n", "appRejected"),
    ("480", "sip", b"SIP/2.0 480 Temporarily Unavailable\r\n\r\n", "appOverloaded"),
    ("500", "sip", b"SIP/2.0 500 Server Error\r\n\r\n", "appRejected"),
    ("503", "sip", b"SIP/2.0 503 Service Unavailable\r\nRetry-After: 60\r\n\r\n", "appOverloaded"),
    ("silent", "sip", b"", "appTimeout"), ("foreign", "sip", b"HTTP/1.1 400 Bad\r\n\r\n", "appProtocolError"),
    ("301", "https", b"HTTP/1.1 301 Moved\r\nLocation: /a\r\n\r\n", None),
    ("404", "https", b"HTTP/1.1 404 Not Found\r\n\r\n", "appRejected"),
    ("503", "https", b"HTTP/1.1 503 Busy\r\n\r\n", "appOverloaded"), ("silent", "https", b"", "appTimeout"),
    ("421", "smtp", b"421 later\r\n", "appOverloaded"), ("550", "smtp", b"550 no\r\n", "appRejected"),
    ("no", "imap", b"a NO\r\n", "appRejected"), ("foreign", "pop3", b"what\r\n", "appProtocolError"),
    ("unknown", "xmpp", STREAM + b"<stream:error><host-unknown/></stream:error>", "appRejected"),
    ("full", "xmpp", STREAM + b"<stream:error><resource-constraint/></stream:error>", "appOverloaded"),
    ("silent", "xmpp-client", b"", "appTimeout"),
]


def exchange(stream, steps):
    """Each answer when what it answers came; False when the peer left."""
    for wait, answer in steps:
        heard = b""
        while wait not in heard:
            more = stream.recv(4096)
            if not more:
                return False
            heard += more
        if answer:
            stream.sendall(answer)
    return True


def speaks(files, before, inside):
    def talk(connection, said):
        if not exchange(connection, before) or (before and not complete(before)):
            test_check.mute(connection, [])
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert, files.key)
        with context.wrap_socket(connection, server_side=True) as tls:
            exchange(tls, inside)
            while said is not None and tls.recv(4096):
                pass
    return talk


def complete(before):
    """Whether the last of what is said before TLS is a go-ahead, as it is or with something behind it."""
    return any(before[-1][1].startswith(good[-1][1]) for good in BEFORE.values())


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


# Peers that never come to an end: (name, protocol, talk, the reason, the stage), for a walk with budgets as below.

BUDGETS = {"connect": 600, "proxy": 800, "starttls": 800, "tls": 800, "app": 800, "walk": 2000}


def drips(octets, then=b""):
    """An octet a second, behind `then` at once."""
    def talk(connection, _):
        connection.sendall(then)
        for octet in octets:
            time.sleep(1)
            connection.sendall(bytes([octet]))
    return talk


def floods(octets, first=b"", wait=b""):
    """The same again and again, as fast as it is taken."""
    def talk(connection, _):
        exchange(connection, [(wait, first)])
        many = octets * (1 + 65536 // len(octets))
        while True:
            connection.sendall(many)
    return talk


def inside(files, talk, before=()):
    """That, behind a good handshake."""
    def talk_inside(connection, said):
        exchange(connection, before)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert, files.key)
        with context.wrap_socket(connection, server_side=True) as tls:
            talk(tls, said)
    return talk_inside


def endless(files):
    """Each stage is left silent, or fed an octet a second, or flooded."""
    for protocol, before in BEFORE.items():
        for count in range(len(before)):
            yield f"{protocol}-silent-{count}", protocol, speaks(files, before[:count] or [(b"\xff", b"")], ()), "appTimeout", "starttls"
        if before[0][0] == b"":
            yield f"{protocol}-drips", protocol, drips(before[0][1] * 3), "appTimeout", "starttls"
        mute = lambda connection, _, before=before: (exchange(connection, before), test_check.mute(connection, []))  # noqa: E731
        yield f"{protocol}-silent-tls", protocol, mute, "tlsHandshakeTimeout", "tls"
    told = "appProtocolError"
    for name, protocol, talk in (
            ("smtp-lines", "smtp", floods(b"220-more\r\n")), ("smtp-line", "smtp", floods(b"2")),
            ("smtp-list", "smtp", floods(b"250-more\r\n", b"220 lab\r\n")), ("imap-lines", "imap", floods(b"* 1 EXISTS\r\n", b"* OK\r\n")),
            ("imap-line", "imap", floods(b"*")), ("pop3-list", "pop3", floods(b"UIDL\r\n", b"+OK\r\n+OK\r\n")),
            ("ldap-length", "ldap", floods(b"\0", b"0\x84\x7f\xff\xff\xff")), ("ldap-lengths", "ldap", floods(b"\xff", b"0\xfe")),
            ("xmpp-stanzas", "xmpp", floods(b"<a/>", STREAM)), ("xmpp-depth", "xmpp", floods(b"<a>", STREAM)),
            ("xmpp-text", "xmpp", floods(b"x", STREAM)), ("xmpp-tag", "xmpp", floods(b"a", STREAM + b"<"))):
        yield name, protocol, talk, told, "starttls"
    record = b"\x16\x03\x03\x40\0"
    for name, talk, reason in (
            ("tls-drips", behind_hello(b"", drips(b"\x16\x03\x03\0\x5a\2\0\0\x56\3\3")), "tlsHandshakeTimeout"),
            ("tls-message", floods(b"\0" * 16384 + record, record + b"\2\xff\xff\xff", b"\x16"), "tlsProtocolViolation"),
            ("tls-record", floods(b"\0", b"\x16\x03\x03\xff\xff", b"\x16"), "tlsProtocolViolation"),
            ("tls-warnings", floods(bytes([21, 3, 3, 0, 2, 1, 0x5a]), b"", b"\x16"), "tlsOther"),
            ("tls-empty", floods(b"\x16\x03\x03\0\0", b"", b"\x16"), "tlsProtocolViolation"),
            ("tls-change", floods(b"\x14\x03\x03\0\1\1", b"", b"\x16"), "tlsProtocolViolation")):
        yield name, "tls", talk, reason, "tls"
    for name, protocol, talk, reason in (
            ("sip-drips", "sip", drips(b"SIP/2.0 200 OK\r\n"), "appTimeout"),
            ("sip-provisional", "sip", floods(b"SIP/2.0 100 Trying\r\n\r\n"), told), ("sip-line", "sip", floods(b"S"), told),
            ("https-drips", "https", drips(b"HTTP/1.1 200"), "appTimeout"), ("https-line", "https", floods(b"H"), told),
            ("https-lines", "https", floods(b"\r\n"), told)):
        yield name, protocol, inside(files, talk), reason, "app"
    yield "https-headers", "https", inside(files, floods(b"X: y\r\n", b"HTTP/1.1 404 None\r\n")), told, "app"
    yield "smtp-list-inside", "smtp", inside(files, floods(b"250-more\r\n"), BEFORE["smtp"]), told, "app"
    yield "xmpp-text-inside", "xmpp", inside(files, floods(b" ", STREAM), XMPP), told, "app"


def endless_proxies():
    """(name, talk, reason)"""
    yield "proxy-drips", drips(b"HTTP/1.1 200 OK\r\n\r\n"), "tcpTimeout"
    yield "proxy-headers", floods(b"X: y\r\n", b"HTTP/1.1 200 OK\r\n", b"CONNECT"), "proxyUnreachable"
    yield "proxy-line", floods(b"X", b"HTTP/1.1 200 OK\r\n", b"CONNECT"), "proxyUnreachable"


class Endless(Faults):
    """Those peers alone."""

    def __init__(self, folder, stack):
        self.folder, self.stack = folder, stack
        self.partners, self.peers, self.settings, self.resolvers = {}, {}, {}, {}
        self.trusts, self.trust_settings = [], {}
        self.expected = {}
        self.make_certificates()
        files = self.files["good"]
        for name, protocol, talk, reason, stage in endless(files):
            domain = "good.lab.test" if protocol == "sip" else "edge.lab.test"
            self.fault(name, reason, stage, protocol=protocol, domain=domain, port=self.peer(talk).port, app=True,
                       resolvers=[])
        for name, talk, reason in endless_proxies():
            self.fault(name, reason, "proxy", port=1, proxy=f"http://{HOST}:{self.peer(talk).port}", resolvers=[])

    def make_dns(self):
        """None: all hosts have addresses."""
