"""Validation on this host through collect/dns.h: signed zones in knot, in a network namespace, with anchors of their own.

FEDWARDEN_BUILD names the build directory where tests/system/ask and config.h are.
"""

import contextlib
import json
import os
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import lab_dns  # noqa: E402
import test_dns  # noqa: E402

KNOT, ODD, PLAIN = 5311, 5312, 5313  # within the namespace
BUILD = os.environ.get("FEDWARDEN_BUILD", test_dns.ROOT)
ZONE = """$ORIGIN {origin}.
$TTL 300
@ SOA ns hostmaster 1 3600 600 864000 5
@ NS ns
@ MX 10 edge
ns A 127.0.0.1
edge A 192.0.2.7
forged A 192.0.2.66
alias CNAME edge
_25._tcp.edge TLSA 3 1 1 {digest}
_sip._tcp SRV 0 0 5061 edge
"""


def zone(origin, more=""):
    return ZONE.format(origin=origin, digest="ab" * 32) + more


def built_with_unbound():
    with open(os.path.join(BUILD, "config.h"), encoding="ascii") as config:
        return "#define HAVE_UNBOUND 1" in config.read()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    if not built_with_unbound():
        pytest.skip("built without libunbound")
    folder = tmp_path_factory.mktemp("dnssec")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lab_dns.private_network())
        except OSError as error:
            pytest.skip(f"no network namespace: {error}")
        signed, anchors = lab_dns.sign(str(folder / "s"), "signed.example", zone("signed.example", "open NS ns\n"))
        expired, more = lab_dns.sign(str(folder / "e"), "expired.example", zone("expired.example"), time.time() - 30 * 86400)
        _, other = lab_dns.sign(str(folder / "o"), "other.example", zone("other.example"))
        wrong, _ = lab_dns.sign(str(folder / "w"), "other.example", zone("other.example"))
        zones = {"signed.example": signed.replace("192.0.2.66", "192.0.2.99"), "expired.example": expired,
                 "other.example": wrong, "open.signed.example": zone("open.signed.example"),
                 "missing.example": zone("missing.example"), "plain.example": zone("plain.example")}
        missing = anchors.replace("signed.example", "missing.example")
        path = folder / "anchors"
        path.write_text(anchors + more + other + missing, encoding="ascii")
        stack.enter_context(lab_dns.knot(str(folder / "knot"), KNOT, zones))
        yield str(path)


def ask(lab, resolvers, *questions, options=()):
    return test_dns.ask(resolvers, *questions, options=("--anchors", lab, *options))


def test_what_is_signed_is_proven(lab):
    rows = ask(lab, [KNOT], "edge.signed.example A", "_sip._tcp.signed.example SRV", "signed.example MX",
               "_25._tcp.edge.signed.example TLSA", "alias.signed.example A")
    assert [row["reason"] for row in rows] == ["none"] * 5 and all(row["authentic"] for row in rows), rows
    assert rows[0]["addresses"] == ["192.0.2.7"] == rows[4]["addresses"] and rows[4]["canonical"] == "edge.signed.example"
    assert rows[1]["targets"] == [[0, 0, 5061, "edge.signed.example"]]
    assert rows[3]["tlsa"] == [[3, 1, 1, "ab" * 32]]
    assert all(row["resolver"] == f"127.0.0.1:{KNOT}" and row["detail"] == "" for row in rows)


def test_what_is_denied_is_proven(lab):
    absent, other = ask(lab, [KNOT], "none.signed.example A", "edge.signed.example AAAA")
    assert absent["reason"] == "dnsNxDomain" and absent["authentic"] and absent["rcode"] == 3
    assert absent["detail"] == f"none.signed.example A: NXDOMAIN from 127.0.0.1:{KNOT}"
    assert other["reason"] == "dnsNoData" and other["authentic"]


