"""A real Icinga 2 with conf/icinga2 goes OK, CRITICAL, OK while a partner breaks and is repaired."""
import os
import shutil
import stat

import pytest

import lab
import status

CONF = lab.REPOSITORY / "conf" / "icinga2"

pytestmark = [pytest.mark.usefixtures("loopback"),
              pytest.mark.skipif(not shutil.which("icinga2", path=lab.PATH), reason="icinga2-bin is not installed")]

MAIN = """
const PluginDir = "/usr/lib/nagios/plugins"
const NodeName = "monitor"
const ZoneName = "monitor"
include <itl>
include <plugins>
object IcingaApplication "app" {{}}
object Endpoint NodeName {{}}
object Zone ZoneName {{ endpoints = [ NodeName ] }}
object CheckerComponent "checker" {{}}
object FileLogger "log" {{ severity = "information", path = "{folder}/icinga2.log" }}
object ExternalCommandListener "command" {{ command_path = "{folder}/icinga2.cmd" }}
object StatusDataWriter "status" {{
  status_path = "{folder}/status.dat"
  objects_path = "{folder}/objects.cache"
  update_interval = 0.3s
}}
template Host "generic-host" {{
  max_check_attempts = 1
  check_interval = 1h
  check_command = "dummy"
}}
include "{conf}/fedwarden.conf"
include "{folder}/partners.conf"
object Host "edge1" {{
  import "generic-host"
  import "edge1-partners"
  address = "127.0.0.1"
  vars.fedwarden_port = {snmp}
}}
"""


class Icinga2(status.Station):
    def __init__(self, folder, snmp, interval):
        super().__init__(folder, "icinga2")
        self.snmp = snmp
        self.interval = interval
        self.pipe = self.folder / "icinga2.cmd"

    def prepare(self):
        for name in ("run", "data", "cache", "spool"):
            (self.folder / name).mkdir(exist_ok=True)
        self.write("partners.conf", lab.run(CONF / "fedwarden-partners", "edge1-partners", f"127.0.0.1:{self.snmp}"))
        shipped = (CONF / "fedwarden.conf").read_text(encoding="utf-8").replace("_interval = 1m", f"_interval = {self.interval}s")
        self.write("fedwarden.conf", shipped)
        self.write("icinga2.conf", MAIN.format(folder=self.folder, conf=self.folder, snmp=self.snmp))
        lab.run(*self.arguments(), "-C", timeout=60)

    def arguments(self):
        defines = {"RunAsUser": "root", "RunAsGroup": "root", "DataDir": self.folder / "data", "LogDir": self.folder,
                   "CacheDir": self.folder / "cache", "SpoolDir": self.folder / "spool", "InitRunDir": self.folder / "run",
                   "ConfigDir": self.folder, "PidPath": self.folder / "run" / "pid", "VarsPath": self.folder / "vars",
                   "StatePath": self.folder / "state", "ModAttrPath": self.folder / "modified"}
        return ["icinga2", "daemon", "-c", self.folder / "icinga2.conf",
                *(f"-DConfiguration.{name}={value}" for name, value in defines.items())]

    def command(self):
        return self.arguments()

    def ready(self):
        try:
            return stat.S_ISFIFO(os.stat(self.pipe).st_mode) and bool(self.services())
        except OSError:
            return False


def test_ok_critical_ok(scene):
    status.goes_ok_critical_ok(scene, Icinga2(scene.folder, scene.ports["snmp"], 2))


def test_notifications_are_passive_results(scene):
    """Polled once in ten minutes only: what changes sooner came from snmptrapd."""
    status.is_told_by_notifications(scene, Icinga2(scene.folder, scene.ports["snmp"], 600))
