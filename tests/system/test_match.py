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
