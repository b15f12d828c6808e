"""Look-ups through collect/dns.h against real and misbehaving servers, in a network namespace of their own.

FEDWARDEN_BUILD names the build directory where tests/system/ask is; default: the root of the repository.
"""

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import lab_dns  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ASK = os.path.join(os.environ.get("FEDWARDEN_BUILD", ROOT), "tests/system/ask")
KNOT, UNBOUND, ODD, ODD2, DEAD = 5301, 5302, 5303, 5304, 5309  # within the namespace
A = b"\xc0\x00\x02\x01"

ZONE = """$ORIGIN x.example.
$TTL 300
@ SOA ns hostmaster 1 2 3 4 77
@ NS ns
@ MX 0 .
ns A 127.0.0.1
edge 120 A 192.0.2.7
edge AAAA 2001:db8::7
alias CNAME edge
gone CNAME nowhere
loop CNAME loop2
loop2 CNAME loop
text TXT "v=1"
_sipfederationtls._tcp 90 SRV 10 5 5061 edge
_sipfederationtls._tcp 90 SRV 10 50 5061 alias
_xmpp-server._tcp SRV 0 0 0 .
e\\.vil\\010 A 192.0.2.8
""" + "".join(f"_many._tcp SRV {i} 0 5061 a-rather-long-host-name-{i}\n" for i in range(60))


@pytest.fixture(scope="module", autouse=True)
def network():
    if not os.access(ASK, os.X_OK):
        pytest.fail(f"{ASK} is missing: run make check, or set FEDWARDEN_BUILD")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lab_dns.private_network())
        except OSError as error:
            pytest.skip(f"no network namespace: {error}")
        yield


@pytest.fixture(scope="module")
def knot(network, tmp_path_factory):
    with lab_dns.knot(str(tmp_path_factory.mktemp("knot") / "k"), KNOT, {"x.example": ZONE}) as server:
        yield server


@pytest.fixture(scope="module")
def unbound(knot, tmp_path_factory):
    extra = f"""
    local-zone: "blocked.example." always_nxdomain
    local-zone: "refused.example." always_refuse
    trust-anchor: "bogus.x.example. DS 12345 13 2 {'ab' * 32}"
stub-zone:
    name: "x.example"
    stub-addr: 127.0.0.1@{KNOT}
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{DEAD}
"""
    with lab_dns.unbound(str(tmp_path_factory.mktemp("unbound") / "u"), UNBOUND, extra) as server:
        yield server


