"""fedwarden match: every line of the samples of real edges is read as its label says, and nothing else counts.

The samples lie beside the repository (../shared/logs/samples: NAME.log and NAME.expect.tsv); where they are absent those
tests are skipped and the lines below remain.
"""
import json
import os
import pathlib
import subprocess
import urllib.parse

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", REPOSITORY)) / "fedwarden"
PRESETS = REPOSITORY / "conf" / "presets"
SAMPLES = REPOSITORY.parent / "shared" / "logs" / "samples"

CONFIGURATION = """
edge: { networks = ("10.10.0.0/16", "192.0.2.0/24", "2001:db8:a::/64"); domains = ("alpha.example"); ports = (%d); };
partners = ( { name = "beta"; domain = "beta.example"; protocol = "sip";
               networks = ("198.51.100.5/32", "2001:db8:b::5/128"); } );
"""
# Where the name of a sample does not begin with that of its preset.
PRESET_OF = {"named": "bind"}
COMPARED = ("ip", "port", "peer", "partner", "user", "name", "qtype", "to_domain", "from_domain", "subject", "issuer",
            "serial", "count", "code")


def preset_of(sample):
    product = sample.split(".")[0]
    for ending in ("-versions", "-fedevents", "-stderr", "-debug"):
        product = product.removesuffix(ending)
    return PRESETS / f"{PRESET_OF.get(product, product)}.conf"


def match(*words, text=None):
    if not PROGRAM.exists():
        pytest.fail(f"{PROGRAM} is missing: build it, or set FEDWARDEN_BUILD")
    return subprocess.run([PROGRAM, "match", *map(str, words)], input=text, capture_output=True, timeout=120,
                          check=False, env={**os.environ, "FEDWARDEN_PRESETS": str(PRESETS)})


def hits(*words, text=None):
    done = match("--json", *words, text=text)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(name="conf", scope="module")
def configurations(tmp_path_factory):
    folder = tmp_path_factory.mktemp("match")
    for name, port in (("edge.conf", 15061), ("versions.conf", 5061)):
        (folder / name).write_text(CONFIGURATION % port, encoding="ascii")
    return folder


def expected(path):
    """Rows of a label file: {line, event, fields, class, first, last}."""
    for row in path.read_text(encoding="utf-8").splitlines():
        if row.startswith("#"):
            continue
        line, event, fields, kind, record = row.split("\t")[:5]
        pairs = [] if fields == "-" else [field.split("=", 1) for field in fields.split(";")]
        first, last = map(int, record.split("-")) if record not in ("-", "") else (int(line), int(line))
        yield {"line": int(line), "event": event, "class": kind, "first": first, "last": last,
               "fields": {name: urllib.parse.unquote(value) for name, value in pairs}}


def differences(row, hit):
    told = {**hit["fields"], "count": str(hit["count"])}
    return {name: (row["fields"][name], told.get(name)) for name in COMPARED
            if name in row["fields"] and row["fields"][name] != told.get(name)}


def problems(rows, found):
    """What is wrong with `found`, one text each."""
    wrong, left = [], list(found)
    for row in rows:
        if not row["class"].startswith("pos"):
            continue
        here = [hit for hit in left if row["first"] <= hit["line"] <= row["last"] and hit["event"] == int(row["event"])]
        fitting = [hit for hit in here if not differences(row, hit)]
        if fitting:
            left.remove(fitting[0])
        elif here:
            left.remove(here[0])
            wrong.append(f"{row['line']}: {here[0]['rule']} differs (expected, told): {differences(row, here[0])}")
        else:
            wrong.append(f"{row['line']}: missed: event {row['event']} {row['fields']}")
    for hit in left:
        optional = [row for row in rows if row["class"].startswith("opt") and row["first"] <= hit["line"] <= row["last"] and
                    row["event"] == f"{hit['event']}?" and row["fields"].get("ip") in (None, hit["fields"].get("ip"))]
        if not optional:
            kind = next((row["class"] for row in rows if row["line"] == hit["line"]), "?")
            wrong.append(f"{hit['line']}: false: {hit['rule']} event {hit['event']} {hit['fields']} ({kind})")
    return wrong


