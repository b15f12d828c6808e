"""A peer that is not to be trusted is never called healthy, and called what it is: revoked (by list, by stapled response),
wrong name, untrusted, incomplete, our certificate refused; each with TLS 1.2 and 1.3, RSA and ECDSA, IPv4 and IPv6, direct
and through a proxy. One run of `fedwarden check` walks them all, and for each combination one that is healthy, so that
what makes the others fail is what is wrong with them."""
import contextlib
import itertools
import json
import os
import pathlib
import re
import select
import socket
import subprocess
import threading

import pytest

import lab
import pki

pytestmark = pytest.mark.usefixtures("loopback")

BUILD = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY))
PROGRAM = BUILD / "fedwarden"
NAME = "edge.lab.test"
FAULTS = {"good": {"none"}, "revoked": {"tlsRevoked"}, "stapled": {"tlsRevoked"}, "wrong-name": {"tlsWrongPrincipal"},
          "untrusted": {"tlsUntrustedRoot"}, "incomplete": {"tlsIncompleteChain"}, "refuses": {"tlsClientCertRejectedCa"},
          "demands": {"tlsClientCertRequired"}}
VERSIONS = {"12": "-tls1_2", "13": "-tls1_3"}
KEYS = ("ec", "rsa")
ADDRESSES = {"v4": "127.0.0.1", "v6": "::1"}
WAYS = ("direct", "proxied")
CASES = ["-".join(case) for case in itertools.product(FAULTS, VERSIONS, KEYS, ADDRESSES, WAYS)]


