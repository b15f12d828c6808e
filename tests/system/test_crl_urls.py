"""Revocation lists that fedwarden fetches itself: from servers that have them, and from servers that do everything else."""
import contextlib
import http.server
import json
import os
import pathlib
import subprocess
import threading
import time

import pytest

import lab
import pki
from test_tls import server

pytestmark = pytest.mark.usefixtures("loopback")

BUILD = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY))
PROGRAM = BUILD / "fedwarden"
NAME = "edge.lab.test"
ENCRYPTED = (b"-----BEGIN X509 CRL-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
             b"AAAAAAAAAAAAAAAAAAAAAA==\n-----END X509 CRL-----\n")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.rsplit("/", 1)[-1]
        self.server.seen.append(self.path)
        if path in self.server.files:
            self.reply(200, self.server.files[path])
        elif path.startswith("to-"):
            self.reply(302, b"", Location=self.server.places[path])
        elif path == "huge":
            self.reply(200, b"", **{"Content-Length": str(1 << 40)})
        elif path == "endless":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(bytes(65536))
        elif path == "mute":
            self.server.over.wait(20)
        else:
            self.reply(404, b"no such list")

    def reply(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class World:
    def __init__(self, stack, folder):
        self.folder = folder
        self.root = pki.root("Root")
        self.sub = pki.intermediate(self.root, "Issuing CA")
        fake = pki.root("Root")
        fake_sub = pki.intermediate(fake, "Issuing CA")
        self.ca = pki.bundle(folder, "ca.pem", [self.root])
        revoked = pki.leaf(self.sub, ["DNS:" + NAME])
        self.ports = {name: stack.enter_context(server(pki.write(folder, name, leaf, [self.sub]), "any"))
                      for name, leaf in (("good", pki.leaf(self.sub, ["DNS:" + NAME])), ("revoked", revoked))}
        root_list, sub_list = pki.crl_pem(self.root), pki.crl_pem(self.sub, [revoked])
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", lab.free_port()), Handler)
        self.http.daemon_threads = True
        self.http.seen, self.http.over = [], threading.Event()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/"
        self.http.files = {
            "root.crl": pki.der(root_list), "sub.crl": pki.der(sub_list), "both.pem": root_list + sub_list,
            "stale.pem": root_list + pki.crl_pem(self.sub, [], days=-1, before=9),
            "foreign.pem": root_list + pki.crl_pem(fake_sub, []), "garbage": b"\x30\x82\xff\xffnothing", "empty": b"",
            "long.pem": b"-----BEGIN X509 CRL-----\n" * 5000, "cut": pki.der(sub_list)[:-10], "asks.pem": ENCRYPTED}
        self.stdin, held = os.pipe()  # who asks for a password waits
        stack.callback(os.close, held)
        stack.callback(os.close, self.stdin)
        both = pathlib.Path(pki.save(folder, "both.pem", root_list + sub_list))
        self.http.places = {"to-list": self.url + "both.pem", "to-file": both.as_uri(), "to-itself": self.url + "to-itself",
                            "to-ftp": "ftp://127.0.0.1/both.pem"}
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        stack.callback(self.http.server_close)
        stack.callback(self.http.shutdown)
        stack.callback(self.http.over.set)

    def check(self, cases, fetch=1500, **more):
        """cases: name -> (server, [URL, ...], further settings of the profile); what check says of each."""
        trusts, partners = [], []
        for name, (peer, urls, *settings) in cases.items():
            places = ", ".join(f'"{url if "://" in url else self.url + url}"' for url in urls)
            trusts.append(f'{{ name = "{name}"; ca_file = "{self.ca}"; crl_urls = ( {places} ); {" ".join(settings)} }}')
            partners.append(f'{{ name = "{name}"; domain = "lab.test"; protocol = "tls"; host = "{NAME}"; '
                            f'address = "127.0.0.1"; port = {self.ports[peer]}; trust = "{name}"; }}')
        path = self.folder / "fedwarden.conf"
        path.write_text(f"collectors: {{ budgets: {{ fetch = {fetch}; }}; }};\ntrusts: (\n" + ",\n".join(trusts) +
                        "\n);\npartners: (\n" + ",\n".join(partners) + "\n);\n", encoding="ascii")
        environment = lab.environment(**{n: v for n, v in os.environ.items() if "SAN_OPTIONS" in n}, **more)
        done = subprocess.run([PROGRAM, "check", "-c", path, "--json"], capture_output=True, text=True, timeout=60,
                              check=False, env=environment, stdin=self.stdin)
        rows = {row["partner"]: row for row in map(json.loads, done.stdout.splitlines())}
        assert rows.keys() == cases.keys(), done.stderr
        return rows


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield World(stack, tmp_path_factory.mktemp("crl"))


def test_lists_count(world):
    two = ["root.crl", "sub.crl"]
    rows = world.check({"der": ("good", two), "der-revoked": ("revoked", two), "pem": ("good", ["both.pem"]),
                        "pem-revoked": ("revoked", ["both.pem"]), "redirected": ("revoked", ["to-list"]),
                        "one-of-two": ("revoked", ["both.pem", "nothing"]), "one-of-two-good": ("good", ["both.pem", "mute"])})
    assert {name: row["reason"] for name, row in rows.items()} == {
        "der": "none", "der-revoked": "tlsRevoked", "pem": "none", "pem-revoked": "tlsRevoked", "redirected": "tlsRevoked",
        "one-of-two": "tlsRevoked", "one-of-two-good": "none"}


UNKNOWN = {"nothing": "HTTP status 404", "garbage": "what came is no revocation list", "empty": "an empty answer",
           "cut": "what came is no revocation list", "long.pem": "what came is no revocation list",
           "asks.pem": "what came is no revocation list",
           "huge": "larger than 33554432 octets", "endless": "larger than 33554432 octets", "mute": "Timeout was reached",
           "to-file": "redirected to what is neither http nor https", "to-ftp": "redirected to what is neither http nor https",
           "to-itself": "Number of redirects hit maximum amount"}


def test_what_cannot_be_had_is_unknown(world):
    """Neither revoked nor healthy, and it says why."""
    cases = {f"{peer}-{path}": (peer, [path]) for path in UNKNOWN for peer in ("good", "revoked")}
    cases["refused"] = ("good", [f"http://127.0.0.1:{lab.free_port()}/a.crl"])
    start = time.monotonic()
    rows = world.check(cases, fetch=4000)
    assert time.monotonic() - start < 15
    for name, row in rows.items():
        why = "Connection refused" if name == "refused" else UNKNOWN[name.split("-", 1)[1]]
        assert (row["reason"], row["health"]) == ("tlsRevocationUnknown", "warning"), row
        assert row["detail"].startswith('no valid CRL of "CN=') and why in row["detail"], (name, row["detail"])
        assert "http://127.0.0.1:" in row["detail"]


def test_lists_that_are_none_for_us(world):
    rows = world.check({"stale": ("revoked", ["stale.pem"]), "foreign": ("revoked", ["foreign.pem"]),
                        "only-root": ("revoked", ["root.crl"])})
    assert {row["reason"] for row in rows.values()} == {"tlsRevocationUnknown"}
    assert "only an expired one" in rows["stale"]["detail"]


def test_fetched_once_for_all(world):
    world.http.seen.clear()
    path = world.folder / "fedwarden.conf"
    world.check({"one": ("good", ["both.pem"])})
    text = path.read_text(encoding="ascii")
    head, partner = text.split("partners: (\n")
    partner = partner.rsplit("\n);", 1)[0]
    path.write_text(head + "partners: (\n" + ",\n".join(partner.replace('"one"; domain', f'"p{i}"; domain')
                                                         for i in range(30)) + "\n);\n", encoding="ascii")
    done = subprocess.run([PROGRAM, "check", "-c", path, "--json"], capture_output=True, text=True, timeout=60,
                          check=False, env=lab.environment())
    assert [json.loads(line)["reason"] for line in done.stdout.splitlines()] == ["none"] * 30
    assert world.http.seen == ["/both.pem"] * 2


def test_through_a_proxy_that_is_configured_and_no_other(world):
    world.http.seen.clear()
    closed = f"http://127.0.0.1:{lab.free_port()}"
    rows = world.check({"direct": ("good", ["both.pem"]),
                        "proxied": ("good", ["http://pki.test/both.pem"], f'crl_proxy = "{world.url}";')},
                       http_proxy=closed, ALL_PROXY=closed)
    assert {row["reason"] for row in rows.values()} == {"none"}
    assert sorted(world.http.seen) == ["/both.pem", "http://pki.test/both.pem"]