def samples():
    return sorted(path.name.removesuffix(".log") for path in SAMPLES.glob("*.log"))


def configuration_of(conf, sample):
    return conf / ("versions.conf" if sample.endswith("-versions") else "edge.conf")


def check_sample(conf, sample, *words):
    rows = list(expected(SAMPLES / f"{sample}.expect.tsv"))
    found = hits(*words, "-c", configuration_of(conf, sample), SAMPLES / f"{sample}.log")
    assert any(row["class"].startswith("pos") for row in rows) and found
    assert not problems(rows, found), "\n" + "\n".join(problems(rows, found))


@pytest.mark.parametrize("sample", samples() or [None])
def test_sample_by_its_preset(conf, sample):
    """Each line as its label says, by the preset of the product."""
    if sample is None:
        pytest.skip(f"no samples in {SAMPLES}")
    check_sample(conf, sample, "--preset", preset_of(sample))


@pytest.mark.parametrize("sample", samples() or [None])
def test_sample_by_all_presets(conf, sample):
    """The same when all presets are tried: none takes a line of another product for its own."""
    if sample is None:
        pytest.skip(f"no samples in {SAMPLES}")
    check_sample(conf, sample)


# ---- Without the samples ----

# (preset, line, event or None, reason, fields)
LINES = [
    ("kamailio", "Nov 22 05:44:56 h kamailio[1]: NOTICE: {1 2 REGISTER a@b} <script>: fedevents: event=2 ip=203.0.113.40 "
     'proto=udp rc=-2 method=REGISTER domain="alpha.example" user="alice"', 2, "authBadCredentials",
     {"ip": "203.0.113.40", "user": "alice"}),
    ("kamailio", '2026-11-22T05:18:35.453042+00:00 h kamailio[1]: ERROR: {1 2 MESSAGE a} <core> [core/resolve.c:1710]: '
     'f(): could not resolve hostname: "sip.nosuch.example"', 7, "dnsOther", {"name": "sip.nosuch.example"}),
    ("kamailio", "Nov 22 05:44:56 h kamailio[1]: INFO: {1 2 REGISTER Authentication failed for user x from 1.2.3.4:5 (rc -2)}"
     " <script>: Authentication ok for user bob from 10.10.0.22:56013", None, None, {}),
    ("opensips", 'Nov 22 05:44:56 h /usr/sbin/opensips[1]: fedevents: event=3 ip=198.51.100.5 reason=unknown_user '
     'partner="beta.example" domain="alpha.example" user="nobody"', 3, "domUserUnknown",
     {"ip": "198.51.100.5", "partner": "beta.example", "user": "nobody"}),
    ("postfix", "Nov 22 05:42:38 h postfix/smtp[1]: connect to mx.refused.example[198.51.100.20]:25: Connection refused", 6,
     "tcpRefused", {"peer": "mx.refused.example", "ip": "198.51.100.20", "port": "25"}),
    ("postfix", "Nov 22 05:42:32 h postfix/smtpd[1]: NOQUEUE: reject: RCPT from x[10.10.0.21]: 554 5.7.1 <a@b.example>: Relay "
     "access denied; from=<a@b> to=<a@b.example> proto=ESMTP helo=<e>", 4, "domOutboundUnsupported", {"ip": "10.10.0.21"}),
    ("postfix", "Nov 22 05:42:32 h postfix/smtpd[1]: NOQUEUE: reject: RCPT from x[203.0.113.9]: 550 5.1.1 <a@alpha.example>: "
     "Recipient address rejected: User unknown; from=<a@b> to=<c@d> proto=ESMTP helo=<e>", None, None, {}),
    ("dovecot", "Nov 22 05:43:00 h dovecot: imap-login: Disconnected (auth failed, 3 attempts in 9 secs): user=<a>, "
     "method=PLAIN, rip=::ffff:203.0.113.40, lip=192.0.2.10, session=<9>", 2, "authBadCredentials",
     {"ip": "203.0.113.40", "user": "a"}),
    ("prosody", "Nov 22 05:28:39 s2sin559117154140\twarn\tForbidding insecure connection to/from gamma.example because its "
     "certificate is not trusted", 5, "tlsUntrustedRoot", {"partner": "gamma.example"}),
    ("ejabberd", "2021-07-05 06:04:24.662 [warning] <0.9.97>@ejabberd_s2s_out:process_closed:157 Failed to establish outbound "
     "s2s connection alpha.example -> nosuch.example: DNS lookup failed: non-existing domain; bouncing for 275 seconds", 7,
     "dnsNxDomain", {"peer": "nosuch.example"}),
    ("unbound", "Nov 22 05:47:04 h unbound: [2404:0] error: SERVFAIL <servfail.example. A IN>: all servers failed", 7,
     "dnsServFail", {"name": "servfail.example", "qtype": "A"}),
    ("bind", "2026-11-22T05:47:17.214 query-errors: info: client @0x7f0c 127.0.0.1#57977 (s.example): query failed (failure) "
     "for s.example/IN/A at query.c:7916", 7, "dnsServFail", {"name": "s.example", "qtype": "A"}),
    ("asterisk", "[2026-11-22 07:04:00] ERROR[1] res_pjsip/pjsip_transport_events.c: Transport 't' to remote 'sip.g.example' - "
     "198.51.100.6:5061 - The certificate is untrusted", 1, "tlsUntrustedRoot", {"peer": "sip.g.example"}),
    ("freeswitch", "2026-11-22 07:11:18.176501 94.91% [ERR] sofia_reg.c:2661 gw-beta.example Failed Registration with status "
     "Forbidden [403]. failure #3", 6, "appRejected", {"peer": "gw-beta.example"}),
    ("audiocodes", "Nov 22 07:40:00 192.0.2.10 [S=9411] [BID=a1:7]  RAISE-ALARM: acIDSBlacklistNotification; Textual "
     "Description: Added IP 203.0.113.40 to blacklist; Severity indeterminate;", 2, "authRateLimited", {"ip": "203.0.113.40"}),
    ("oracle-sbc", "Nov 22 07:30:00 192.0.2.10 SBC sipd[1fa0] ERROR [IDS_LOG]SigAddr[access:203.0.113.40:0=low:DENY] ttl=7200 "
     "exp=30 Demoted to Block-List (Too many messages) last msg rcvd=x", 2, "authRateLimited", {"ip": "203.0.113.40"}),
    ("ms-ocs", '{"SourceName":"LS Protocol Stack","Message":"TLS outgoing connection failures.\\n\\nOver the past 16 minutes, '
     "Lync Server has experienced TLS outgoing connection failures 9 time(s). The error code of the last failure is "
     '0x80090325 (x) while trying to connect to the server \\"sip.g.example\\" at address [198.51.100.6:5061]."}', 1,
     "tlsUntrustedRoot", {"peer": "sip.g.example", "ip": "198.51.100.6"}),
]


