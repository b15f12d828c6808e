"""A real Icinga 2 with conf/icinga2 goes OK, CRITICAL, OK while a partner breaks and is repaired."""
import os
import shutil
import stat

import pytest

import lab
import status
import traps

CONF = lab.REPOSITORY / "conf" / "icinga2"
OK, WARNING, CRITICAL, UNKNOWN = range(4)

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
    with lab.Lab(scene.folder) as more:
        icinga = more.add(Icinga2(scene.folder, scene.ports["snmp"], 2))
        icinga.start()
        for service in ("fedwarden", "partner contoso", "partner fabrikam", "event tlsOutgoing", "partner contoso dns"):
            icinga.wait(service, OK)
        scene.break_root()
        assert "tlsUntrustedRoot" in icinga.wait("partner fabrikam", CRITICAL)["plugin_output"]
        for service in ("fedwarden", "partner fabrikam tlsOutgoing", "event tlsOutgoing"):
            icinga.wait(service, CRITICAL)
        assert icinga.state("partner contoso") == OK
        scene.repair_root()
        for service in ("partner fabrikam", "partner fabrikam tlsOutgoing", "event tlsOutgoing", "fedwarden"):
            icinga.wait(service, OK)


def test_notifications_are_passive_results(scene):
    port = lab.free_port()
    traps.send_to(scene, port)
    with lab.Lab(scene.folder) as more:
        icinga = more.add(Icinga2(scene.folder, scene.ports["snmp"], 600))
        icinga.start()
        handler = lab.REPOSITORY / "conf" / "nagios" / "fedwarden-trap"
        more.add(traps.Handler(scene.folder, "handler", port, [
            f"traphandle .1.3.6.1.4.1.8072.9999.9999.1.0.* {handler} edge1 {icinga.pipe}"], ["-On"])).start()
        icinga.wait("partner woodgrove connection", OK)
        scene.break_port()
        assert "Resolution: " in icinga.wait("partner woodgrove connection", CRITICAL)["plugin_output"]
        assert "tcpRefused" in icinga.wait("partner woodgrove", CRITICAL)["plugin_output"]
        scene.repair_port()
        assert "cleared" in icinga.wait("partner woodgrove connection", OK)["plugin_output"]
