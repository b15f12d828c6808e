"""fedwarden import: what it writes can be loaded, what cannot become a partner is told with its line."""
import json
import os
import pathlib
import re
import subprocess

import pytest

import lab

PROGRAM = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY / "build")) / "fedwarden"

JSON = """[
  { "targets": [ "sip.contoso.example:5061", "https://www.fabrikam.example/health" ],
    "labels": { "partner": "contoso", "team": "voice" } },
  { "targets": [ "mail.woodgrove.example:25", "192.0.2.7:443", "http://plain.example/" ],
    "labels": { "__param_module": "smtp_starttls" } }
]
"""
PROMETHEUS = """global: { scrape_interval: 1m }
scrape_configs:
  - job_name: blackbox
    params:
      module: [tcp_connect_tls]
    static_configs:
      - targets: ['edge.tailspin.example:5062', "xmpp.tailspin.example:5269"]
      - targets:
          - "[2001:db8::1]:443"
          - bad_port.example:99999
  - job_name: mail
    params: { module: [smtp_starttls] }
    static_configs: [ { targets: [ mx.tailspin.example ] } ]
"""
TABLE = '''name,domain,protocol,host,port,contact
contoso,contoso.example,sip,,,"noc@contoso.example, or ""Bob"""
contoso,second.example,xmpp,,,
,third.example,tls,sbc.third.example,5062,
,no-host.example,tls,,,
nobody,,sip,,,
bad,bad name,sip,,,
port,port.example,https,,many,
short,short.example
'''


def run_import(text, *arguments):
    return subprocess.run([PROGRAM, "import", *arguments, "-"], input=text, capture_output=True, text=True, timeout=30,
                          check=False, env=lab.environment(
                              **{n: v for n, v in os.environ.items() if n.endswith("SAN_OPTIONS")}))


def loads(folder, written):
    """What check-config says of the partners that were written."""
    (folder / "partners.conf").write_text(written, encoding="utf-8")
    (folder / "fedwarden.conf").write_text('@include "partners.conf"\nagent = { mode = "none"; };\n', encoding="utf-8")
    return lab.run(PROGRAM, "check-config", "-c", folder / "fedwarden.conf")


def test_targets_in_json(folder):
    done = run_import(JSON)
    assert done.returncode == 1
    assert '{ name = "contoso"; domain = "sip.contoso.example"; protocol = "sip"; host = "sip.contoso.example"; port = 5061; }' \
        in done.stdout
    assert '{ name = "contoso-2"; domain = "www.fabrikam.example"; protocol = "https"; port = 443; }' in done.stdout
    assert 'protocol = "smtp"; host = "mail.woodgrove.example"; port = 25;' in done.stdout
    assert "standard input:4: an address has no name" in done.stderr
    assert "standard input:4: there is no TLS to watch" in done.stderr
    assert "3 partners, 2 left out" in done.stderr
    assert "ok, 3 partners (3 enabled" in loads(folder, done.stdout)


def test_a_whole_prometheus_yml(folder):
    done = run_import(PROMETHEUS)
    assert done.returncode == 1
    for words in ('domain = "edge.tailspin.example"; protocol = "tls"; host = "edge.tailspin.example"; port = 5062;',
                  'domain = "xmpp.tailspin.example"; protocol = "xmpp"; host = "xmpp.tailspin.example"; port = 5269;',
                  'domain = "mx.tailspin.example"; protocol = "smtp"; host = "mx.tailspin.example";'):
        assert words in done.stdout, done.stdout
    assert "standard input:9: an address has no name" in done.stderr
    assert "standard input:10: the port must be 1 to 65535" in done.stderr
    assert "ok, 3 partners" in loads(folder, done.stdout)


def test_a_table(folder):
    done = run_import(TABLE)
    assert done.returncode == 1
    assert 'contact = "noc@contoso.example, or \\"Bob\\"";' in done.stdout
    assert '{ name = "contoso-2"; domain = "second.example"; protocol = "xmpp"; }' in done.stdout
    assert 'name = "third.example"; domain = "third.example"; protocol = "tls"; host = "sbc.third.example"; port = 5062;' \
        in done.stdout
    for line, words in ((5, "needs a host and a port"), (6, "it has no domain"), (7, "no legal host or domain name"),
                        (8, 'port must be a number, not "many"'), (9, "2 cells, but 6 headings")):
        assert f"standard input:{line}: " in done.stderr and words in done.stderr, done.stderr
    assert "ok, 3 partners" in loads(folder, done.stdout)


@pytest.mark.parametrize("text, words", [
    ("", "there is no list of \"targets\""), ("a: [1", "neither YAML nor JSON"), ("domain,colour\nx.example,red\n", "no setting"),
    ("name,protocol\nx,sip\n", 'no heading is "domain"'), ("just some words\n", "there is no list"),
    ("[" * 200000, "it is nested deeper than 32"), ('domain,contact\nx.example,"open\n', "is not closed")])
def test_what_is_neither(text, words):
    done = run_import(text)
    assert done.returncode in (1, 3) and words in done.stderr, done.stderr
    assert not done.stdout


def aliases(first):
    """Ten of ten of ten ... of the first."""
    return "a0: &a0 " + first + "\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 16))


@pytest.mark.parametrize("first, partners", [("{x: 1}", False), ("{targets: ['a.example:443', 'b.example:443']}", True)])
def test_aliases_end(first, partners):
    done = run_import(aliases(first))
    assert "aliases stand for more than can be looked at" in done.stderr
    assert done.returncode == (1 if partners else 3) and done.stdout.count("port = 443;") < 200000


def test_many_of_one_name(folder):
    """Each has a name of its own, soon; also where long names are cut to the same."""
    targets = [f"https://www.example/{i}" for i in range(20000)] + [
        f"https://{'a' * 30}{i}.example/{k}" for k in range(2) for i in range(3000)]
    done = run_import(json.dumps([{"targets": targets}]))
    assert done.returncode == 0
    names = re.findall(r'name = "([^"]+)"; domain', done.stdout)
    assert len(set(names)) == len(names) == 26000 and names[:3] == ["www.example", "www.example-2", "www.example-3"]
    assert max(map(len, names)) <= 32


def test_hostile_text_stays_text(folder):
    """A value cannot end its quotation marks, nor bring in settings of its own."""
    contact = '"""; }, { name = ""evil\\"'
    done = run_import(f'domain,protocol,contact\nx.example,sip,{contact}\ny.example,sip,"a\x01b"\n')
    assert "holds what cannot be printed" in done.stderr
    assert "ok, 1 partner (1 enabled" in loads(folder, done.stdout)


def test_the_protocol_of_what_does_not_tell(folder):
    done = run_import('[{"targets": ["a.example:7777"]}]', "-p", "xmpp")
    assert done.returncode == 0 and 'protocol = "xmpp"' in done.stdout
    assert run_import("[]", "-p", "gopher").returncode == 3