@pytest.mark.parametrize("preset", sorted({row[0] for row in LINES}))
@pytest.mark.parametrize("together", [False, True])
def test_own_lines(conf, preset, together):
    """One line or more for every preset, alone and among all."""
    for _, line, event, reason, fields in (row for row in LINES if row[0] == preset):
        words = () if together else ("--preset", preset)
        found = hits(*words, "-c", conf / "edge.conf", "-", text=line.encode() + b"\n")
        assert [hit["event"] for hit in found] == ([] if event is None else [event]), line
        for hit in found:
            assert hit["reason"] == reason and hit["rule"].startswith(preset + "/")
            assert fields.items() <= hit["fields"].items(), hit
            assert hit["line"] == 1 and hit["record"] == [1, 1] and hit["count"] >= 1


def test_every_preset_says_what_it_needs():
    """Each file begins with what must be switched on and what the product cannot tell; and there are lines for each."""
    presets = {path.stem: path.read_text(encoding="utf-8") for path in PRESETS.glob("*.conf")}
    assert set(presets) == {row[0] for row in LINES}
    for name, text in presets.items():
        top = text.split("\nproduct")[0]
        assert "must be switched on" in top and "cannot tell" in top, name


def test_summary_tells_what_was_not_matched():
    """People see hits, numbers, and the shapes of the other lines, the most frequent first."""
    line = "Nov 22 05:42:38 h postfix/smtp[%d]: connect to mx.refused.example[198.51.100.20]:25: Connection refused\n"
    other = "Nov 22 05:42:%02d h postfix/qmgr[%d]: %X: from=<a%d@b.example>, size=%d, nrcpt=1 (queue active)\n"
    text = line % 1 + "".join(other % (i, i, 0xA1B2C3D4 + i, i, i * 7) for i in range(10, 40)) + "no head\n"
    done = match("--preset", "postfix", "-", text=text.encode())
    told = done.stdout.decode()
    assert done.returncode == 0
    assert "1: postfix/connect  event 6 connection  tcpRefused (201)" in told
    assert "peer=mx.refused.example" in told
    assert "32 lines: 1 matched, of them 1 counted; 31 unmatched, 1 of them begin like no known head" in told
    assert "      30         2  Nov 22 05:42:10 h postfix/qmgr[10]" in told
    assert "       1        32  no head" in told