def ask(resolvers, *questions, options=()):
    words = [f"127.0.0.1:{r}" if isinstance(r, int) else r for r in resolvers]
    asked = [word for question in questions for word in question.split()]
    run = subprocess.run([ASK, *options, *words, "--", *asked], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return sorted((json.loads(line) for line in run.stdout.splitlines()), key=lambda row: row["number"])


def ask_one(resolvers, question, *options):
    rows = ask(resolvers, question, options=options)
    assert len(rows) == 1
    return rows[0]


def test_srv(knot):
    row = ask_one([KNOT], "_sipfederationtls._tcp.x.example SRV")
    assert row["reason"] == "none" and row["rcode"] == 0 and row["detail"] == ""
    assert row["targets"] == [[10, 50, 5061, "alias.x.example"], [10, 5, 5061, "edge.x.example"]]
    assert row["ttl"] == 90 and row["resolver"] == f"127.0.0.1:{KNOT}" and row["tries"] == 1
    assert not row["tcp"] and 0 < row["duration"] < 1_000_000


def test_addresses_aliases_and_ipv6_resolver(knot):
    a, aaaa, alias, text = ask(["[::1]:%d" % KNOT], "EDGE.x.example A", "edge.x.example AAAA", "alias.x.example A",
                               "text.x.example TXT")
    assert a["addresses"] == ["192.0.2.7"] and a["ttl"] == 120
    assert a["resolver"] == f"[::1]:{KNOT}"
    assert aaaa["addresses"] == ["2001:db8::7"]
    assert alias["addresses"] == ["192.0.2.7"] and alias["canonical"] == "edge.x.example"
    assert text["reason"] == "none"


@pytest.mark.parametrize("question, reason, rcode, phrase", [
    ("_sip._tcp.none.x.example SRV", "dnsNxDomain", 3, "_sip._tcp.none.x.example SRV: NXDOMAIN from 127.0.0.1:5301"),
    ("edge.x.example MX", "dnsNoData", 0, "edge.x.example MX: no MX record from 127.0.0.1:5301"),
    ("gone.x.example A", "dnsNxDomain", 3, "NXDOMAIN at its alias nowhere.x.example"),
    ("_xmpp-server._tcp.x.example SRV", "dnsServiceDenied", 0, "the service is not offered"),
    ("x.example MX", "dnsServiceDenied", 0, "takes no mail"),
    ("loop.x.example A", "dnsLoop", 0, "circle"),
])
def test_answers_that_end_it(knot, question, reason, rcode, phrase):
    row = ask_one([KNOT], question)
    assert (row["reason"], row["rcode"], row["tries"]) == (reason, rcode, 1)
    assert phrase in row["detail"]
    if reason in ("dnsNxDomain", "dnsNoData"):
        assert row["ttl"] == 77


def test_refused_by_the_real_server(knot):
    row = ask_one([KNOT], "elsewhere.example A")
    assert row["reason"] == "dnsRefused" and row["rcode"] == 5 and row["tries"] == 2
    assert row["detail"].startswith(f"elsewhere.example A: REFUSED from 127.0.0.1:{KNOT} (2 tries)")


def test_the_next_resolver_is_asked(knot):
    with lab_dns.OddResolver(ODD, lambda query, count: []) as unneeded:
        row = ask_one([KNOT, ODD], "edge.x.example A")
        assert row["resolver"] == f"127.0.0.1:{KNOT}" and unneeded.queries == []
    with lab_dns.OddResolver(ODD, lambda query, count: [lab_dns.reply_wire(query, 2, options=b"")]):
        row = ask_one([ODD, KNOT], "edge.x.example A")
    assert row["reason"] == "none" and row["tries"] == 2 and row["resolver"] == f"127.0.0.1:{KNOT}"


def says(rcode, options=b""):
    return lambda query, count: [lab_dns.reply_wire(query, rcode, options=options)]


@pytest.mark.parametrize("respond, phrase", [
    (says(3), "NXDOMAIN from"), (says(0), "no SRV record from"), (says(2), "SERVFAIL from"), (says(5), "REFUSED from"),
    (says(3, struct.pack(">3H", 15, 2, 15)), "NXDOMAIN from"), (lambda query, count: [], "no reply from"),
])
def test_one_resolver_that_denies_is_not_believed(knot, respond, phrase):
    with lab_dns.OddResolver(ODD, respond):
        row = ask_one([ODD, KNOT], "_sipfederationtls._tcp.x.example SRV", "--try", "200")
    assert row["reason"] == "none" and row["rcode"] == 0 and len(row["targets"]) == 2 and row["tries"] == 2
    assert row["detail"] == f"from 127.0.0.1:{KNOT}; {phrase} 127.0.0.1:{ODD}"


@pytest.mark.parametrize("other, phrase, tries", [
    (says(3), "; NXDOMAIN from", 2), (says(0), "; no SRV record from", 2), (says(2), "; SERVFAIL from", 2),
    (lambda query, count: [], "; no reply from", 2),
])
def test_a_denial_stands_unless_another_has_the_records(knot, other, phrase, tries):
    with lab_dns.OddResolver(ODD, other) as odd:
        row = ask_one([KNOT, ODD], "_sip._tcp.none.x.example SRV", "--try", "200")
        assert len(odd.queries) == 1
    assert (row["reason"], row["rcode"], row["resolver"], row["ttl"]) == ("dnsNxDomain", 3, f"127.0.0.1:{KNOT}", 77)
    assert row["tries"] == tries and not row["unconfirmed"]
    assert row["detail"] == (f"_sip._tcp.none.x.example SRV: NXDOMAIN from 127.0.0.1:{KNOT}{phrase} 127.0.0.1:{ODD}")


def test_a_denial_stands_when_the_time_is_over(knot):
    with lab_dns.OddResolver(ODD, lambda query, count: []):
        row = ask_one([KNOT, ODD], "none.x.example A", "--try", "1000", "--total", "300")
    assert row["reason"] == "dnsNxDomain" and row["duration"] < 1_000_000


def test_that_a_family_is_missing_is_confirmed_only_when_wished(knot):
    with lab_dns.OddResolver(ODD, says(0)) as odd, lab_dns.OddResolver(ODD2, says(0)) as odd2:
        row = ask_one([ODD, KNOT], "edge.x.example AAAA")
        assert row["reason"] == "dnsNoData" and row["unconfirmed"] and row["tries"] == 1
        row = ask_one([ODD, KNOT], "edge.x.example AAAA", "--doubt")
        assert row["addresses"] == ["2001:db8::7"] and not row["unconfirmed"]
        row = ask_one([ODD, ODD2], "edge.x.example AAAA", "--doubt")
        assert row["reason"] == "dnsNoData" and not row["unconfirmed"] and len(odd2.queries) == 1
        assert len(odd.queries) == 3


def test_large_sets_come_by_tcp(knot):
    row = ask_one([KNOT], "_many._tcp.x.example SRV")
    assert row["reason"] == "none" and row["tcp"] and row["tries"] == 1
    assert row["target_total"] == 60 and [target[0] for target in row["targets"]] == list(range(16))


def test_unbound_forwards_and_says_why_not(unbound):
    fine, dead, blocked, refused = ask([UNBOUND], "edge.x.example A", "dead.example A", "www.blocked.example A",
                                       "www.refused.example A")
    assert fine["reason"] == "none"
    assert dead["rcode"] == 2 and dead["reason"] in ("dnsServFail", "dnsUnreachableAuthority")
    assert "SERVFAIL" in dead["detail"]
    assert blocked["rcode"] == 3 and blocked["reason"] == ("dnsFiltered" if blocked["ede"] in (15, 16, 17)
                                                           else "dnsNxDomain")
    assert refused["rcode"] == 5 and refused["reason"] == ("dnsFiltered" if refused["ede"] in (15, 16, 17)
                                                           else "dnsRefused")


def test_unbound_finds_it_bogus(unbound):
    row = ask_one([UNBOUND], "bogus.x.example A")
    assert row["rcode"] == 2 and row["reason"] == "dnsBogus" and row["ede"] in range(6, 13), row


def test_silence_is_a_timeout_within_the_budgets(knot):
    with lab_dns.OddResolver(ODD, lambda query, count: []) as one, \
            lab_dns.OddResolver(ODD2, lambda query, count: []) as two:
        row = ask_one([ODD, ODD2], "x.example A", "--try", "150", "--total", "5000")
        assert row["reason"] == "dnsTimeout" and row["rcode"] == -1 and row["tries"] == 4
        assert 590_000 < row["duration"] < 1_200_000
        assert row["detail"] == (f"x.example A: no reply from 127.0.0.1:{ODD} (2 tries), 127.0.0.1:{ODD2} (2 tries)")
        assert len(one.queries) == 2 and len(two.queries) == 2
        row = ask_one([ODD, ODD2], "x.example A", "--try", "400", "--total", "500")
        assert row["tries"] == 2 and 490_000 < row["duration"] < 900_000
        assert len({query[:2] for query in one.queries}) == len(one.queries), "each message has an id of its own"


def test_a_silent_resolver_does_not_hide_a_reply():
    with lab_dns.OddResolver(ODD, lambda query, count: [lab_dns.reply_wire(query, 5, options=b"")]), \
            lab_dns.OddResolver(ODD2, lambda query, count: []):
        row = ask_one([ODD, ODD2], "x.example A", "--try", "100")
    assert row["reason"] == "dnsRefused" and row["resolver"] == f"127.0.0.1:{ODD}"
    assert f"REFUSED from 127.0.0.1:{ODD} (2 tries); no reply from 127.0.0.1:{ODD2} (2 tries)" in row["detail"]


def test_a_closed_port_is_seen_at_once():
    row = ask_one([DEAD], "x.example A")
    assert row["reason"] == "dnsTimeout" and row["duration"] < 1_000_000 and row["tries"] == 2
    assert "refused" in row["detail"]


def nft(rules):
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, timeout=10)


