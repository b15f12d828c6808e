"""Three agents with one file of partners under one Prometheus, and under one Zabbix proxy: each partner is probed by the
agent whose share it is in, and the share of an agent that is gone is taken over by changing one setting."""
import collections

import pytest

import lab
import test_prometheus
import zabbix
from agents import NAMES, Agents
from conftest import PROGRAM

FAR = 90

pytestmark = pytest.mark.usefixtures("loopback")


@pytest.fixture
def agents(folder):
    (folder / "scene").mkdir()
    with Agents(folder, PROGRAM) as made:
        yield made.start()


@pytest.mark.skipif(not test_prometheus.INSTALLED, reason="prometheus and prometheus-snmp-exporter are not installed")
def test_under_one_prometheus(agents):
    exporter = test_prometheus.Exporter(agents.folder)
    prometheus = test_prometheus.Prometheus(agents.folder, [f"127.0.0.1:{agent.port}" for agent in agents.agents], exporter)
    with lab.Lab(agents.folder) as more:
        more.add(exporter)
        more.add(prometheus)
        more.start()

        def watchers():
            """{partner: the agents that have it and found it well}"""
            found = collections.defaultdict(set)
            for labels, value in prometheus.query("fedwPartnerHealth"):
                if value == 1 and "fedwPartnerName" in labels:  # a scrape may fall into a reload
                    found[labels["fedwPartnerName"]].add(int(labels["instance"].rpartition(":")[2]))
            return found

        def each_by_one():
            return set(watchers()) == set(NAMES) and all(len(who) == 1 for who in watchers().values())

        assert lab.wait_until(each_by_one, FAR, 0.3), watchers()
        ports = [agent.port for agent in agents.agents]
        before = {name: who.copy().pop() for name, who in watchers().items()}
        assert set(before.values()) == set(ports), "each agent has some"
        first, second, third = agents.agents

        third.stop()

        def gone():
            alert = prometheus.firing().get(("FedwardenGone", None))
            return alert if alert and alert["labels"].get("instance") == f"127.0.0.1:{third.port}" else None

        alert = lab.wait_until(gone, FAR, 0.3)
        assert alert and "take over" in alert["annotations"]["description"], prometheus.firing()
        lost = {name for name, port in before.items() if port == third.port}
        assert lab.wait_until(lambda: set(watchers()) == set(NAMES) - lost, FAR, 0.3), watchers()

        agents.take_over(second, "2,3/3")
        assert lab.wait_until(each_by_one, FAR, 0.3), watchers()
        after = {name: who.copy().pop() for name, who in watchers().items()}
        for name, port in before.items():
            assert after[name] == (second.port if name in lost else port), f"{name} moved"


@pytest.mark.skipif(bool(zabbix.missing()) or not zabbix.proxy_program(), reason="there is no Zabbix with a proxy")
def test_under_one_zabbix_proxy(agents):
    folder = agents.folder / "station"
    folder.mkdir()
    with zabbix.Zabbix(folder) as station:
        station.start()
        station.import_template(zabbix.quick_template(folder))
        api = station.api
        proxy = station.add(zabbix.Proxy(folder, station.server))
        proxyid = api.call("proxy.create", host=proxy.name, status=5)["proxyids"][0]
        proxy.start()
        group = api.call("hostgroup.create", name="Edges")["groupids"][0]
        template = api.call("template.get", filter={"host": "fedwarden by SNMP"}, output=["templateid"])[0]
        hosts = {agent.name: api.call("host.create", host=agent.name, proxy_hostid=proxyid, groups=[{"groupid": group}],
                                      templates=[template], interfaces=[{
                                          "type": 2, "main": 1, "useip": 1, "ip": "127.0.0.1", "dns": "",
                                          "port": str(agent.port), "details": {"version": 2, "bulk": 1, "community": "public"}}]
                                      )["hostids"][0] for agent in agents.agents}

        def watchers():
            found = collections.defaultdict(set)
            for name, hostid in hosts.items():
                for item in api.call("item.get", hostids=hostid, search={"key_": "fedwarden.partner.health["},
                                     output=["key_", "lastvalue", "state"]):
                    if item["lastvalue"] == "1" and item["state"] == "0":
                        found[item["key_"].partition("[")[2].rstrip("]")].add(name)
            return found

        def each_by_one():
            return set(watchers()) == set(NAMES) and all(len(who) == 1 for who in watchers().values())

        assert lab.wait_until(each_by_one, FAR, 0.5), f"{dict(watchers())}\n{proxy.tail()}"
        first, second, third = agents.agents
        lost = {name for name, who in watchers().items() if who == {third.name}}
        assert lost
        third.stop()

        def gone():
            return [found for found in api.call("problem.get", hostids=hosts[third.name], output=["name"])
                    if found["name"] == "fedwarden does not answer"]

        assert lab.wait_until(gone, FAR, 0.5), proxy.tail()
        agents.take_over(second, "2,3/3")
        assert lab.wait_until(lambda: all(second.name in watchers()[name] for name in lost), FAR, 0.5), watchers()