@pytest.mark.parametrize("name, reason", [
    ("forged.signed.example", "dnsBogus"), ("edge.expired.example", "dnsSignatureExpired"),
    ("edge.other.example", "dnsBogus"), ("edge.missing.example", "dnsBogus"), ("none.missing.example", "dnsBogus"),
])
def test_what_is_not_proven_is_told(lab, name, reason):
    row = ask(lab, [KNOT], name + " A")[0]
    assert row["reason"] == reason and not row["authentic"] and row["addresses"] == [], row
    assert row["detail"].startswith(f"{name} A: DNSSEC validation failed: ")
    assert row["detail"].endswith(f", by the reply of 127.0.0.1:{KNOT}")


def test_what_is_not_signed_stays_what_it_is(lab):
    child, plain, none = ask(lab, [KNOT], "edge.open.signed.example A", "edge.plain.example A", "none.plain.example A")
    assert child["reason"] == plain["reason"] == "none" and child["addresses"] == plain["addresses"] == ["192.0.2.7"]
    assert none["reason"] == "dnsNxDomain"
    assert not child["authentic"] and not plain["authentic"] and not none["authentic"]


def test_a_lying_resolver_is_found_out(lab):
    """It says that what it invents is authentic, and is even trusted."""
    def respond(query, count):
        return [lab_dns.reply_wire(query, flags=0x8020, answers=[(1, 60, b"\xc0\x00\x02\x63")], options=b"")]

    with lab_dns.OddResolver(ODD, respond):
        row = ask(lab, [f"127.0.0.1:{ODD}+"], "edge.signed.example A")[0]
        assert row["reason"] == "dnsBogus" and not row["authentic"], row
        row = ask(lab, [f"127.0.0.1:{ODD}+"], "edge.plain.example A")[0]
        assert row["reason"] == "none" and not row["authentic"]


def test_a_resolver_that_keeps_the_proof_is_within_the_budget(lab):
    def respond(query, count):
        return [lab_dns.reply_wire(query, answers=[(1, 60, b"\xc0\x00\x02\x07")], options=b"")] if count == 1 else []

    with lab_dns.OddResolver(ODD, respond):
        row = ask(lab, [ODD], "edge.signed.example A", options=("--try", "300", "--total", "1000"))[0]
    assert row["reason"] == "dnsServFail" and "not what proves them: the time was over" in row["detail"], row
    assert row["addresses"] == [] and 990_000 < row["duration"] < 1_900_000


def test_questions_under_validation_can_be_cancelled(lab):
    assert ask(lab, [KNOT], *["edge.signed.example A"] * 20, options=("--cancel", "20")) == []
    rows = ask(lab, [KNOT], *["edge.signed.example A"] * 60, options=("--cancel", "15", "--flight", "4"))
    assert [row["number"] for row in rows] == list(range(15, 60)) and all(row["authentic"] for row in rows)


def test_without_anchors_nothing_is_believed(lab, tmp_path):
    bad = tmp_path / "bad"
    bad.write_text("this is no key\n", encoding="ascii")
    for path in (str(tmp_path / "absent"), str(bad)):
        row = ask(path, [KNOT], "edge.signed.example A")[0]
        assert row["reason"] == "monTrustStoreMissing" and "trust_anchors" in row["detail"], row


def test_the_setting(lab, tmp_path):
    program = os.path.join(BUILD, "fedwarden")
    path = tmp_path / "fedwarden.conf"
    text = ('dnssec = "validate"; trust_anchors = "ANCHORS"; resolvers: ( { name = "knot"; address = "127.0.0.1"; '
            f'port = {KNOT}; }} ); partners: ( {{ name = "forged"; domain = "signed.example"; protocol = "tls"; '
            'host = "forged.signed.example"; port = 9; } );\n')
    path.write_text(text.replace("ANCHORS", lab), encoding="ascii")
    done = subprocess.run([program, "check", "-c", str(path), "--json"], capture_output=True, text=True, timeout=60,
                          check=False)
    row = json.loads(done.stdout)
    assert (row["reason"], row["stage"], row["who"]) == ("dnsBogus", "address", "partner"), done.stdout + done.stderr
    path.write_text(text.replace("ANCHORS", str(tmp_path / "absent")), encoding="ascii")
    done = subprocess.run([program, "check-config", "-c", str(path)], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode != 0 and "absent" in done.stdout + done.stderr