@contextlib.contextmanager
def filtered(chain, verdict):
    """What goes to 127.0.0.7 meets a filter."""
    nft(f"""table ip filtered {{
    chain {chain} {{
        type filter hook {chain} priority 0;
        ip daddr 127.0.0.7 {verdict}
    }}
}}
""")
    try:
        yield
    finally:
        nft("delete table ip filtered\n")


def test_a_resolver_without_a_route_is_said_so(knot):
    row = ask_one(["192.0.2.53:53"], "x.example A")
    assert row["reason"] == "netUnreachable" and row["rcode"] == -1 and row["duration"] < 1_000_000
    assert row["detail"] == "x.example A: cannot be sent (Network is unreachable) to 192.0.2.53:53 (2 tries)"
    row = ask_one(["[2001:db8::53]:53"], "x.example A")
    assert row["reason"] == "netUnreachable" and "[2001:db8::53]:53" in row["detail"]


@pytest.mark.parametrize("chain, verdict, reason, phrase", [
    ("input", "reject with icmp type host-unreachable", "hostUnreachable", "No route to host"),
    ("input", "reject with icmp type net-unreachable", "netUnreachable", "Network is unreachable"),
    ("input", "reject with icmp type port-unreachable", "dnsTimeout", "refused by 127.0.0.7:53"),
    ("input", "drop", "dnsTimeout", "no reply from 127.0.0.7:53"),
    ("output", "drop", "adminProhibited", "Operation not permitted"),
])
def test_what_the_network_says_about_a_resolver(chain, verdict, reason, phrase):
    with filtered(chain, verdict):
        row = ask_one(["127.0.0.7:53"], "x.example A", "--try", "200")
    assert row["reason"] == reason and phrase in row["detail"], row
    assert row["resolver"] == "127.0.0.7:53"