def relay(connection):
    """A proxy's side of one connection: CONNECT, and then what both say."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(4096)
        if not data:
            return
        head += data
    host, port = re.match(rb"CONNECT \[?([^\] ]+?)\]?:(\d+) ", head).groups()
    with socket.create_connection((host.decode(), int(port))) as upstream:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            for ready in select.select([connection, upstream], [], [], 30)[0]:
                data = ready.recv(65536)
                if not data:
                    return
                (upstream if ready is connection else connection).sendall(data)


def serve_connection(connection):
    with connection, contextlib.suppress(OSError):
        relay(connection)


@contextlib.contextmanager
def proxy():
    """Its port."""
    with socket.create_server(("127.0.0.1", lab.free_port()), backlog=200) as listener:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve_connection, args=(listener.accept()[0],), daemon=True).start()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


class Certificates:
    """Those of one kind of key."""

    def __init__(self, folder, key):
        self.folder, self.key = folder, key
        self.root, self.stranger = pki.root("Root", key=key), pki.root("Stranger", key=key)
        self.sub = pki.intermediate(self.root, "Issuing CA", key=key)
        self.foreign = pki.intermediate(self.stranger, "Stranger's CA", key=key)
        self.ca = pki.bundle(folder, "ca.pem", [self.root])
        self.ours = self.write("ours", self.leaf(self.foreign, ["DNS:us.test"]), [self.foreign])
        revoked, stapled = self.leaf(), self.leaf()
        self.crl = pki.crls(folder, "lists.pem", [(self.root, []), (self.sub, [revoked])])
        good = self.write("good", self.leaf())
        asks = ("-Verify", "3", "-verify_return_error", "-CAfile", self.ca)
        staple = pki.ocsp_response(folder, "staple", stapled, self.sub, status="revoked")
        self.servers = {
            "good": (good,), "revoked": (self.write("revoked", revoked),),
            "stapled": (self.write("stapled", stapled), "-status_file", staple),
            "wrong-name": (self.write("wrong", self.leaf(names=["DNS:other.lab.test"])),),
            "untrusted": (self.write("untrusted", self.leaf(self.foreign), [self.foreign]),),
            "incomplete": (self.write("incomplete", self.leaf(issuer_at="http://ca.test/issuing.cer"), []),),
            "refuses": (good, *asks), "demands": (good, *asks)}

    def leaf(self, issuer=None, names=None, **options):
        return pki.leaf(issuer or self.sub, names or ["DNS:" + NAME], key=self.key, **options)

    def write(self, name, leaf, chain=None):
        return pki.write(self.folder, name, leaf, [self.sub] if chain is None else chain)


def server(stack, folder, files, *options):
    """openssl s_server on both families; its port, at which it does not yet listen."""
    port = lab.free_port()
    certificates = pathlib.Path(files.cert).read_text(encoding="ascii").split("-----BEGIN")[2:]
    chain = []
    if certificates:
        path = f"{folder}/{port}.chain"
        pathlib.Path(path).write_text("".join("-----BEGIN" + text for text in certificates), encoding="ascii")
        chain = ["-cert_chain", path]
    log = stack.enter_context(open(f"{folder}/{port}.log", "wb"))
    process = stack.enter_context(subprocess.Popen(
        ["openssl", "s_server", "-accept", str(port), "-cert", files.cert, "-key", files.key, *chain, *options],
        stdin=subprocess.PIPE, stdout=log, stderr=log, env=lab.environment()))
    stack.callback(process.terminate)
    return port


PARTNER = """    {{ name = "{case}"; domain = "lab.test"; protocol = "tls"; host = "{name}"; address = "{address}"; port = {port};
       trust = "{trust}"; proxy = "{proxy}"; }}"""
TRUST = """    {{ name = "{key}-{kind}"; ca_file = "{ca}"; crl_file = "{crl}"; {own} }}"""


def write_conf(path, made, ports, proxy_port):
    trusts, partners = [], []
    for key, certificates in made.items():
        own = f'certificate = "{certificates.ours.cert}"; key = "{certificates.ours.key}";'
        for kind, words in (("without", ""), ("with", own)):
            trusts.append(TRUST.format(key=key, kind=kind, ca=certificates.ca, crl=certificates.crl, own=words))
    for fault, version, key, family, way in itertools.product(FAULTS, VERSIONS, KEYS, ADDRESSES, WAYS):
        partners.append(PARTNER.format(
            case="-".join((fault, version, key, family, way)), name=NAME, address=ADDRESSES[family],
            port=ports[fault, version, key], trust=key + ("-with" if fault == "refuses" else "-without"),
            proxy=f"http://127.0.0.1:{proxy_port}" if way == "proxied" else ""))
    path.write_text("trusts: (\n" + ",\n".join(trusts) + "\n);\ndefaults: { families = \"both\"; };\npartners: (\n" +
                    ",\n".join(partners) + "\n);\n", encoding="ascii")


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    """What was found, by case."""
    folder = tmp_path_factory.mktemp("never")
    made = {key: Certificates(tmp_path_factory.mktemp(key), key) for key in KEYS}
    with contextlib.ExitStack() as stack:
        ports = {(fault, version, key): server(stack, folder, *made[key].servers[fault], flag)
                 for fault in FAULTS for version, flag in VERSIONS.items() for key in KEYS}
        for port in ports.values():
            for address in ADDRESSES.values():
                assert lab.wait_until(lambda a=address, p=port: lab.accepts(a, p), 20), port
        write_conf(folder / "fedwarden.conf", made, ports, stack.enter_context(proxy()))
        environment = lab.environment(**{name: value for name, value in os.environ.items() if "SAN_OPTIONS" in name})
        done = subprocess.run([PROGRAM, "check", "-c", folder / "fedwarden.conf", "--json"], capture_output=True,
                              text=True, timeout=120, check=False, env=environment)
    return {row["partner"]: row for row in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("case", CASES)
def test_is_what_it_is(walks, case):
    row = walks[case]
    fault = case.rsplit("-", 4)[0]
    assert (row["health"] == "ok") == (fault == "good"), row
    assert row["reason"] in FAULTS[fault], row
    step = [step for step in row["steps"] if step["stage"] == "tls"]
    assert step and step[0]["tls_version"] == ("1.2" if "-12-" in case else "1.3"), row
    assert ("proxied" in case) == any(step["stage"] == "proxy" for step in row["steps"])


def test_nothing_else_was_healthy(walks):
    assert {case for case, row in walks.items() if row["health"] == "ok"} == {c for c in CASES if c.startswith("good-")}
