"""A real Nagios 4 with conf/nagios goes OK, CRITICAL, OK while a partner breaks and is repaired; its services are those
that fedwarden-services writes, and a notification shows before the next poll would."""
import os
import shutil
import stat

import pytest

import lab
import status

CONF = lab.REPOSITORY / "conf" / "nagios"

pytestmark = [pytest.mark.usefixtures("loopback"),
              pytest.mark.skipif(not shutil.which("nagios4", path=lab.PATH), reason="nagios4-core is not installed")]

MAIN = """
log_file={folder}/nagios.log
cfg_file={folder}/objects.cfg
cfg_file={folder}/fedwarden.cfg
cfg_file={folder}/services.cfg
object_cache_file={folder}/objects.cache
precached_object_file={folder}/objects.precache
status_file={folder}/status.dat
status_update_interval=1
nagios_user={user}
nagios_group={user}
check_external_commands=1
command_file={folder}/nagios.cmd
lock_file={folder}/nagios.pid
temp_file={folder}/nagios.tmp
temp_path={folder}
check_result_path={folder}/results
state_retention_file={folder}/retention.dat
query_socket={folder}/nagios.qh
use_syslog=0
interval_length={interval}
service_inter_check_delay_method=n
max_service_check_spread=1
enable_notifications=0
illegal_object_name_chars=`~!$%^&*|'"<>?,()=
illegal_macro_output_chars=`~$&|'"<>
"""
OBJECTS = """
define timeperiod {{
    timeperiod_name  24x7
    alias            always
    sunday           00:00-24:00
    monday           00:00-24:00
    tuesday          00:00-24:00
    wednesday        00:00-24:00
    thursday         00:00-24:00
    friday           00:00-24:00
    saturday         00:00-24:00
}}
define contact {{
    contact_name                   nobody
    host_notification_period       24x7
    service_notification_period    24x7
    host_notification_commands     nothing
    service_notification_commands  nothing
    host_notification_options      n
    service_notification_options   n
}}
define command {{
    command_name  nothing
    command_line  /bin/true
}}
define host {{
    name                generic-host
    contacts            nobody
    max_check_attempts  1
    check_period        24x7
    register            0
}}
define service {{
    name      generic-service
    contacts  nobody
    register  0
}}
define host {{
    use         fedwarden-host,generic-host
    host_name   edge1
    address     127.0.0.1
    _COMMUNITY  public
    _SNMP_PORT  {snmp}
}}
"""


class Nagios(status.Station):
    def __init__(self, folder, snmp, interval):
        super().__init__(folder, "nagios")
        self.snmp = snmp
        self.interval = interval
        self.pipe = self.folder / "nagios.cmd"

    def prepare(self):
        (self.folder / "results").mkdir(exist_ok=True)
        shutil.copy(CONF / "fedwarden.cfg", self.folder)
        self.write("objects.cfg", OBJECTS.format(snmp=self.snmp))
        self.write("services.cfg", lab.run(CONF / "fedwarden-services", "edge1", f"127.0.0.1:{self.snmp}", "public"))
        self.write("nagios.cfg", MAIN.format(folder=self.folder, user="root", interval=self.interval))
        lab.run("nagios4", "-v", self.folder / "nagios.cfg", timeout=30)

    def command(self):
        return ["nagios4", self.folder / "nagios.cfg"]

    def ready(self):
        try:
            return stat.S_ISFIFO(os.stat(self.pipe).st_mode) and bool(self.services())
        except OSError:
            return False


def test_ok_critical_ok(scene):
    status.goes_ok_critical_ok(scene, Nagios(scene.folder, scene.ports["snmp"], 2))


def test_notifications_are_passive_results(scene):
    """Polled once in ten minutes only: what changes sooner came from snmptrapd."""
    status.is_told_by_notifications(scene, Nagios(scene.folder, scene.ports["snmp"], 600))


def test_the_plugin(scene):
    """fedwarden check --nagios as check_fedwarden_now calls it."""
    command = ["check", "-c", scene.folder / "fedwarden" / "fedwarden.conf", "--nagios", "contoso"]
    assert lab.run(scene.fedwarden.program, *command).startswith("FEDWARDEN OK")