def test_a_resolver_that_was_asked_in_vain_says_more_than_one_that_cannot_be_asked():
    with lab_dns.OddResolver(ODD, lambda query, count: []):
        for order in (["192.0.2.53:53", ODD], [ODD, "192.0.2.53:53"]):
            row = ask_one(order, "x.example A", "--try", "100")
            assert row["reason"] == "dnsTimeout" and row["resolver"] == f"127.0.0.1:{ODD}"
            assert "no reply from" in row["detail"] and "(Network is unreachable) to 192.0.2.53:53" in row["detail"]


@pytest.mark.parametrize("rcode, reason, name", [
    (1, "dnsMalformed", "FORMERR"), (2, "dnsServFail", "SERVFAIL"), (4, "dnsNotImplemented", "NOTIMP"),
    (5, "dnsRefused", "REFUSED"), (6, "dnsOther", "YXDOMAIN"), (9, "dnsOther", "NOTAUTH"), (10, "dnsOther", "NOTZONE"),
    (15, "dnsOther", "an unknown rcode"), (16, "dnsOther", "BADVERS"), (23, "dnsOther", "BADCOOKIE"),
    (3841, "dnsOther", "an unknown rcode"),
])
def test_every_rcode_is_told_as_it_came(rcode, reason, name):
    def respond(query, count):
        return [lab_dns.reply_wire(query, rcode & 15, options=b"", extended=rcode >> 4)]

    with lab_dns.OddResolver(ODD, respond):
        row = ask_one([ODD], "_sip._tcp.x.example SRV")
    assert (row["reason"], row["rcode"]) == (reason, rcode) and f"{name} from 127.0.0.1:{ODD}" in row["detail"], row


def test_replies_to_other_questions_are_ignored_until_the_time_is_over():
    def respond(query, count):
        other_id = bytes([query[0], query[1] ^ 1]) + query[2:]
        other_name = query[:13] + bytes([query[13] ^ 1]) + query[14:]
        other_type = lab_dns.query_wire("x.example", 28)
        forged = [(1, 60, A)]
        return [lab_dns.reply_wire(other, answers=forged, options=b"")
                for other in (other_id, other_name, query[:2] + other_type[2:])]

    with lab_dns.OddResolver(ODD, respond) as odd:
        row = ask_one([ODD], "x.example A", "--try", "200")
        assert row["reason"] == "dnsTimeout" and row["addresses"] == [] and len(odd.queries) == 2
        assert 390_000 < row["duration"] < 1_400_000


