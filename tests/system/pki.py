"""Certificates for tests, made at run time.

    ca = pki.root("Test Root")                        a self-signed CA
    sub = pki.intermediate(ca, "Test Issuing CA")     a CA below it
    srv = pki.leaf(sub, ["DNS:sip.example.test", "URI:sip:example.test", "IP:127.0.0.1"])
    pem = pki.write(folder, "srv", srv, [sub])        -> Files(cert=..., key=...): the leaf and the chain to send, and its key
    pki.bundle(folder, "ca.pem", [ca])                -> path: a CA file
    pki.crl(folder, "sub.crl", sub, revoked=[srv])    -> path: a PEM CRL (several: pki.crls)
    pki.ocsp_response(folder, "srv.ocsp", srv, sub)   -> path: a DER OCSP response of sub about srv (options: ocsp_der)

Every maker returns a Certificate: .x509 (cryptography's object), .key, .issuer (Certificate or None), .pem, .key_pem,
.der, .fingerprint (SHA-256, hexadecimal), .pin (SHA-256 of the SubjectPublicKeyInfo, hexadecimal), .subject (RFC 4514).

Options of root, intermediate and leaf:
    key         "ec" (P-256, the default), "ec384", "rsa" (2048), "rsa1024", "rsa4096", "ed25519", or a key object
    days        how long it is valid from now, default 60; negative: it ended that many days ago
    before      it began that many days ago, default 1 (or 10 before its end); negative: it begins in the future
    start, end  datetimes instead of these
    digest      "sha256" (default), "sha384", "sha1" or "md5"
    serial      an integer
    critical    True adds a critical extension that nobody knows
of intermediate only:
    ca          False: basicConstraints say that it is no CA;  path_length: an integer;
    permitted   DNS names as name constraints
of leaf only:
    names       subject alternative names: "DNS:", "IP:", "URI:", "EMAIL:", "SRV:_service.domain" (RFC 4985),
                "XMPP:domain" (RFC 6120), "RAWDNS:" + text with escapes such as \\x00; [] leaves the extension out
    common_name default: what is behind the first name's colon
    issuer_at   URL in authorityInfoAccess (caIssuers)
    must_staple True: it demands a stapled OCSP response (RFC 7633)
    eku         "server", "client", "both" (default), "email", "ocsp" or None for no extendedKeyUsage
    spoil       True: the signature is broken
"""
import base64
import collections
import datetime
import hashlib
import ipaddress
import os
import warnings

from cryptography import x509
from cryptography.x509 import ocsp
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

warnings.filterwarnings("ignore", module="cryptography")

Files = collections.namedtuple("Files", "cert key")

DIGESTS = {"sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha1": hashes.SHA1, "md5": hashes.MD5}
PURPOSES = {
    "server": [ExtendedKeyUsageOID.SERVER_AUTH],
    "client": [ExtendedKeyUsageOID.CLIENT_AUTH],
    "both": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
    "email": [ExtendedKeyUsageOID.EMAIL_PROTECTION],
    "ocsp": [ExtendedKeyUsageOID.OCSP_SIGNING],
}


class Certificate:
    def __init__(self, der, key, issuer):
        self.der = der
        self.x509 = x509.load_der_x509_certificate(der)
        self.key = key
        self.issuer = issuer

    @property
    def pem(self):
        return self.x509.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption())

    @property
    def fingerprint(self):
        return hashlib.sha256(self.der).hexdigest()

    @property
    def pin(self):
        public = self.x509.public_key().public_bytes(serialization.Encoding.DER,
                                                     serialization.PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(public).hexdigest()

    @property
    def subject(self):
        return self.x509.subject.rfc4514_string()


def now():
    return datetime.datetime.utcnow().replace(microsecond=0)


def make_key(kind):
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "ec384":
        return ec.generate_private_key(ec.SECP384R1())
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if isinstance(kind, str) and kind.startswith("rsa"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(kind[3:] or 2048))
    return kind


def distinguished_name(common_name, organization="fedwarden test"):
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    if common_name:
        parts.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(parts)


def der_string(tag, octets):
    length = len(octets)
    if length < 128:
        return bytes([tag, length]) + octets
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + octets


def general_name(text):
    kind, _, value = text.partition(":")
    if kind == "DNS":
        return x509.DNSName(value)
    if kind == "RAWDNS":
        return x509.DNSName._init_without_validation(value)
    if kind == "IP":
        return x509.IPAddress(ipaddress.ip_address(value))
    if kind == "URI":
        return x509.UniformResourceIdentifier(value)
    if kind == "EMAIL":
        return x509.RFC822Name(value)
    if kind == "SRV":
        return x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7"), der_string(0x16, value.encode()))
    if kind == "XMPP":
        return x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5"), der_string(0x0C, value.encode()))
    raise ValueError(text)


def validity(days, before, start, end):
    end = end or now() + datetime.timedelta(days=days)
    if start is None:
        if before is None:
            before = 1 if days > 0 else 10 - days
        start = now() - datetime.timedelta(days=before)
    return start, end


def build(subject, issuer, key, extensions, days=60, before=None, start=None, end=None, digest="sha256", serial=None,
          critical=False, spoil=False):
    key = make_key(key)
    signer = issuer.key if issuer else key
    start, end = validity(days, before, start, end)
    builder = (x509.CertificateBuilder().subject_name(subject)
               .issuer_name(issuer.x509.subject if issuer else subject)
               .public_key(key.public_key()).serial_number(serial or x509.random_serial_number())
               .not_valid_before(start).not_valid_after(end)
               .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False))
    if issuer:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, critical=is_critical)
    if critical:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), b"\x05\x00")
        builder = builder.add_extension(unknown, critical=True)
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else DIGESTS[digest]()
    der = builder.sign(signer, algorithm).public_bytes(serialization.Encoding.DER)
    if spoil:
        der = der[:-1] + bytes([der[-1] ^ 1])
    return Certificate(der, key, issuer)


