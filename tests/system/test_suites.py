"""Certificate chains that nobody here wrote: x509-limbo and bettertls, served over TLS 1.3, and what the program makes of
them. Every case of the suites' scope `core` has to be judged right: accepted or refused, and refused for the reason that
the suite gives or accepts. Skipped where the suites are not there: ../shared/suites beside the repository."""
import collections
import contextlib
import csv
import datetime
import json
import os
import pathlib
import subprocess
import sys

import pytest

import lab

pytestmark = pytest.mark.usefixtures("loopback")

BUILD = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY))
HANDSHAKE = BUILD / "tests/system/handshake"
SUITES = lab.REPOSITORY.parent / "shared" / "suites"
PYTHON = "/usr/bin/python3"

# Our reasons in the words of the suites.
CLASSES = {
    "none": "ok",
    "tlsUntrustedRoot": "cert-untrusted-root",
    "tlsSelfSigned": "cert-untrusted-root",
    "tlsIncompleteChain": "cert-incomplete-chain",
    "tlsWrongPrincipal": "cert-wrong-name",
    "tlsExpired": "cert-expired",
    "tlsNotYetValid": "cert-not-yet-valid",
    "tlsRevoked": "cert-revoked",
    "tlsRevocationUnknown": "crl-bad",
    "tlsWrongUsage": "cert-wrong-purpose",
    "tlsWeakKey": "cert-weak",
    "tlsWeakSignature": "cert-weak",
    "tlsBadSignature": "cert-bad-signature",
    "tlsMalformedCertificate": "cert-malformed",
    "tlsDepthExceeded": "cert-chain-too-long",
    "tlsUnknownCriticalExtension": "cert-unknown-critical-extension",
    "tlsOther": "cert-other",
    "tlsKeyProofFailed": "tls-bad-server-signature",
}
# A CA that may not issue this is one reason to us, for the same people have to do the same; the suites tell apart why.
# That is in our result as well: the number of OpenSSL's error (X509_V_ERR_*).
CONSTRAINTS = {24: "cert-not-a-ca", 32: "cert-not-a-ca", 79: "cert-not-a-ca", 25: "cert-pathlen", 47: "cert-name-constraint",
               48: "cert-name-constraint", 49: "cert-name-constraint", 50: "cert-name-constraint",
               51: "cert-name-constraint", 52: "cert-name-constraint", 53: "cert-name-constraint"}


def judgement(result):
    if result["reason"] == "tlsConstraintViolated":
        return CONSTRAINTS.get(result["verify_error"], "cert-name-constraint")
    return CLASSES.get(result["reason"], result["reason"])


def verdict(case, result):
    """exact; accepted: another reason that the suite allows; wrong; missed: healthy, and it is not; false: the reverse."""
    found, wanted = judgement(result), case["class"]
    if found == wanted or wanted == "any-but-ok" and found != "ok":
        return "exact"
    if found == "ok":
        return "missed"
    if found in case["class_alt"].split("|"):
        return "accepted"
    return "false" if wanted == "ok" else "wrong"


def words(case):
    """A line for handshake --cases."""
    time = case["time"]
    seconds = 0 if time == "-" else int(datetime.datetime.fromisoformat(time).timestamp())
    named = case["name"] != "-"
    identity = "host" if named else "any"
    sni = case["name"] if case["name_kind"] == "DNS" and "*" not in case["name"] else "-"
    return "\t".join([case["ca"], case["crl"], str(seconds), identity, "127.0.0.1", case["port"], sni, case["name"]])


@contextlib.contextmanager
def served(folder):
    """The cases, each with its server."""
    command = [PYTHON, str(SUITES / "certsuite_server.py"), "--emit", str(folder), "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=lab.environment()) as process:
        try:
            assert process.stdout.readline().startswith("ready "), "the server of the suites does not start"
            with open(folder / "manifest.tsv", encoding="utf-8") as manifest:
                yield list(csv.DictReader(manifest, delimiter="\t", quoting=csv.QUOTE_NONE))
        finally:
            process.kill()


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """(case, result) of all cases."""
    if not SUITES.is_dir():
        pytest.skip(f"{SUITES} is not there")
    with served(tmp_path_factory.mktemp("suites")) as cases:
        done = subprocess.run([HANDSHAKE, "--after", "1", "--cases"], input="".join(words(case) + "\n" for case in cases),
                              capture_output=True, text=True, timeout=120, check=False)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(results) == len(cases), done.stderr
    return list(zip(cases, results))


def told(judged_cases, scope):
    counts = collections.Counter()
    lines = []
    for case, result in judged_cases:
        if case["scope"] != scope:
            continue
        became = verdict(case, result)
        counts[became] += 1
        if became in ("wrong", "missed", "false"):
            lines.append(f"{became}: {case['suite']}/{case['case']}: wanted {case['class']} ({case['class_alt']}), "
                         f"got {result['reason']}: {result['detail']}")
    print(scope, dict(counts), *lines, sep="\n", file=sys.stderr)
    return counts, lines


def test_core(judged):
    counts, lines = told(judged, "core")
    assert sum(counts.values()) == 477
    assert not lines, "\n".join(lines)


def test_good_chains_with_a_server_that_cannot_prove_its_key(judged):
    """No certificate is to blame, and the peer is not healthy."""
    found = {result["reason"] for case, result in judged if case["scope"] == "chain-ok-no-key"}
    assert found and found <= {"tlsKeyProofFailed", "tlsProtocolViolation", "tlsOther", "tlsNoSharedCipher"}, found


def test_where_the_suites_and_openssl_differ(judged):
    """By policy or path building, or in chains that may be judged both ways. We follow OpenSSL, but for names: RFC 9525
    knows neither the common name nor a wildcard within a label, which is stricter."""
    for scope in ("gap-accept", "gap-reject", "soft-gap-accept", "soft-gap-reject"):
        counts, lines = told(judged, scope)
        assert sum(counts.values()) > 0
        assert all("got tlsWrongPrincipal" in line for line in lines), "\n".join(lines)
