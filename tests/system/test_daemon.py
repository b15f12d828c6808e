"""The daemon against real servers: start, reload, end, what it tells its service manager, and SNMP both by itself and
through an snmpd. Everything runs in a network namespace of its own."""
import os
import pathlib
import re
import signal
import socket
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "demo"))
import partners  # noqa: E402
from partners import lab  # noqa: E402
import pki  # noqa: E402

PROGRAM = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY / "build")) / "fedwarden"
FAR = 20  # seconds for what takes one or two, so that a busy machine fails no test

TAILSPIN = """,
    { name = "tailspin"; domain = "fabrikam.example"; protocol = "https"; port = %d; }"""


pytestmark = pytest.mark.usefixtures("loopback")


@pytest.fixture
def scene(folder):
    with partners.Partners(folder, PROGRAM) as scene:
        yield scene.start()


@pytest.fixture
def under_snmpd(folder):
    with partners.Partners(folder, PROGRAM, partners.SUBAGENT) as scene:
        yield scene.start()


def partner(scene, name):
    rows = [row for row in scene.table("fedwPartnerTable") if row["Name"] == name]
    return rows[0] if rows else None


def wait_raised(scene, name, reason, after=0):
    raised = scene.snmptrapd.wait(lambda n: n.type.endswith("Raised") and n["fedwAlarmPartnerName"] == name, FAR, after)
    assert raised, scene.fedwarden.tail()
    assert raised["fedwAlarmReason"] == reason
    return raised


def wait_cleared(scene, raised):
    cleared = scene.snmptrapd.wait(
        lambda n: n.type == raised.type.replace("Raised", "Cleared") and n["fedwAlarmId"] == raised["fedwAlarmId"], FAR)
    assert cleared, scene.fedwarden.tail()
    assert cleared["fedwAlarmState"] == "cleared"
    assert cleared["fedwAlarmSeverity"] == "cleared"
    assert list(cleared) == list(raised), "the same objects in the same order"
    return cleared


def ends_well(scene, seconds=2):
    """SIGTERM ends it with 0 within two seconds, told before."""
    process = scene.fedwarden.process
    began = time.monotonic()
    scene.fedwarden.signal(signal.SIGTERM)
    status = process.wait(timeout=FAR)
    took = time.monotonic() - began
    assert status == 0, scene.fedwarden.tail()
    assert took < seconds
    scene.fedwarden.stop()
    assert "STOPPING=1" in scene.fedwarden.told


def test_watches_and_ends(scene):
    scene.wait_healthy(FAR)
    assert lab.wait_until(lambda: any("3 ok" in line for line in scene.fedwarden.told if "STATUS=" in line), FAR)
    rows = scene.table("fedwCertificateTable")
    assert {row["PartnerName"] for row in rows} == {"contoso", "fabrikam", "woodgrove"}
    ends_well(scene)


def test_listens_only_where_it_is_told(scene):
    """The SNMP library brings servers of its own."""
    assert lab.listening(scene.fedwarden.pid) == [("udp", partners.ADDRESS, scene.ports["snmp"])]


def test_ends_while_peers_are_mute(folder):
    """Nothing that a peer or a resolver withholds delays the end."""
    with socket.create_server((partners.ADDRESS, 0)) as mute, partners.Partners(folder, PROGRAM) as scene:
        port = mute.getsockname()[1]
        scene.fedwarden.configuration = scene.configuration(f""",
            {{ name = "mute"; domain = "mute.example"; protocol = "tls"; host = "mute.example";
               address = "{partners.ADDRESS}"; port = {port}; }}""")
        scene.start()
        scene.knot.signal(signal.SIGSTOP)  # from now on no look-up is answered either
        try:
            mute.settimeout(FAR)
            connection, _ = mute.accept()  # a walk is in the middle of its handshake
            with connection:
                assert lab.wait_until(lambda: partner(scene, "contoso"), FAR)
                ends_well(scene)
        finally:
            scene.knot.signal(signal.SIGCONT)


def test_wrong_configuration_does_not_start(folder):
    scene = partners.Partners(folder, PROGRAM)
    scene.fedwarden.configuration = scene.configuration().replace('trust = "federation"', 'trust = "federatoin"')
    with pytest.raises(lab.LabError):
        scene.fedwarden.start()
    assert scene.fedwarden.process.returncode == 1
    line = 1 + scene.fedwarden.configuration[:scene.fedwarden.configuration.index("federatoin")].count("\n")
    log = scene.fedwarden.tail()
    assert f"fedwarden.conf:{line}: defaults.trust: " in log
    assert 'Did you mean "federation"?' in log


def test_reload_adds_a_partner(scene):
    scene.wait_healthy(FAR)
    before = partner(scene, "contoso")
    index = {row["Name"]: row for row in scene.table("fedwPartnerTable")}
    scene.fedwarden.reload(scene.configuration(TAILSPIN % scene.ports["web"]))
    told = scene.fedwarden.told
    begun = told.index("RELOADING=1")
    assert told[begun + 1].startswith("MONOTONIC_USEC=") and "READY=1" in told[begun:]
    assert lab.wait_until(lambda: (partner(scene, "tailspin") or {}).get("Health") == "ok", FAR), scene.fedwarden.tail()
    after = partner(scene, "contoso")
    assert int(after["Walks"]) > int(before["Walks"]) > 0
    assert after["Health"] == "ok"
    names = [row["Name"] for row in scene.table("fedwPartnerTable")]
    assert names == list(index) + ["tailspin"], "the rows of before stay where they are"
    ends_well(scene)