def authority_extensions(ca=True, path_length=None, permitted=None):
    extensions = [(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), True),
                  (x509.KeyUsage(digital_signature=True, content_commitment=False, key_encipherment=False,
                                 data_encipherment=False, key_agreement=False, key_cert_sign=ca, crl_sign=ca,
                                 encipher_only=False, decipher_only=False), True)]
    if permitted:
        extensions.append((x509.NameConstraints([x509.DNSName(n) for n in permitted], None), True))
    return extensions


def root(name="Test Root", key="ec", **options):
    return build(distinguished_name(name), None, key, authority_extensions(), **options)


def intermediate(issuer, name="Test Issuing CA", key="ec", ca=True, path_length=None, permitted=None, **options):
    return build(distinguished_name(name), issuer, key, authority_extensions(ca, path_length, permitted), **options)


def leaf_parts(names, common_name, eku):
    if common_name is None:
        common_name = names[0].partition(":")[2][:60] if names else "leaf"
    extensions = [(x509.BasicConstraints(ca=False, path_length=None), True)]
    if names:
        extensions.append((x509.SubjectAlternativeName([general_name(n) for n in names]), False))
    if eku:
        extensions.append((x509.ExtendedKeyUsage(PURPOSES[eku]), False))
    return distinguished_name(common_name), extensions


def leaf(issuer, names, key="ec", common_name=None, eku="both", issuer_at=None, must_staple=False, **options):
    subject, extensions = leaf_parts(names, common_name, eku)
    if must_staple:
        extensions.append((x509.TLSFeature([x509.TLSFeatureType.status_request]), False))
    if issuer_at:
        place = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(issuer_at))
        extensions.append((x509.AuthorityInformationAccess([place]), False))
    return build(subject, issuer, key, extensions, **options)


def self_signed(names, key="ec", common_name=None, eku="both", **options):
    """A leaf signed by its own key."""
    subject, extensions = leaf_parts(names, common_name, eku)
    return build(subject, None, key, extensions, **options)


def save(folder, name, octets):
    path = os.path.join(str(folder), name)
    with open(path, "wb") as out:
        out.write(octets)
    return path


def bundle(folder, name, certificates):
    return save(folder, name, b"".join(c.pem for c in certificates))


def write(folder, name, certificate, chain=()):
    return Files(bundle(folder, name + ".pem", [certificate, *chain]),
                 save(folder, name + ".key", certificate.key_pem))


def crl_pem(issuer, revoked=(), days=7, before=1):
    builder = (x509.CertificateRevocationListBuilder().issuer_name(issuer.x509.subject)
               .last_update(now() - datetime.timedelta(days=before))
               .next_update(now() + datetime.timedelta(days=days))
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), False)
               .add_extension(x509.CRLNumber(1), False))
    for certificate in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(certificate.x509.serial_number)
            .revocation_date(now() - datetime.timedelta(days=before)).build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def der(pem):
    """Of a PEM text with one thing in it."""
    return base64.b64decode(b"".join(line for line in pem.splitlines() if not line.startswith(b"-----")))


def crl(folder, name, issuer, revoked=(), days=7, before=1):
    """days negative: the list is stale since then (before must then be larger)."""
    return save(folder, name, crl_pem(issuer, revoked, days, before))


def crls(folder, name, lists):
    """lists: (issuer, revoked) pairs in one file."""
    return save(folder, name, b"".join(crl_pem(issuer, revoked) for issuer, revoked in lists))


def ocsp_der(certificate, issuer, status="good", signer=None, days=3, before=1, digest="sha1", other=None):
    """status: "good", "revoked" or "unknown"; signer: who signs instead of the issuer, with its certificate sent along;
    days negative: it ended that many days ago (before must then be larger); other: it is about that certificate."""
    states = {"good": ocsp.OCSPCertStatus.GOOD, "revoked": ocsp.OCSPCertStatus.REVOKED,
              "unknown": ocsp.OCSPCertStatus.UNKNOWN}
    signer = signer or issuer
    revoked = now() - datetime.timedelta(days=before) if status == "revoked" else None
    digests = dict(DIGESTS, sha1=hashes.SHA1)
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=(other or certificate).x509, issuer=issuer.x509, algorithm=digests[digest](), cert_status=states[status],
        this_update=now() - datetime.timedelta(days=before), next_update=now() + datetime.timedelta(days=days),
        revocation_time=revoked, revocation_reason=None).responder_id(ocsp.OCSPResponderEncoding.HASH, signer.x509)
    if signer is not issuer:
        builder = builder.certificates([signer.x509])
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def ocsp_response(folder, name, *arguments, **options):
    return save(folder, name, ocsp_der(*arguments, **options))


def load_key(pem):
    """A key that .key_pem gave."""
    return serialization.load_pem_private_key(pem, password=None)
