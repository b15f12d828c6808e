"""The manuals: mandoc finds nothing to say, and what they are made of is in them."""
import os
import pathlib
import re
import shutil

import pytest

import lab

BUILD = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY / "build"))
PAGES = sorted([*(lab.REPOSITORY / "man").glob("fedwarden*.[1-8]"), *(BUILD / "man").glob("fedwarden*.[1-8]")])

pytestmark = pytest.mark.skipif(not shutil.which("mandoc", path=lab.PATH), reason="mandoc is not installed")


def text(name):
    page = next(page for page in PAGES if page.name == name)
    return re.sub(".\b", "", lab.run("mandoc", "-Tutf8", page))


def test_mandoc_has_nothing_to_say(folder):
    """Pages refer to each other: they are put where mandoc looks for them."""
    assert len(PAGES) == 12
    for page in PAGES:
        place = folder / f"man{page.suffix[1:]}"
        place.mkdir(exist_ok=True)
        shutil.copy(page, place)
    said = lab.run("mandoc", "-Tlint", "-W", "style", *PAGES, check=False,
                   env=lab.environment(MANPATH=f"{folder}:/usr/share/man"))
    assert not [line for line in said.splitlines() if "Xr fedwarden" in line or "referenced manual not found" not in line], said


def test_each_command_has_a_manual():
    commands = re.findall(r"^  ([a-z-]+) +\S", lab.run(BUILD / "fedwarden", "--help"), re.M)
    assert len(commands) >= 10
    general = text("fedwarden.8")
    for command in commands:
        assert re.search(rf"\b{command}\b", general), command


def test_each_option_is_in_a_manual():
    """Every long option that --help tells stands in the page of its command."""
    pages = {"history": "status", "report": "status"}
    for command in ("check", "explain", "event", "match", "status", "history", "report", "import"):
        shown = text(f"fedwarden-{pages.get(command, command)}.1")
        for option in set(re.findall(r"--[a-z]+", lab.run(BUILD / "fedwarden", command, "--help"))):
            assert option in shown, f"{command}: {option}"


def test_what_they_are_made_of():
    reasons = re.findall(r"^REASON_ROW\((\d+), \w+, (\w+)",
                         (lab.REPOSITORY / "include" / "base" / "reason_list.h").read_text(), re.M)
    shown = text("fedwarden-reasons.7")
    assert all(f"{name} ({number})" in shown for number, name in reasons)
    objects = re.findall(r"^(fedw\w+) +(?:OBJECT|NOTIFICATION)-TYPE", (lab.REPOSITORY / "mibs" / "FEDWARDEN-MIB.txt").read_text(),
                         re.M)
    shown = text("fedwarden-mib.7")
    assert all(re.search(rf"\b{name}\b", shown) for name in objects)
    fields = re.findall(r"^FIELD_ROW\(\w+, (\w+)\)",
                        (lab.REPOSITORY / "include" / "base" / "preset_field_list.h").read_text(), re.M)
    shown = text("fedwarden-preset.5")
    assert all(re.search(rf"^ +{name}\b", shown, re.M) for name in [*fields, "until", "syslog-iso", "any-json"])
    assert r"pattern = '^login of (?<user>\S+) failed from (?<ip>\S+)$'" in shown
    settings = text("fedwarden.conf.5")
    for line in (lab.REPOSITORY / "conf" / "fedwarden.conf").read_text().splitlines():
        assert line.strip() in settings, line


@pytest.mark.parametrize("words, offered", [
    (["fedwarden", "che"], "check"), (["fedwarden", "explain", "tlsIncompl"], "tlsIncompleteChain"),
    (["fedwarden", "check", "--js"], "--json"), (["fedwarden", "history", "-e", "certE"], "certExpiry")])
def test_completion(words, offered):
    script = f"""PATH={BUILD}:$PATH; source {lab.REPOSITORY}/conf/bash-completion/fedwarden
        COMP_WORDS=({' '.join(words)}) COMP_CWORD={len(words) - 1}; _fedwarden; printf '%s\\n' "${{COMPREPLY[@]}}" """
    assert offered in lab.run("bash", "-c", script).split()


def test_completion_runs_nothing(tmp_path):
    """Names of a configuration are words, whatever they look like."""
    conf, ran = tmp_path / "fedwarden.conf", tmp_path / "ran"
    conf.write_text('partners = (\n{ name = "$(touch ' + str(ran) + ')"; },\n{ name = "contoso"; } );\n', encoding="ascii")
    script = f"""source {lab.REPOSITORY}/conf/bash-completion/fedwarden
        COMP_WORDS=(fedwarden check -c {conf} con) COMP_CWORD=4; _fedwarden; printf '%s\\n' "${{COMPREPLY[@]}}" """
    assert lab.run("bash", "-c", script).split() == ["contoso"]
    assert not ran.exists()