def test_what_is_not_our_reply_is_ignored():
    def respond(query, count):
        other_id = bytes([query[0] ^ 1]) + query[1:]
        other_name = query[:13] + bytes([query[13] ^ 1]) + query[14:]
        forged = [(1, 60, b"\x0a\x00\x00\x01")]
        return [lab_dns.reply_wire(other_id, answers=forged), lab_dns.reply_wire(other_name, answers=forged), b"short",
                lab_dns.reply_wire(query, answers=[(1, 60, A)], options=b"")]

    with lab_dns.OddResolver(ODD, respond):
        row = ask_one([ODD], "x.example A")
    assert row["reason"] == "none" and row["addresses"] == ["192.0.2.1"] and row["tries"] == 1


def test_garbage_is_malformed():
    with lab_dns.OddResolver(ODD, lambda query, count: [lab_dns.reply_wire(query, answers=[(1, 60, b"12345")])]):
        row = ask_one([ODD], "x.example A")
    assert row["reason"] == "dnsMalformed" and "malformed reply" in row["detail"] and row["tries"] == 2


def test_a_query_sent_back_is_malformed():
    with lab_dns.OddResolver(ODD, lambda query, count: [query]):
        row = ask_one([ODD], "x.example A")
    assert row["reason"] == "dnsMalformed" and row["rcode"] == -1


def test_truncated_without_tcp_is_said_so():
    def respond(query, count):
        return [lab_dns.reply_wire(query, flags=0x8200, options=b"")]

    with lab_dns.OddResolver(ODD, respond):
        row = ask_one([ODD], "x.example A", "--try", "300")
        assert row["reason"] == "dnsMalformed" and row["tcp"] and "by TCP, after a truncated reply" in row["detail"]
        assert row["duration"] < 1_000_000
        with socket.create_server(("127.0.0.1", ODD)):  # accepts in the kernel, never answers
            row = ask_one([ODD], "x.example A", "--try", "200")
    assert row["reason"] == "dnsMalformed" and "no reply by TCP, after a truncated reply" in row["detail"]
    assert 390_000 < row["duration"] < 1_500_000


def truncated(query, count):
    return [lab_dns.reply_wire(query, flags=0x8200, options=b"")]


def slowly(query):
    yield struct.pack(">H", 8000)
    for octet in lab_dns.reply_wire(query, answers=[(1, 60, A)]):
        odd_pause.wait(1)
        yield bytes([octet])


def endlessly(query):
    other = bytes([query[0] ^ 1]) + query[1:]
    while True:
        yield lab_dns.framed(lab_dns.reply_wire(other, answers=[(1, 60, A)])) * 100


def emptily(query):
    while True:
        yield b"\0" * 1000


def in_part(query):
    yield lab_dns.framed(lab_dns.reply_wire(query, answers=[(1, 60, A)]))[:-1]


odd_pause = threading.Event()  # never set: what a byte a second waits for


@pytest.mark.parametrize("stream", [slowly, endlessly, emptily, in_part])
def test_odd_replies_by_tcp_end_within_the_budget(stream):
    with lab_dns.OddResolver(ODD, truncated, stream):
        began = time.monotonic()
        row = ask_one([ODD], "x.example A", "--try", "300", "--total", "1000")
        assert time.monotonic() - began < 2
    assert row["reason"] == "dnsMalformed" and row["tcp"] and "by TCP" in row["detail"] and row["duration"] < 1_500_000


def test_the_longest_reply_is_read():
    count = 4000

    def stream(query):
        answers = [(1, 60, struct.pack(">I", 0x0A000000 + i)) for i in range(count)]
        yield lab_dns.framed(lab_dns.reply_wire(query, answers=answers))

    with lab_dns.OddResolver(ODD, truncated, stream):
        row = ask_one([ODD], "x.example A")
    assert row["reason"] == "none" and row["address_total"] == count and row["addresses"][0] == "10.0.0.0"


