"""TLS sessions of the program's own code (tests/system/handshake) with real servers and with broken ones: for each way
to fail the one right reason, over TLS 1.2 and 1.3, with RSA and ECDSA certificates."""
import contextlib
import json
import os
import pathlib
import socket
import struct
import subprocess
import threading

import pytest

import lab
import lab_pki
import pki

BUILD = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY))
HANDSHAKE = BUILD / "tests/system/handshake"
PROGRAM = BUILD / "fedwarden"
NAME = "sip.partner.test"
NAMES = ["DNS:" + NAME, "URI:sip:partner.test"]
SUITES = [(version, key) for version in ("1.2", "1.3") for key in ("ec", "rsa")]


class Pki(lab_pki.Pki):
    """With a good certificate, and leaves of it, for a kind of key."""

    def __init__(self, folder, key):
        super().__init__(folder, key)
        self.good = self.files(pki.leaf(self.sub, NAMES, key=key))

    def leaf(self, names=None, chain=None, issuer=None, **options):
        options.setdefault("key", self.key)
        return self.files(pki.leaf(issuer or self.sub, NAMES if names is None else names, **options), chain)


@pytest.fixture(scope="module")
def pkis(tmp_path_factory):
    return {key: Pki(tmp_path_factory.mktemp("pki-" + key), key) for key in ("ec", "rsa")}


@pytest.fixture(params=SUITES, ids=lambda suite: "tls" + suite[0] + "-" + suite[1])
def suite(request, pkis):
    version, key = request.param
    return version, pkis[key]


def chain_options(files):
    """What -cert_chain has to name: the file without its leaf."""
    mark = "-----BEGIN CERTIFICATE-----"
    chain = pathlib.Path(files.cert).read_text(encoding="ascii").split(mark)[2:]
    if not chain:
        return []
    path = files.cert + ".chain"
    pathlib.Path(path).write_text("".join(mark + text for text in chain), encoding="ascii")
    return ["-cert_chain", path]


@contextlib.contextmanager
def server(files, version, *options):
    """openssl s_server; yields its port once it listens."""
    port = lab.free_port()
    flag = {"1.0": "-tls1", "1.1": "-tls1_1", "1.2": "-tls1_2", "1.3": "-tls1_3", "any": "-no_ssl3"}[version]
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", files.cert,
               *chain_options(files), "-key", files.key, flag, *map(str, options)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=lab.environment()) as process:
        try:
            seen = []
            for line in process.stdout:
                seen.append(line)
                if line.startswith(b"ACCEPT"):
                    break
            else:
                raise AssertionError(b"".join(seen).decode())
            drain = threading.Thread(target=process.stdout.read)
            drain.start()
            yield port
        finally:
            process.terminate()
            process.wait()
            drain.join()