def test_a_preset_of_ones_own(tmp_path):
    """A few lines make a preset; its mistakes are told with line and what was probably meant."""
    preset = tmp_path / "mine.conf"
    preset.write_text('product = "mydaemon";\nheads = ("syslog");\nrules = (\n'
                      '    { name = "login"; event = "authSource"; reason = "authBadCredentials";\n'
                      "      pattern = '^login of (?<user>\\S+) failed from (?<ip>\\S+)$'; },\n);\n", encoding="ascii")
    found = hits("--preset", preset, "-", text=b"Nov 22 05:42:38 h d[1]: login of \"x\" failed from 203.0.113.1\n")
    assert [(hit["rule"], hit["fields"]["user"]) for hit in found] == [("mydaemon/login", '"x"')]
    preset.write_text(preset.read_text(encoding="ascii").replace("authBad", "autBad"), encoding="ascii")
    done = match("--preset", preset, "-", text=b"")
    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"{preset}:4: rules[0].reason: there is no reason \"autBadCredentials\"")
    assert 'Did you mean "authBadCredentials"?' in done.stderr.decode()


def test_patterns_that_backtrack_are_named(tmp_path):
    """The reader goes on, and the summary names the rule."""
    preset = tmp_path / "bomb.conf"
    preset.write_text("product = \"p\"; heads = ({ name = \"own\"; pattern = '^> '; });\n"
                      "rules = ({ name = \"bomb\"; event = \"dns\"; reason = \"dnsOther\"; pattern = '^(?:a+)+$'; });\n",
                      encoding="ascii")
    done = match("--preset", preset, "-", text=b"> " + b"a" * 5000 + b"b\n> aaa\n")
    assert done.returncode == 0
    assert "1 times a pattern hit its limits, the last time that of p/bomb" in done.stdout.decode()
    assert "2: p/bomb" in done.stdout.decode()


def test_usage(tmp_path):
    """Wrong words and files."""
    assert match().returncode == 2
    assert match("--help").returncode == 0
    assert match("--preset", "kamailio", tmp_path / "none.log").returncode == 2
    done = match("--preset", "kamailoi", "-", text=b"")
    assert done.returncode == 1 and b"kamailoi.conf" in done.stderr
    done = match("--preset", "kamailio", "--head", "syslog-izo", "-", text=b"")
    assert done.returncode == 1 and b'Did you mean "syslog-iso"?' in done.stderr
