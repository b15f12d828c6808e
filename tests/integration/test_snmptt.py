"""A real snmptt, called by a real snmptrapd, writes readable lines with conf/snmptt."""
import shutil

import pytest

import lab
import traps

CONF = lab.REPOSITORY / "conf" / "snmptt"
FAR = 60
INI = """[General]
mode = standalone
dns_enable = 0
net_snmp_perl_enable = 0
translate_integers = 0
[Logging]
log_enable = 1
log_file = {folder}/snmptt.log
syslog_enable = 0
syslog_system_enable = 0
unknown_trap_log_enable = 1
unknown_trap_log_file = {folder}/unknown.log
[TrapFiles]
snmptt_conf_files = <<END
{conf}/fedwarden-snmptt.conf
END
"""

pytestmark = [pytest.mark.usefixtures("loopback"),
              pytest.mark.skipif(not shutil.which("snmptt", path=lab.PATH), reason="snmptt is not installed")]


def test_lines_are_readable(scene):
    port = lab.free_port()
    traps.send_to(scene, port)
    ini = scene.folder / "snmptt.ini"
    ini.write_text(INI.format(folder=scene.folder, conf=CONF), encoding="utf-8")
    log = scene.folder / "snmptt.log"

    def line(*words):
        text = log.read_text(encoding="utf-8") if log.exists() else ""
        return next((found for found in text.splitlines() if all(word in found for word in words)), None)

    with lab.Lab(scene.folder) as more:
        more.add(traps.Handler(scene.folder, "handler", port, [f"traphandle default /usr/sbin/snmptt --ini={ini}"],
                               ["-On"])).start()
        scene.break_port()
        assert lab.wait_until(lambda: line("woodgrove", "tcpRefused"), FAR), \
            (scene.folder / "unknown.log").read_text() if (scene.folder / "unknown.log").exists() else "nothing came"
        found = line("woodgrove", "tcpRefused")
        assert ".1.3.6.1.4.1.8072.9999.9999.1.0.11" in found and "MAJOR" in found and '"Federation"' in found, found
        assert "nothing listens on port" in found and "What to do: Ask woodgrove whether its service runs at" in found, found
        scene.repair_port()
        assert lab.wait_until(lambda: line("leared", "woodgrove", "NORMAL"), FAR)
    assert not (scene.folder / "unknown.log").exists() or not (scene.folder / "unknown.log").read_text().strip()


def test_the_file_is_what_the_mib_gives(folder):
    lab.run(CONF / "make-snmptt", lab.REPOSITORY / "mibs" / "FEDWARDEN-MIB.txt", folder / "made", timeout=60,
            env=lab.environment(MIBDIRS=":".join(map(str, lab.MIB_FOLDERS))))
    assert (folder / "made").read_text() == (CONF / "fedwarden-snmptt.conf").read_text(), "run conf/snmptt/make-snmptt again"


class Shipped(traps.Handler):
    """snmptrapd with the file that is shipped."""

    def prepare(self):
        super().prepare()
        shutil.copy(lab.REPOSITORY / "conf" / "snmptrapd" / "snmptrapd.conf", self.folder)


def test_snmptrapd_as_shipped(scene):
    port = lab.free_port()
    traps.send_to(scene, port)
    with lab.Lab(scene.folder) as more:
        trapd = more.add(Shipped(scene.folder, "shipped", port, [])).start()
        received = trapd.folder / "received"
        scene.break_port()
        assert lab.wait_until(lambda: "fedwConnectionRaised" in received.read_text(), FAR), trapd.tail()
        line = next(text for text in received.read_text().splitlines() if "fedwConnectionRaised" in text)
        for words in ("fedwAlarmReason.", "= tcpRefused", "fedwAlarmPartnerName.", "woodgrove", "fedwAlarmState.", "= raised",
                      "nothing listens on port", "UDP: [127.0.0.1]"):
            assert words in line, line
