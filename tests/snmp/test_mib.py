"""The text of FEDWARDEN-MIB: legal, complete, and the same words and numbers as the program's lists."""
import re
import shutil
import subprocess

import pytest

import agents
from agents import MIB, ROOT, TOP


def smi(name, *arguments):
    if not agents.BASE_MODULES.is_dir():
        pytest.skip(f"no IETF base modules in {agents.BASE_MODULES}")
    if not shutil.which(name, path=agents.PATH):
        pytest.skip(f"{name} is not installed (smitools)")
    return subprocess.run([name, *arguments, str(MIB)], capture_output=True, text=True, check=False,
                          env={"PATH": agents.PATH, "SMIPATH": f"{agents.BASE_MODULES}:{MIB.parent}"})


def test_smilint_has_nothing_to_say():
    done = smi("smilint", "-l", "6")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_smidump_sees_the_same_objects():
    done = smi("smidump", "-f", "identifiers")
    seen = dict(re.findall(r"^FEDWARDEN-MIB (\w+) +\w+ +([\d.]+)$", done.stdout, re.M))
    objects = agents.mib_objects()
    assert len(objects) > 150
    assert {name: "." + seen[name] for name in objects} == {name: oid for name, (oid, _) in objects.items()}


def test_tree_covers_every_readable_object():
    names = set()
    for name in agents.literal_tree():
        rest = name[len(ROOT) + 1:].split(".")
        names.add(f"{ROOT}." + ".".join(rest[:3] if rest[1] in "12" and len(rest[1]) == 1 else rest[:4]))
    readable = {oid for oid, may_read in agents.mib_objects().values() if may_read}
    reasons = {oid for oid in readable if oid.startswith(f"{ROOT}.1.10.")}
    assert len(reasons) == 12  # they are compared with base/reason_list.h instead
    assert names == readable - reasons


def test_one_line_holds_the_root():
    lines = [line for line in MIB.read_text().splitlines() if "enterprises" in line and "::=" in line]
    assert len(lines) == 1


def test_reasons_are_the_program_s():
    assert agents.mib_enumeration("FedwReason") == {row[0]: row[1] for row in agents.reason_rows()}
    assert len(agents.reason_rows()) > 80


def test_events_are_the_program_s():
    assert agents.mib_enumeration("FedwEventType") == {row[0]: row[2] for row in agents.event_rows()}


@pytest.mark.parametrize("name, header, prefix", [
    ("FedwSeverity", "base/reason.h", "SEVERITY"), ("FedwActor", "base/reason.h", "ACTOR"),
    ("FedwHealth", "base/reason.h", "HEALTH"), ("FedwKind", "base/observation.h", "PROBE"),
    ("FedwState", "ledger/ledger.h", "ALARM")])
def test_other_enumerations_are_the_program_s(name, header, prefix):
    source = (TOP / "include" / header).read_text()
    found = {int(number): label.lower() for label, number in re.findall(rf"\b{prefix}_([A-Z]+) = (\d+)", source)}
    assert agents.mib_enumeration(name) == found


def test_notifications_come_in_pairs_with_the_same_objects():
    notifications = agents.mib_notifications()
    objects = agents.mib_objects()
    names = [(f"fedw{row[3]}{end}", 2 * row[0] - (end == "Raised")) for row in agents.event_rows()
             for end in ("Raised", "Cleared")]
    assert {name: number for name, (number, _) in notifications.items()} == dict(names)
    for _, carried in notifications.values():
        assert [objects[name][0] for name in carried] == [
            *(f"{ROOT}.1.11.1.{column}" for column in range(2, 18)), f"{ROOT}.1.1.25", f"{ROOT}.1.1.26"]


def test_comments_for_snmptt():
    blocks = re.findall(r"NOTIFICATION-TYPE.*?::=", MIB.read_text(), re.S)[1:]
    assert len(blocks) == 20
    for block in blocks:
        for word in ("TYPE", "SUMMARY", "ARGUMENTS", "SEVERITY", "CATEGORY"):
            assert block.count(f"--#{word} ") == 1
        places = block.split("--#SUMMARY")[1].split("\n")[0].count("%s")
        assert len(re.search(r"--#ARGUMENTS \{([\d,]+)\}", block)[1].split(",")) == places


def test_every_address_has_its_kind_before_it():
    objects = agents.mib_objects()
    for name, (oid, _) in objects.items():
        if name.endswith("Address"):
            table, _, column = oid.rpartition(".")
            assert objects[name + "Type"][0] == f"{table}.{int(column) - 1}"


def names_by_stand_ins(folder, *arguments):
    (folder / "cert_indexes").mkdir(exist_ok=True)  # the tools say when they create it
    done = subprocess.run(["snmptranslate", "-M", f"{TOP}/tests/demo/mibs:{MIB.parent}", "-m", "FEDWARDEN-MIB",
                           *arguments], capture_output=True, text=True, check=False,
                          env=agents.environment(folder))
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


def test_names_print_without_the_ietf_modules(tmp_path):
    assert names_by_stand_ins(tmp_path, f"{ROOT}.1.4.1.7.42").strip() == "FEDWARDEN-MIB::fedwPartnerReason.42"
    assert names_by_stand_ins(tmp_path, f"{ROOT}.0.1").strip() == "FEDWARDEN-MIB::fedwTlsOutgoingRaised"
    shown = names_by_stand_ins(tmp_path, "-Td", f"{ROOT}.1.4.1.7")
    assert "tlsIncompleteChain(302)" in shown and "FedwReason" in shown
    assert "2d-1d-1d,1d:1d:1d.1d,1a1d:1d" in names_by_stand_ins(tmp_path, "-Td", f"{ROOT}.1.4.1.9")