def test_one_slow_reply_by_tcp_does_not_keep_others():
    def stream(query):
        if b"slow" in query:
            yield from slowly(query)
        else:
            yield lab_dns.framed(lab_dns.reply_wire(query, answers=[(1, 60, A)]))

    with lab_dns.OddResolver(ODD, truncated, stream):
        rows = ask([ODD], "slow.example A", "x.example A", options=("--try", "300", "--total", "2000"))
    assert rows[0]["reason"] == "dnsMalformed" and rows[0]["duration"] < 1_500_000
    assert rows[1]["reason"] == "none" and rows[1]["addresses"] == ["192.0.2.1"], rows[1]


def test_a_flood_by_udp_ends_within_the_budget(knot):
    def flood(query, count):
        other = lab_dns.reply_wire(bytes([query[0] ^ 1]) + query[1:], answers=[(1, 60, A)])
        end = time.monotonic() + 3
        while time.monotonic() < end:
            yield other

    with lab_dns.OddResolver(ODD, flood):
        began = time.monotonic()
        flooded, = ask([ODD], "x.example A", options=("--try", "300", "--total", "1000"))
        assert time.monotonic() - began < 2
        assert flooded["reason"] == "dnsTimeout"
        row = ask_one([ODD, KNOT], "edge.x.example A", "--try", "300", "--total", "1000")
        assert row["reason"] == "none"


def test_a_resolver_without_edns():
    def respond(query, count):
        if query[11] == 1:
            return [lab_dns.reply_wire(query, 1)]
        return [lab_dns.reply_wire(query, answers=[(1, 60, A)])]

    with lab_dns.OddResolver(ODD, respond):
        rows = ask([ODD], *[f"n{i}.x.example A" for i in range(20)], options=("--flight", "1"))
    assert [row["reason"] for row in rows] == ["none"] * 20
    assert {row["tries"] for row in rows} == {1}


def test_authentic_only_from_a_trusted_resolver():
    def respond(query, count):
        return [lab_dns.reply_wire(query, flags=0x8020, answers=[(1, 60, A)], options=b"")]

    with lab_dns.OddResolver(ODD, respond):
        assert ask_one([f"127.0.0.1:{ODD}+"], "x.example A")["authentic"] is True
        assert ask_one([ODD], "x.example A")["authentic"] is False


def test_the_cap_makes_questions_wait_and_drops_none(knot):
    rows = ask([KNOT], *["edge.x.example A"] * 500, options=("--flight", "3"))
    assert [row["reason"] for row in rows] == ["none"] * 500


def test_waiting_counts_against_the_budget():
    with lab_dns.OddResolver(ODD, lambda query, count: []):
        rows = ask([ODD], "a.example A", "b.example A", "c.example A",
                   options=("--flight", "1", "--try", "1000", "--total", "300"))
    assert [row["reason"] for row in rows] == ["dnsTimeout"] * 3
    assert all(290_000 < row["duration"] < 800_000 for row in rows)
    assert "waited for a place" in rows[2]["detail"] and "dns_in_flight" in rows[2]["detail"]


def test_cancelled_questions_are_not_told(knot):
    rows = ask([KNOT], *["edge.x.example A"] * 20, options=("--cancel", "15", "--flight", "4"))
    assert [row["number"] for row in rows] == list(range(15, 20))
    with lab_dns.OddResolver(ODD, lambda query, count: []):
        assert ask([ODD], "a.example A", "b.example A", options=("--cancel", "2", "--flight", "1")) == []


def test_names_that_cannot_be_asked(knot):
    rows = ask([KNOT], "a..b A", "x" * 64 + " A")
    assert [row["reason"] for row in rows] == ["dnsNameInvalid"] * 2 and rows[0]["tries"] == 0


def test_escaped_names_are_asked_as_meant(knot):
    row = ask_one([KNOT], "e\\046vil\\010.x.example A")
    assert row["addresses"] == ["192.0.2.8"]


def test_source_ports_change():
    def respond(query, count):
        return [lab_dns.reply_wire(query, answers=[(1, 60, A)], options=b"")]

    with lab_dns.OddResolver(ODD, respond) as odd:
        ask([ODD], *["x.example A"] * 40, options=("--flight", "1"))
        assert len(set(odd.sources)) > 30
