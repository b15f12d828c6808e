"""The scripts in conf/ with answers and notifications of whoever can send them: what they write stays what it was."""
import os
import re
import subprocess

import pytest

import lab

CONF = lab.REPOSITORY / "conf"
ROOT = ".1.3.6.1.4.1.8072.9999.9999.1"
WALK = """#!/bin/sh
for last; do :; done
cat "$(dirname "$0")/${last#%s.}"
""" % ROOT


def column(number, values):
    return "".join(f'{ROOT}.{number}.{index} = "{value}"\n' for index, value in values.items())


@pytest.fixture
def walked(tmp_path):
    """An snmpbulkwalk of an agent that has odd names."""
    (tmp_path / "snmpbulkwalk").write_text(WALK, encoding="ascii")
    (tmp_path / "snmpbulkwalk").chmod(0o755)
    odd = {1: "contoso", 2: "two\n.1.2.x;evil() = lines", 3: r"back\nslash .1.x = y", 4: "end\\\\", 5: '\\" quoted'}
    for number, values in {"1.3.1.2": {1: "tlsOutgoing"}, "1.4.1.2": odd, "1.5.1.2": {"1.2": "authSource"}}.items():
        (tmp_path / number).write_text(column(number, values), encoding="ascii")
    return lambda script, *arguments: subprocess.run(
        [CONF / script, *arguments], capture_output=True, text=True, timeout=10, check=True,
        env=lab.environment(PATH=f"{tmp_path}:{lab.PATH}")).stdout


def test_icinga_is_told_names_and_numbers_only(walked):
    lines = walked("icinga2/fedwarden-partners", "edge1", "192.0.2.1").splitlines()
    partners = [line for line in lines if line.startswith("  vars.fedwarden_partners[")]
    assert len(partners) == 5 and lines[-1] == "}"
    assert all(re.fullmatch(r'  vars\.fedwarden_partners\["[^"\\$]*"\] = \d+', line) for line in partners), partners
    assert '  vars.fedwarden_partner_events["contoso authSource"] = "1.2"' in lines


def test_nagios_is_told_names_and_numbers_only(walked):
    text = walked("nagios/fedwarden-services", "edge1", "192.0.2.1")
    assert "\\" not in text
    for block in text.split("define service {\n")[1:]:
        assert re.fullmatch(r"    use +[\w,-]+\n    host_name +edge1\n    service_description  (event|partner) [^;$\n]+\n"
                            r"    check_command +check_fedwarden_\w+(!\d+)+\n}\n+", block), block
    assert text.count("define service") == 7


def test_a_notification_is_three_commands_in_one_write(tmp_path):
    long = "x" * 6000 + "\n[1] SHUTDOWN_PROGRAM\n[1] DISABLE_NOTIFICATIONS;a|b\\"
    values = {2: "7" * 999, 3: "raised", 4: "1", 5: "critical", 7: "con" + "t" * 5000, 15: long, 16: "`id`" + long, 17: long}
    trap = "edge\nUDP: [192.0.2.1]:1->[192.0.2.2]:162\n" + "".join(
        f'{ROOT}.1.11.1.{number}.7 "{value}"\n' for number, value in values.items())
    pipe = tmp_path / "nagios.cmd"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    subprocess.run([CONF / "nagios" / "fedwarden-trap", "edge1", pipe], input=trap, text=True, timeout=10, check=True)
    told = os.read(reader, 65536).decode()
    os.close(reader)
    assert len(told) < 4096
    assert [re.match(r"\[\d+\] ([A-Z_]+);edge1;", line)[1] for line in told.splitlines()] == [
        "PROCESS_SERVICE_CHECK_RESULT", "SCHEDULE_FORCED_SVC_CHECK", "SCHEDULE_FORCED_SVC_CHECK"]