def test_reload_keeps_counts_and_alarms(scene):
    scene.wait_healthy(FAR)
    scene.do("break", "port")
    raised = wait_raised(scene, "woodgrove", "tcpRefused")
    count = int(raised["fedwAlarmTotalCount"])
    received = len(scene.snmptrapd.read())
    scene.fedwarden.reload(scene.configuration(TAILSPIN % scene.ports["web"]))
    rows = scene.table("fedwAlarmTable")
    assert [(row["Id"], row["PartnerName"]) for row in rows] == [(raised["fedwAlarmId"], "woodgrove")]
    assert int(rows[0]["TotalCount"]) >= count
    scene.do("repair", "port")
    wait_cleared(scene, raised)
    again = [n for n in scene.snmptrapd.read()[received:] if n.type.endswith("Raised")]
    assert again == [], "a reload raises nothing anew"


def test_reload_says_what_needs_a_restart(scene):
    scene.fedwarden.reload(scene.configuration().replace("agent = {", "agent = { reconnect = 7;", 1))
    assert "takes effect when fedwarden is restarted" in scene.fedwarden.tail()


def test_reload_of_a_wrong_file_changes_nothing(scene):
    scene.wait_healthy(FAR)
    good = scene.configuration()
    wrong = good.replace('protocol = "https"', 'protocol = "htps"')
    scene.fedwarden.reload(wrong)
    line = 1 + wrong[:wrong.index('"htps"')].count("\n")
    assert f"fedwarden.conf:{line}: partners[1].protocol: " in scene.fedwarden.tail()
    raised = scene.snmptrapd.wait(lambda n: n.type == "fedwMonitorSelfRaised", FAR)
    assert raised and raised["fedwAlarmReason"] == "monConfigInvalid"
    assert f"fedwarden.conf:{line}: " in raised["fedwAlarmDetail"]
    walks = int(partner(scene, "fabrikam")["Walks"])
    assert lab.wait_until(lambda: int(partner(scene, "fabrikam")["Walks"]) > walks, FAR), "it goes on as before"
    scene.fedwarden.reload(good)
    wait_cleared(scene, raised)
    ends_well(scene)


def test_reload_of_a_key_that_fits_no_certificate_changes_nothing(scene):
    scene.wait_healthy(FAR)
    other = pki.self_signed(["DNS:other.example"])
    key = scene.folder / "other.key"
    key.write_bytes(other.key_pem)
    good = scene.configuration()
    wrong = re.sub(r'key = "[^"]*"', f'key = "{key}"', good, count=1)
    assert wrong != good
    scene.fedwarden.reload(wrong)
    assert "stays in force" in scene.fedwarden.tail()
    raised = scene.snmptrapd.wait(lambda n: n.type == "fedwMonitorSelfRaised", FAR)
    assert raised and raised["fedwAlarmReason"] == "monConfigInvalid"
    scene.fedwarden.reload(good)
    wait_cleared(scene, raised)


def test_alarms_through_snmpd(under_snmpd):
    scene = under_snmpd
    scene.wait_healthy(FAR)
    scene.do("break", "srv")
    raised = wait_raised(scene, "contoso", "dnsNxDomain")
    assert raised.type == "fedwDnsRaised"
    assert raised["fedwAlarmCause"] and raised["fedwAlarmResolution"]
    assert partner(scene, "contoso")["Health"] == "critical"
    assert [row["Id"] for row in scene.table("fedwAlarmTable")] == [raised["fedwAlarmId"]]
    scene.do("repair", "srv")
    wait_cleared(scene, raised)
    assert scene.table("fedwAlarmTable") == []
    ends_well(scene)


def test_snmpd_comes_back(under_snmpd):
    """Without its master it goes on; when that is back, so are the tables, and what happened meanwhile is notified."""
    scene = under_snmpd
    scene.wait_healthy(FAR)
    scene.snmpd.stop()
    scene.do("break", "port")
    assert lab.wait_until(lambda: "raised: woodgrove" in scene.fedwarden.tail(100), FAR), scene.fedwarden.tail()
    scene.snmpd.start()
    wait_raised(scene, "woodgrove", "tcpRefused")
    assert lab.wait_until(lambda: _health(scene, "woodgrove") == "critical", FAR)
    ends_well(scene)


def _health(scene, name):
    try:
        return (partner(scene, name) or {}).get("Health")
    except lab.LabError:  # snmpd answers before its subagent has come back
        return None


def test_ends_without_its_master(under_snmpd):
    scene = under_snmpd
    scene.wait_healthy(FAR)
    scene.snmpd.signal(signal.SIGSTOP)
    try:
        ends_well(scene, 3)
    finally:
        scene.snmpd.signal(signal.SIGCONT)