def shake(*words, ca=None):
    """The results of handshake, one for each target."""
    command = [HANDSHAKE, *(["--ca", ca] if ca else []), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def meet(port, *options, ca, name=NAME, sni=NAME):
    return shake(*options, "127.0.0.1", port, sni, name, ca=ca)[0]


def expect(result, reason):
    assert result["reason"] == reason, result
    assert result["open"] == (reason in ("none", "tlsExpiringSoon")), result


def test_good(suite):
    version, made = suite
    with server(made.good, version) as port:
        result = meet(port, ca=made.ca)
    expect(result, "none")
    assert result["version"] == version and result["cipher"] and result["group"]
    assert [c["reason"] for c in result["certificates"]] == ["none", "none"]
    leaf = result["certificates"][0]
    assert leaf["names"] == "DNS:sip.partner.test, URI:sip:partner.test"
    assert leaf["subject"] == "CN=sip.partner.test,O=fedwarden test"
    assert leaf["issuer"] == f"CN=Issuing CA {made.key},O=fedwarden test"
    assert (leaf["key"], leaf["bits"]) == (("EC P-256", 256) if made.key == "ec" else ("RSA", 2048))


def test_recorded_as_issued(tmp_path):
    ca = pki.root()
    leaf = pki.leaf(ca, ["DNS:" + NAME], serial=0x0102030405)
    with server(pki.write(tmp_path, "leaf", leaf), "1.3") as port:
        result = meet(port, ca=pki.bundle(tmp_path, "ca.pem", [ca]))
    record = result["certificates"][0]
    assert record["serial"] == "0102030405"
    assert record["sha256"] == leaf.fingerprint
    assert record["not_after"] == result["not_after"] == leaf.x509.not_valid_after.isoformat() + "Z"


def test_untrusted_root(suite):
    version, made = suite
    with server(made.good, version) as port:
        result = meet(port, ca=made.other_ca)
    expect(result, "tlsUntrustedRoot")
    assert f'issuer "CN=Root {made.key},O=fedwarden test"' in result["detail"]
    assert len(result["certificates"]) == 2 and result["certificate_reason"] == "tlsUntrustedRoot"


def test_untrusted_root_sent(suite):
    version, made = suite
    with server(made.leaf(chain=[made.sub, made.root]), version) as port:
        result = meet(port, ca=made.other_ca)
    expect(result, "tlsUntrustedRoot")
    assert f'root "CN=Root {made.key},O=fedwarden test"' in result["detail"]


def test_incomplete_chain(suite):
    """The same failure is called untrusted until the intermediate has been seen at another partner."""
    version, made = suite
    with server(made.good, version) as whole, server(made.leaf(chain=[]), version) as part:
        target = ["127.0.0.1", part, NAME, NAME]
        unknown, _, known = shake(*target, "127.0.0.1", whole, NAME, NAME, *target, ca=made.ca)
    expect(unknown, "tlsUntrustedRoot")
    expect(known, "tlsIncompleteChain")
    assert f'"CN=Issuing CA {made.key},O=fedwarden test"' in known["detail"]


def test_incomplete_chain_that_nobody_else_has_shown(suite):
    """A leaf that comes alone and says where its issuer's certificate is, as those of public CAs do."""
    version, made = suite
    with server(made.leaf(chain=[], issuer_at="http://ca.example/issuing.cer"), version) as part:
        result = meet(part, ca=made.ca)
    expect(result, "tlsIncompleteChain")
    assert f'issuer "CN=Issuing CA {made.key},O=fedwarden test" not sent, nor known here' == result["detail"]


def test_incomplete_chain_by_our_own(suite):
    """Our own certificate has the same issuer: its chain file knows the intermediate."""
    version, made = suite
    with server(made.leaf(chain=[]), version) as port:
        result = meet(port, "--cert", made.good.cert, "--key", made.good.key, ca=made.ca)
    expect(result, "tlsIncompleteChain")


def test_wrong_principal(suite):
    version, made = suite
    with server(made.good, version) as port:
        result = meet(port, ca=made.ca, name="sip.other.test")
    expect(result, "tlsWrongPrincipal")
    assert result["detail"].startswith("wanted sip.other.test, offered DNS:sip.partner.test, URI:sip:partner.test")
    assert result["name_reason"] == "tlsWrongPrincipal" and result["certificate_reason"] == "none"


def test_common_name_is_no_name(suite):
    version, made = suite
    with server(made.leaf([], common_name=NAME), version) as port:
        expect(meet(port, ca=made.ca), "tlsWrongPrincipal")


def test_expired(suite):
    version, made = suite
    with server(made.leaf(days=-3), version) as port:
        result = meet(port, ca=made.ca)
    expect(result, "tlsExpired")
    assert '"CN=sip.partner.test,O=fedwarden test"' in result["detail"]
    assert [c["reason"] for c in result["certificates"]] == ["tlsExpired", "none"]


def test_expired_intermediate(suite):
    version, made = suite
    old = pki.intermediate(made.root, "Old CA", key=made.key, days=-1)
    with server(made.leaf(issuer=old, chain=[old]), version) as port:
        result = meet(port, ca=made.ca)
    expect(result, "tlsExpired")
    assert '"CN=Old CA,O=fedwarden test"' in result["detail"]
    assert [c["reason"] for c in result["certificates"]] == ["none", "tlsExpired"]


def test_not_yet_valid(suite):
    version, made = suite
    with server(made.leaf(before=-2), version) as port:
        expect(meet(port, ca=made.ca), "tlsNotYetValid")


def test_self_signed(suite):
    version, made = suite
    with server(made.files(pki.self_signed(NAMES, key=made.key), []), version) as port:
        expect(meet(port, ca=made.ca), "tlsSelfSigned")


def test_wrong_usage(suite):
    version, made = suite
    with server(made.leaf(eku="email"), version) as port:
        expect(meet(port, ca=made.ca), "tlsWrongUsage")


def test_constraint(suite):
    version, made = suite
    narrow = pki.intermediate(made.root, "Narrow CA", key=made.key, permitted=["elsewhere.test"])
    with server(made.leaf(issuer=narrow, chain=[narrow]), version) as port:
        expect(meet(port, ca=made.ca), "tlsConstraintViolated")


def test_no_authority(suite):
    version, made = suite
    fake = pki.intermediate(made.root, "No CA", key=made.key, ca=False)
    with server(made.leaf(issuer=fake, chain=[fake]), version) as port:
        expect(meet(port, ca=made.ca), "tlsConstraintViolated")


def test_bad_signature(suite):
    version, made = suite
    with server(made.leaf(spoil=True), version) as port:
        expect(meet(port, ca=made.ca), "tlsBadSignature")


def test_unknown_critical_extension(suite):
    version, made = suite
    with server(made.leaf(critical=True), version) as port:
        expect(meet(port, ca=made.ca), "tlsUnknownCriticalExtension")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_weak(pkis, version):
    made = pkis["rsa"]
    with server(made.leaf(key="rsa1024"), version, "-cipher", "DEFAULT@SECLEVEL=0") as port:
        expect(meet(port, ca=made.ca), "tlsWeakKey")
    with server(made.leaf(digest="sha1"), version, "-cipher", "DEFAULT@SECLEVEL=0") as port:
        expect(meet(port, ca=made.ca), "tlsWeakSignature")


def test_worst_first(suite):
    """Untrusted, expired and of another name: the first is told, the others are listed."""
    version, made = suite
    with server(made.leaf(days=-3), version) as port:
        result = meet(port, ca=made.other_ca, name="x.test")
    expect(result, "tlsUntrustedRoot")
    assert "also" in result["detail"] and "tlsExpired" in result["detail"] and "tlsWrongPrincipal" in result["detail"]


def test_expiring_soon(suite):
    version, made = suite
    with server(made.leaf(days=5), version) as port:
        expect(meet(port, "--expiry", 4, ca=made.ca), "none")
        result = meet(port, "--expiry", 14, ca=made.ca)
        expect(meet(port, "--expiry", 14, ca=made.ca, name="x.test"), "tlsWrongPrincipal")
    expect(result, "tlsExpiringSoon")
    assert [c["reason"] for c in result["certificates"]] == ["tlsExpiringSoon", "none"]


def test_intermediate_expiring_first(suite):
    version, made = suite
    late = pki.intermediate(made.root, "Late CA", key=made.key, days=3)
    with server(made.leaf(issuer=late, chain=[late]), version) as port:
        result = meet(port, "--expiry", 7, ca=made.ca)
    expect(result, "tlsExpiringSoon")
    assert '"CN=Late CA,O=fedwarden test"' in result["detail"]


def test_revocation(suite):
    version, made = suite
    good, bad = pki.leaf(made.sub, NAMES, key=made.key), pki.leaf(made.sub, NAMES, key=made.key)
    lists = pki.crls(made.folder, "lists.pem", [(made.root, []), (made.sub, [bad])])
    partial = pki.crl(made.folder, "partial.pem", made.root)
    stale = pki.save(made.folder, "stale.pem", pki.crl_pem(made.root) + pki.crl_pem(made.sub, [], days=-1, before=9))
    with server(made.files(good), version) as port:
        expect(meet(port, "--crl", lists, ca=made.ca), "none")
        expect(meet(port, "--crl", partial, ca=made.ca), "tlsRevocationUnknown")
        expect(meet(port, "--crl", stale, ca=made.ca), "tlsRevocationUnknown")
    with server(made.files(bad), version) as port:
        expect(meet(port, "--crl", lists, ca=made.ca), "tlsRevoked")


def test_pins(suite):
    version, made = suite
    with server(made.good, version) as port:
        expect(meet(port, "--pin", made.sub.pin, ca=made.ca), "none")
        expect(meet(port, "--pin", made.other.pin, "--pin", made.root.pin, ca=made.ca), "none")
        expect(meet(port, "--pin", made.other.pin, ca=made.ca), "tlsPinMismatch")


def test_pin_of_a_certificate_that_was_merely_sent(suite):
    version, made = suite
    with server(made.leaf(chain=[made.sub, made.other]), version) as port:
        expect(meet(port, "--pin", made.other.pin, ca=made.ca), "tlsPinMismatch")


def test_client_certificate(suite):
    version, made = suite
    asks = ("-Verify", 3, "-verify_return_error", "-CAfile", made.ca)
    other = pki.write(made.folder, "stranger", pki.leaf(made.other, ["DNS:us.test"], key=made.key))
    useless = made.leaf(["DNS:us.test"], eku="server")
    old = made.leaf(["DNS:us.test"], days=-1)
    young = made.leaf(["DNS:us.test"], before=-2)
    bad = pki.leaf(made.sub, ["DNS:us.test"], key=made.key)
    ours = made.files(bad)
    with server(made.good, version, *asks) as port:
        required = meet(port, ca=made.ca)
        accepted = meet(port, "--cert", made.good.cert, "--key", made.good.key, ca=made.ca)
        unknown = meet(port, "--cert", other.cert, "--key", other.key, ca=made.ca)
        misused = meet(port, "--cert", useless.cert, "--key", useless.key, ca=made.ca)
        expired = meet(port, "--cert", old.cert, "--key", old.key, ca=made.ca)
        early = meet(port, "--cert", young.cert, "--key", young.key, ca=made.ca)
    lists = pki.crl(made.folder, "ours.pem", made.sub, [bad])
    with server(made.good, version, *asks, "-crl_check", "-CRL", lists) as port:
        revoked = meet(port, "--cert", ours.cert, "--key", ours.key, ca=made.ca)
    expect(required, "tlsClientCertRequired")
    expect(accepted, "none")
    assert accepted["client_certificate_accepted"] and accepted["facts"]["sent"]
    expect(unknown, "tlsClientCertRejectedCa")
    assert "alert 48 unknown_ca" in unknown["detail"]
    assert "the issuer of ours is none of the 1 CAs that it names: " in unknown["detail"]
    assert unknown["peer_cas"] == [made.root.subject] == required["peer_cas"]
    expect(misused, "tlsLocalCertificateProblem")
    assert 'our certificate is not one of a client (extended key usage): "CN=us.test' in misused["detail"]
    expect(revoked, "tlsClientCertRejected")
    assert "alert 44 certificate_revoked" in revoked["detail"]
    for result, words in ((expired, "ended"), (early, "begins")):
        expect(result, "tlsLocalCertificateProblem")
        assert result["detail"].startswith(f"our own certificate {words} 20") and "CN=us.test" in result["detail"]
    assert required["facts"]["asked"] and not required["facts"]["sent"]
    assert all(r["client_reason"] == r["reason"] for r in (required, unknown, misused, revoked, expired, early))
    assert all(len(r["certificates"]) == 2 for r in (required, unknown, misused, revoked))


def test_own_certificate_expiring(suite):
    """It is ours that ends, and only a peer that asks for it makes it a matter."""
    version, made = suite
    ours = made.leaf(["DNS:us.test"], days=5)
    with server(made.good, version, "-Verify", 3, "-CAfile", made.ca) as port:
        result = meet(port, "--cert", ours.cert, "--key", ours.key, "--expiry", 7, ca=made.ca)
    expect(result, "tlsExpiringSoon")
    assert result["detail"].startswith("our own certificate ends 20") and "CN=us.test" in result["detail"]
    with server(made.good, version) as port:
        expect(meet(port, "--cert", ours.cert, "--key", ours.key, "--expiry", 7, ca=made.ca), "none")


def test_stapled_response(suite):
    version, made = suite
    leaf = pki.leaf(made.sub, NAMES, key=made.key)
    helper = pki.leaf(made.sub, [], key=made.key, common_name="Responder", eku="ocsp")
    cheat = pki.leaf(made.sub, [], key=made.key, common_name="Cheat", eku="server")
    another = pki.leaf(made.sub, NAMES, key=made.key)
    cases = [("none", {}), ("none", {"digest": "sha256"}), ("none", {"signer": helper}),
             ("tlsRevoked", {"status": "revoked"}), ("tlsRevoked", {"status": "revoked", "days": -1, "before": 9}),
             ("tlsRevocationUnknown", {"status": "unknown"}), ("tlsRevocationUnknown", {"days": -1, "before": 9}),
             ("tlsRevocationUnknown", {"signer": cheat}), ("tlsRevocationUnknown", {"signer": made.other}),
             ("tlsRevocationUnknown", {"status": "revoked", "signer": made.other}),
             ("tlsRevocationUnknown", {"other": another})]
    files, texts = made.files(leaf), []
    for reason, options in cases:
        staple = pki.ocsp_response(made.folder, "staple", leaf, made.sub, **options)
        with server(files, version, "-status_file", staple) as port:
            result = meet(port, ca=made.ca)
        expect(result, reason)
        assert result["certificate_reason"] == reason == result["certificates"][0]["reason"]
        texts.append(result["detail"])
    assert texts[3].startswith("revoked 20") and f"{leaf.x509.serial_number:x}" in texts[3].lower()
    assert texts[6].startswith("the OCSP response that came ended 20")
    assert texts[7] == texts[8] == texts[9] == 'the OCSP response that came is not one of the certificate\'s issuer: ' \
                                               '"CN=sip.partner.test,O=fedwarden test"'


def test_must_staple(suite):
    version, made = suite
    leaf = pki.leaf(made.sub, NAMES, key=made.key, must_staple=True)
    files = made.files(leaf)
    with server(files, version) as port:
        result = meet(port, ca=made.ca)
    expect(result, "tlsRevocationUnknown")
    assert "must-staple" in result["detail"]
    with server(files, version, "-status_file", pki.ocsp_response(made.folder, "staple", leaf, made.sub)) as port:
        expect(meet(port, ca=made.ca), "none")


def test_client_certificate_optional(suite):
    version, made = suite
    with server(made.good, version, "-verify", 3, "-CAfile", made.ca) as port:
        result = meet(port, ca=made.ca)
    expect(result, "none")
    assert result["facts"]["asked"] and not result["client_certificate_accepted"]


@pytest.mark.parametrize("verify", ["optional", "on"])
def test_nginx(pkis, tmp_path, verify):
    made = pkis["ec"]
    with lab.Lab(tmp_path) as servers:
        web = servers.add(lab.Nginx(tmp_path, "web", "127.0.0.1", lab.free_port(), made.good, verify, made.ca))
        web.start()
        with_ours = meet(web.port, "--cert", made.good.cert, "--key", made.good.key, ca=made.ca)
        without = meet(web.port, "--say", "HEAD / HTTP/1.0\r\n\r\n", ca=made.ca)
    expect(with_ours, "none")
    assert with_ours["client_certificate_accepted"]
    expect(without, "none")  # nginx answers 400 inside: that is the application's matter
    assert without["facts"]["asked"] and not without["client_certificate_accepted"]


def test_no_shared_protocol(pkis):
    made = pkis["rsa"]
    with server(made.good, "1.1", "-cipher", "DEFAULT@SECLEVEL=0") as port:
        expect(meet(port, ca=made.ca), "tlsNoSharedProtocol")
    with server(made.good, "1.2") as port:
        result = meet(port, "--min", "1.3", ca=made.ca)
    expect(result, "tlsNoSharedProtocol")
    assert result["facts"]["alert"] == 70


def test_no_shared_cipher(pkis):
    made = pkis["rsa"]
    with server(made.good, "1.2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256") as port:
        expect(meet(port, ca=made.ca), "tlsNoSharedCipher")
    with server(made.good, "1.3", "-groups", "secp256k1") as port:
        expect(meet(port, ca=made.ca), "tlsNoSharedCipher")


def test_weak_parameters(pkis, tmp_path):
    made = pkis["rsa"]
    weak = tmp_path / "dh.pem"
    subprocess.run(["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:modp_1536", "-out", weak],
                   check=True, capture_output=True, timeout=60)
    with server(made.good, "1.2", "-cipher", "DHE-RSA-AES128-GCM-SHA256@SECLEVEL=0", "-dhparam", weak) as port:
        expect(meet(port, ca=made.ca), "tlsWeakParameters")


def test_sni(suite):
    version, made = suite
    second = made.leaf(issuer=made.root, chain=[])
    options = ("-servername", NAME, "-cert2", second.cert, "-key2", second.key)
    with server(made.good, version, *options, "-servername_fatal") as port:
        expect(meet(port, ca=made.ca), "none")
        expect(meet(port, ca=made.ca, sni="nobody.test"), "tlsSniRejected")
    with server(made.good, version, *options) as port:
        expect(meet(port, ca=made.ca, sni="nobody.test"), "none")  # only a warning


def test_alpn(suite):
    version, made = suite
    with server(made.good, version, "-alpn", "xmpp-client") as port:
        expect(meet(port, "--alpn", "xmpp-client", ca=made.ca), "none")
        expect(meet(port, "--alpn", "xmpp-server", ca=made.ca), "tlsAlpnMismatch")


def test_identities(suite):
    version, made = suite
    names = ["DNS:*.xmpp.test", "SRV:_xmpp-server.domain.test", "XMPP:addr.test", "IP:127.0.0.1", "URI:sip:sip.test"]
    with server(made.leaf(names), version) as port:
        for identity, name, reason in [("host", "a.xmpp.test", "none"), ("host", "127.0.0.1", "none"),
                                       ("host", "a.b.xmpp.test", "tlsWrongPrincipal"),
                                       ("host", "domain.test", "tlsWrongPrincipal"),
                                       ("xmpp", "domain.test", "none"), ("xmpp", "addr.test", "none"),
                                       ("xmpp", "a.xmpp.test", "none"), ("xmpp", "sip.test", "tlsWrongPrincipal"),
                                       ("sip", "sip.test", "none"), ("sip", "a.xmpp.test", "tlsWrongPrincipal")]:
            expect(meet(port, "--identity", identity, ca=made.ca, name=name), reason)


def test_names_that_hold_nul(suite):
    """Who reads them as C strings sees another name."""
    version, made = suite
    for name in (NAME + "\\x00.evil.test", "\\x00" + NAME, NAME + "\\x00"):
        raw = name.encode().decode("unicode_escape")
        with server(made.leaf(["RAWDNS:" + raw]), version) as port:
            result = meet(port, ca=made.ca)
        expect(result, "tlsWrongPrincipal")
        assert result["certificates"][0]["names"].isprintable()


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_certificates_of_many_names_and_octets(pkis, version):
    made = pkis["ec"]
    many = [f"DNS:n{i}.partner.test" for i in range(4999)] + ["DNS:" + NAME]
    with server(made.leaf(many), version) as port:
        expect(meet(port, ca=made.ca), "none")
        result = meet(port, ca=made.ca, name="n4999.partner.test")
    expect(result, "tlsWrongPrincipal")
    assert len(result["detail"]) <= 255 and result["certificates"][0]["names"].endswith(", ...")
    padding = [pki.leaf(made.other, [f"DNS:{'x' * 50}{i}.test" for i in range(400)], key=made.key) for _ in range(4)]
    octets = sum(len(c.der) for c in padding)
    assert 90_000 < octets < 120_000
    with server(made.leaf(chain=[made.sub, *padding]), version) as port:
        expect(meet(port, ca=made.ca), "none")
    with server(made.leaf(chain=[made.sub, *padding, *padding]), version) as port:
        result = meet(port, ca=made.ca)
    expect(result, "tlsProtocolViolation")


def test_local_problems(pkis, tmp_path):
    made, rsa = pkis["ec"], pkis["rsa"]
    empty = pki.save(tmp_path, "empty.pem", b"")
    with server(made.good, "1.3") as port:
        expect(meet(port, ca=tmp_path / "missing.pem"), "monTrustStoreMissing")
        expect(meet(port, ca=empty), "monTrustStoreMissing")
        expect(meet(port, "--crl", empty, ca=made.ca), "monTrustStoreMissing")
        expect(meet(port, "--cert", made.good.cert, "--key", rsa.good.key, ca=made.ca), "tlsLocalCertificateProblem")
        expect(meet(port, "--cert", made.good.cert, "--key", tmp_path / "no.key", ca=made.ca),
               "tlsLocalCertificateProblem")


def test_ca_directory(pkis, tmp_path):
    made = pkis["ec"]
    pki.bundle(tmp_path, "root.pem", [made.root])
    subprocess.run(["openssl", "rehash", tmp_path], check=True, timeout=30)
    with server(made.good, "1.3") as port:
        expect(shake("--ca-dir", tmp_path, "127.0.0.1", port, NAME, NAME)[0], "none")


@contextlib.contextmanager
def behaves(act):
    """A listener that hands each connection to act(connection)."""
    with socket.create_server(("127.0.0.1", lab.free_port())) as listener:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        act(connection)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hello(connection):
    return connection.recv(4096)


def alert(number, level=2):
    return bytes([21, 3, 3, 0, 2, level, number])


def test_closed_before_anything(pkis):
    ca = pkis["ec"].ca
    acts = [lambda c: None, reset, hello, lambda c: (hello(c), reset(c))]
    for act in acts:
        with behaves(act) as port:
            expect(meet(port, ca=ca), "tcpReset")
    with behaves(hello) as port:
        expect(meet(port, "--spoken", ca=ca), "tlsClosedDuringHandshake")


def until_closed(connection):
    while connection.recv(4096):
        pass


def test_silence(pkis):
    with behaves(until_closed) as port:
        result = meet(port, "--timeout", 300, ca=pkis["ec"].ca)
    expect(result, "tlsHandshakeTimeout")
    assert "ClientHello" in result["detail"]


@pytest.mark.parametrize("banner", [b"220 mail.partner.test ESMTP\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n",
                                    b"no", b"\x00\x00\x00\x00\x00\x00"])
def test_plaintext(pkis, banner):
    with behaves(lambda c: (c.sendall(banner), hello(c))) as port:
        result = meet(port, ca=pkis["ec"].ca)
    expect(result, "tlsPlaintext")
    if banner.startswith(b"220"):
        assert '"220 mail"' in result["detail"]


@pytest.mark.parametrize("number,reason", [(40, "tlsNoSharedCipher"), (70, "tlsNoSharedProtocol"), (71, "tlsNoSharedCipher"),
                                           (80, "tlsPeerInternalError"), (112, "tlsSniRejected"), (120, "tlsAlpnMismatch"),
                                           (116, "tlsClientCertRequired"), (48, "tlsOther"), (255, "tlsOther"),
                                           (0, "tlsClosedDuringHandshake")])
def test_alert(pkis, number, reason):
    with behaves(lambda c: (hello(c), c.sendall(alert(number)))) as port:
        result = meet(port, ca=pkis["ec"].ca)
    expect(result, reason)
    assert number == 0 or result["facts"]["alert"] == number and f"alert {number} " in result["detail"]


def test_alert_before_a_reset(pkis):
    """What the peer said before it reset the connection is not lost."""
    with behaves(lambda c: (hello(c), c.sendall(alert(112)), reset(c))) as port:
        assert meet(port, ca=pkis["ec"].ca)["reason"] in ("tlsSniRejected", "tcpReset")
    with behaves(lambda c: (hello(c), c.sendall(alert(112, level=1)))) as port:
        expect(meet(port, ca=pkis["ec"].ca), "tlsSniRejected")


@pytest.mark.parametrize("octets", [b"\x16\x03\x03\x40\x01" + b"\0" * 16385, b"\x16\x03\x03\x00\x04\x0b\x00\x00\x00",
                                    b"\x17\x03\x03\x00\x05hello", b"\x16\x03\x03\x00\x06\x02\x00\x00\x02\x03\x03"])
def test_protocol_violation(pkis, octets):
    with behaves(lambda c: (hello(c), c.sendall(octets), until_closed(c))) as port:
        expect(meet(port, ca=pkis["ec"].ca), "tlsProtocolViolation")


def relay(port, octets, end):
    """An act that lets so many octets of the server at `port` through and then ends the connection."""
    def act(connection):
        with socket.create_connection(("127.0.0.1", port)) as upstream:
            upstream.sendall(hello(connection))
            left = octets
            while left > 0:
                data = upstream.recv(left)
                connection.sendall(data)
                left -= len(data)
            end(connection)
    return act


@pytest.mark.parametrize("end", [lambda c: None, reset], ids=["fin", "rst"])
def test_closed_in_mid_handshake(suite, end):
    version, made = suite
    with server(made.good, version) as port, behaves(relay(port, 90, end)) as cut:
        result = meet(cut, ca=made.ca)
    expect(result, "tlsClosedDuringHandshake")


def test_stalled_in_mid_handshake(suite):
    version, made = suite
    with server(made.good, version) as port, behaves(relay(port, 90, until_closed)) as cut:
        result = meet(cut, "--timeout", 400, ca=made.ca)
    expect(result, "tlsHandshakeTimeout")
    assert "mid-handshake" in result["detail"]


BROKEN = {
    "accepts all": """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <openssl/x509.h>
void X509_STORE_CTX_set_verify_cb(X509_STORE_CTX *store, X509_STORE_CTX_verify_cb told) { (void)store, (void)told; }
int X509_verify_cert(X509_STORE_CTX *store)
{
    ((int (*)(X509_STORE_CTX *))dlsym(RTLD_NEXT, "X509_verify_cert"))(store);
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}
""",
    "refuses all": "int X509_verify_cert(void *store) { (void)store; return 0; }",
}


@pytest.mark.parametrize("how", ["accepts all", "refuses all"])
def test_does_not_start_where_verification_is_broken(tmp_path, how):
    """A library of the system that verifies nothing, or that accepts nothing, makes every verdict worthless."""
    library, conf = tmp_path / "broken.so", tmp_path / "fedwarden.conf"
    source = tmp_path / "broken.c"
    source.write_text(BROKEN[how], encoding="ascii")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
    conf.write_text('agent: { mode = "none"; };\npartners: ( { name = "p"; domain = "p.test"; protocol = "tls"; host = '
                    '"p.test"; address = "127.0.0.1"; port = 9; } );\n', encoding="ascii")
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    for words in (["run", "-c", conf], ["check", "-c", conf]):
        done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=30, check=False,
                              env=lab.environment(LD_PRELOAD=str(library), ASAN_OPTIONS=sanitizer))
        assert done.returncode not in (0, -11), done
        what = "an untrusted CA over TLS 1.2: none instead" if how == "accepts all" else "a good certificate over TLS 1.2: "
        assert what in done.stderr, done.stderr


def test_self_test():
    done = subprocess.run([HANDSHAKE, "--self-test"], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, "self-test passed\n"), done.stderr
