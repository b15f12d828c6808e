"""A real Prometheus scrapes a real snmp_exporter with conf/prometheus: every metric is there with readable labels, an
alert fires with the reason and ends, and what the dashboard asks is answered."""
import json
import pathlib
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request

import pytest

import lab

CONF = lab.REPOSITORY / "conf" / "prometheus"
FAR = 60

INSTALLED = shutil.which("prometheus", path=lab.PATH) and shutil.which("prometheus-snmp-exporter", path=lab.PATH)

pytestmark = [pytest.mark.usefixtures("loopback"),
              pytest.mark.skipif(not INSTALLED, reason="prometheus and prometheus-snmp-exporter are not installed")]


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()
    except OSError:
        return ""


class Exporter(lab.Server):
    def __init__(self, folder):
        super().__init__(folder, "exporter", port=lab.free_port())

    def command(self):
        return ["prometheus-snmp-exporter", f"--config.file={CONF / 'fedwarden-snmp.yml'}",
                f"--web.listen-address=127.0.0.1:{self.port}"]


class Prometheus(lab.Server):
    def __init__(self, folder, targets, exporter, name="prometheus"):
        super().__init__(folder, name, port=lab.free_port())
        self.targets = targets
        self.exporter = exporter

    def prepare(self):
        """prometheus.yml as it is shipped, but quick, with these targets; alerts fire at once."""
        text = (CONF / "prometheus.yml").read_text(encoding="utf-8")
        text = text.replace("scrape_interval: 1m", "scrape_interval: 1s").replace("scrape_timeout: 20s", "scrape_timeout: 1s")
        text = text.replace('"192.0.2.1"', ", ".join(f'"{target}"' for target in self.targets))
        text = text.replace("127.0.0.1:9116", f"127.0.0.1:{self.exporter.port}")
        self.write("prometheus.yml", "global:\n  evaluation_interval: 1s\n" + text)
        rules = (CONF / "fedwarden-rules.yml").read_text(encoding="utf-8")
        self.write("fedwarden-rules.yml", re.sub(r"for: \d+m", "for: 0s", rules))

    def command(self):
        return ["prometheus", f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data",
                f"--web.listen-address=127.0.0.1:{self.port}"]

    def ready(self):
        return "Ready" in get(f"http://127.0.0.1:{self.port}/-/ready")

    def api(self, path, **values):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(values)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{values}: {error.read().decode()}") from error

    def query(self, expression):
        """[(labels, value), ...]"""
        return [(row["metric"], float(row["value"][1])) for row in self.api("query", query=expression)["result"]]

    def firing(self):
        return {(alert["labels"]["alertname"], alert["labels"].get("fedwPartnerName")): alert
                for alert in self.api("alerts")["alerts"] if alert["state"] == "firing"}


def generated_metrics():
    """Names and labels that the shipped module promises: {metric: {label, ...}}."""
    metrics, name = {}, None
    for line in (CONF / "fedwarden-snmp.yml").read_text(encoding="utf-8").splitlines():
        if line.startswith("  - name: "):
            name = line[10:] if line[10:] not in ("",) else name
            metrics[name] = set()
        elif name and line.startswith("    - labelname: "):
            metrics[name].add(line[17:])
        elif name and line.startswith("    type: EnumAsInfo"):
            metrics[name + "_info"] = metrics.pop(name) | {name}
            name += "_info"
    return metrics


@pytest.fixture
def watched(scene):
    exporter = Exporter(scene.folder)
    prometheus = Prometheus(scene.folder, [f"127.0.0.1:{scene.ports['snmp']}"], exporter)
    with lab.Lab(scene.folder) as more:
        more.add(exporter)
        more.add(prometheus)
        more.start()
        assert lab.wait_until(lambda: prometheus.query("fedwPartnerHealth"), FAR), prometheus.tail()
        yield prometheus


def test_every_metric_with_readable_labels(scene, watched):
    scene.break_port()  # so that there is a failure to count
    assert lab.wait_until(lambda: watched.query('fedwPartnerReasonCount{fedwPartnerReasonName="tcpRefused"} > 0'), FAR)
    wanted = generated_metrics()
    assert len(wanted) > 40
    for metric, labels in wanted.items():
        rows = watched.query(metric)
        assert rows, metric
        for found, _ in rows:
            assert labels <= set(found), f"{metric}: {found}"
            assert all(found[label] for label in labels), f"{metric}: {found}"
    names = {found["fedwPartnerName"] for found, _ in watched.query("fedwPartnerHealth")}
    assert names == {"contoso", "fabrikam", "woodgrove"}
    events = {found["fedwEventName"] for found, _ in watched.query("fedwEventHealth")}
    assert {"tlsOutgoing", "authSource", "dns", "monitorSelf"} <= events
    reasons = {found["fedwPartnerName"]: found["fedwPartnerReason"] for found, _ in watched.query("fedwPartnerReason_info")}
    assert reasons == {"contoso": "none", "fabrikam": "none", "woodgrove": "tcpRefused"}


def test_an_alert_fires_and_ends(scene, watched):
    assert lab.wait_until(lambda: not watched.firing(), FAR), watched.firing()
    scene.break_root()
    key = ("FedwardenPartnerFailing", "fabrikam")
    assert lab.wait_until(lambda: key in watched.firing(), FAR)
    alert = watched.firing()[key]
    assert alert["annotations"]["summary"] == "fabrikam: tlsUntrustedRoot"
    assert "fedwarden explain tlsUntrustedRoot" in alert["annotations"]["description"]
    scene.repair_root()
    assert lab.wait_until(lambda: key not in watched.firing(), FAR), watched.firing()
    scene.fedwarden.stop()
    assert lab.wait_until(lambda: ("FedwardenGone", None) in watched.firing(), FAR)


def test_the_dashboard_asks_what_is_there(scene, watched):
    scene.break_port()
    assert lab.wait_until(lambda: watched.query("fedwarden:partner_health > 1"), FAR)
    dashboard = json.loads((CONF / "fedwarden-grafana.json").read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) > 12
    for expression in expressions:
        expression = expression.replace("$instance", ".*").replace("$partner", ".*").replace("[5m]", "[1m]")
        assert lab.wait_until(lambda e=expression: watched.query(e), FAR), expression  # rates need two scrapes


def test_the_rules(folder):
    for source in (CONF / "fedwarden-rules.yml", pathlib.Path(__file__).parent / "rules-test.yml"):
        shutil.copy(source, folder)
    lab.run("promtool", "check", "rules", folder / "fedwarden-rules.yml", timeout=30)
    assert "SUCCESS" in lab.run("promtool", "test", "rules", "rules-test.yml", timeout=30, cwd=folder)
    shutil.copy(CONF / "prometheus.yml", folder)
    lab.run("promtool", "check", "config", folder / "prometheus.yml", timeout=30)


@pytest.mark.skipif(not shutil.which("prometheus-snmp-generator", path=lab.PATH), reason="there is no generator")
def test_the_module_is_what_the_mib_gives(folder):
    shutil.copy(CONF / "generator.yml", folder)
    environment = lab.environment(MIBDIRS=":".join(map(str, lab.MIB_FOLDERS)))
    lab.run("prometheus-snmp-generator", "generate", timeout=30, cwd=folder, env=environment)
    assert (folder / "snmp.yml").read_text() == (CONF / "fedwarden-snmp.yml").read_text(), \
        "run prometheus-snmp-generator again: see generator.yml"
