"""A real Zabbix 6.0 with conf/zabbix: the template is imported through the API, discovery finds the partners, a trigger
fires with guidance in its text and recovers, a notification arrives at the item of its partner."""
import json
import tempfile
import pathlib
import shutil

import pytest

import lab
import partners
import traps
import zabbix
from conftest import PROGRAM

CONF = lab.REPOSITORY / "conf" / "zabbix"
FAR = 90

pytestmark = [pytest.mark.usefixtures("loopback"),
              pytest.mark.skipif(bool(zabbix.missing()), reason=f"not installed: {zabbix.missing()}")]


class Watched:
    """The partners of the scene as a host in Zabbix."""

    def __init__(self, folder):
        self.scene = partners.Partners(folder / "scene", PROGRAM)
        self.zabbix = zabbix.Zabbix(folder / "zabbix")
        self.port = lab.free_port()
        self.hostid = None

    def start(self):
        self.scene.start()
        self.scene.wait_healthy(40)
        traps.send_to(self.scene, self.port)
        self.zabbix.start()
        server = self.zabbix.server
        self.zabbix.add(traps.Handler(server.folder, "handler", self.port, [
            f"traphandle .1.3.6.1.4.1.8072.9999.9999.1.0.* {CONF}/fedwarden-trap {server.traps}"], ["-On"])).start()
        assert self.zabbix.import_template(zabbix.quick_template(self.zabbix.folder)) is True
        api = self.zabbix.api
        template = api.call("template.get", filter={"host": "fedwarden by SNMP"}, output=["templateid"])[0]
        group = api.call("hostgroup.create", name="Edges")["groupids"][0]
        self.hostid = api.call("host.create", host="edge1", groups=[{"groupid": group}], templates=[template], interfaces=[{
            "type": 2, "main": 1, "useip": 1, "ip": "127.0.0.1", "dns": "", "port": str(self.scene.ports["snmp"]),
            "details": {"version": 2, "bulk": 1, "community": "public"}}])["hostids"][0]
        return self

    def stop(self):
        self.zabbix.stop()
        self.scene.stop()

    def items(self, **search):
        """{key: item} of the host."""
        return {item["key_"]: item for item in self.zabbix.api.call(
            "item.get", hostids=self.hostid, output=["key_", "name", "lastvalue", "state", "error", "value_type"], **search)}

    def value(self, key):
        return self.items(filter={"key_": key}).get(key, {}).get("lastvalue")

    def wait_value(self, key, value):
        assert lab.wait_until(lambda: self.value(key) == value, FAR, 0.5), \
            f"{key}: {self.items(filter={'key_': key})}\n{self.zabbix.server.tail()}"

    def problems(self):
        return {problem["name"]: problem for problem in self.zabbix.api.call(
            "problem.get", hostids=self.hostid, output=["name", "severity", "objectid", "opdata"], selectTags="extend")}


@pytest.fixture(scope="module")
def watched(loopback):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fedwarden-"))
    for part in ("scene", "zabbix"):
        (folder / part).mkdir()
    made = Watched(folder)
    try:
        yield made.start()
    finally:
        made.stop()
        shutil.rmtree(folder)


def test_discovery_finds_partners_probes_certificates_and_events(watched):
    for name in ("contoso", "fabrikam", "woodgrove"):
        watched.wait_value(f"fedwarden.partner.health[{name}]", "1")
        watched.wait_value(f"fedwarden.partner.reason[{name}]", "1")
    watched.wait_value("fedwarden.partners.ok", "3")
    watched.wait_value("fedwarden.event.health[dns]", "1")
    assert lab.wait_until(lambda: sum(k.startswith("fedwarden.probe.health") for k in watched.items()) >= 5, FAR, 0.5)
    assert lab.wait_until(lambda: any(k.startswith("fedwarden.certificate.left") and float(i["lastvalue"] or 0) > 86400
                                      for k, i in watched.items().items()), FAR, 0.5)
    wrong = {key: item["error"] for key, item in watched.items().items() if item["state"] != "0"}
    assert not wrong
    assert "well since" in watched.value("fedwarden.partner.text[contoso]")


def test_a_trigger_fires_with_guidance_and_recovers(watched):
    watched.wait_value("fedwarden.partner.health[fabrikam]", "1")
    watched.scene.break_root()

    def problem():
        return next((found for name, found in watched.problems().items()
                     if name.startswith("fedwarden: fabrikam fails: tlsUntrustedRoot (301). What to do: Decide whether to trust "
                                        "that CA; if yes install its root here")), None)

    assert lab.wait_until(problem, FAR, 0.5), watched.problems()
    found = problem()
    assert found["severity"] == "4" and {"tag": "partner", "value": "fabrikam"} in found["tags"]
    trigger = watched.zabbix.api.call("trigger.get", triggerids=found["objectid"], expandComment=True, output="extend")[0]
    for words in ("tlsUntrustedRoot", "What to do: Decide", "web@fabrikam.example", "fedwarden explain tlsUntrustedRoot"):
        assert words in trigger["comments"], trigger["comments"]
    watched.wait_value("fedwarden.health", "3")
    watched.scene.repair_root()
    assert lab.wait_until(lambda: not problem(), FAR, 0.5), watched.problems()


def test_a_notification_arrives_at_its_partner(watched):
    watched.wait_value("fedwarden.partner.health[woodgrove]", "1")
    watched.scene.break_port()

    def received(partner):
        key = f'snmptrap["\\.11\\.1\\.7\\.[0-9]+ .*\\"{partner}\\""]'
        item = watched.zabbix.api.call("item.get", hostids=watched.hostid, filter={"key_": key}, output=["itemid"])
        assert item, watched.items().keys()
        rows = watched.zabbix.api.call("history.get", history=2, itemids=item[0]["itemid"], output="extend")
        return [row["value"] for row in rows]

    assert lab.wait_until(lambda: any("nothing listens on port" in text for text in received("woodgrove")), FAR, 0.5), \
        watched.zabbix.server.traps.read_text()
    watched.scene.repair_port()
    assert lab.wait_until(lambda: len(received("woodgrove")) >= 2, FAR, 0.5)
    assert not any("woodgrove" in text for text in received("contoso"))


def test_the_graphs_and_the_dashboard_are_there(watched):
    api = watched.zabbix.api
    names = {graph["name"] for graph in api.call("graph.get", hostids=watched.hostid, output=["name"])}
    assert {"fedwarden: partners by health", "contoso: endpoints that are well", "dns: per second"} <= names or \
        "contoso: endpoints that are well" in names, names
    template = api.call("template.get", filter={"host": "fedwarden by SNMP"}, output=["templateid"])[0]["templateid"]
    boards = api.call("templatedashboard.get", templateids=template, selectPages="extend", output=["name"])
    assert boards[0]["name"] == "fedwarden: federation partners" and len(boards[0]["pages"][0]["widgets"]) == 4


def test_the_template_is_what_the_list_of_reasons_gives(folder):
    lab.run(CONF / "make-template", folder / "made")
    assert json.loads((folder / "made").read_text()) == json.loads((CONF / "fedwarden-zabbix.json").read_text()), \
        "run conf/zabbix/make-template again"
