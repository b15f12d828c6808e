"""What Nagios and Icinga 2 write about their services: status.dat."""
import lab
import traps

FAR = 60
OK, WARNING, CRITICAL, UNKNOWN = range(4)
ROOT = ".1.3.6.1.4.1.8072.9999.9999.1"
HANDLER = lab.REPOSITORY / "conf" / "nagios" / "fedwarden-trap"


class Station(lab.Server):
    start_seconds = 30

    def services(self):
        """{description: block} of the services that have been checked."""
        found = {}
        try:
            text = (self.folder / "status.dat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return found
        for block in text.split("servicestatus {")[1:]:
            pairs = dict(line.strip().partition("=")[::2] for line in block.split("}")[0].splitlines() if "=" in line)
            if pairs.get("has_been_checked") == "1":
                found[pairs["service_description"]] = pairs
        return found

    def state(self, service):
        block = self.services().get(service)
        return int(block["current_state"]) if block else None

    def wait(self, service, state):
        """Its block as soon as it is in that state."""
        assert lab.wait_until(lambda: self.state(service) == state, FAR, 0.2), \
            f"{service}: {self.services().get(service)}\n{self.tail()}"
        return self.services()[service]


def goes_ok_critical_ok(scene, station):
    """The station's services while a root of fabrikam is not trusted."""
    with lab.Lab(scene.folder) as more:
        more.add(station).start()
        for service in ("fedwarden", "partner contoso", "partner fabrikam", "partner woodgrove", "event tlsOutgoing",
                        "event monitorSelf", "partner fabrikam tlsOutgoing", "partner contoso dns"):
            station.wait(service, OK)
        scene.break_root()
        block = station.wait("partner fabrikam", CRITICAL)
        assert "tlsUntrustedRoot" in block["plugin_output"], block
        for service in ("fedwarden", "partner fabrikam tlsOutgoing", "event tlsOutgoing"):
            station.wait(service, CRITICAL)
        assert station.state("partner contoso") == OK
        assert station.state("event dns") == OK
        scene.repair_root()
        for service in ("partner fabrikam", "partner fabrikam tlsOutgoing", "event tlsOutgoing", "fedwarden"):
            station.wait(service, OK)


def is_told_by_notifications(scene, station):
    """The station polls too rarely to see anything by itself."""
    port = lab.free_port()
    traps.send_to(scene, port)
    with lab.Lab(scene.folder) as more:
        more.add(station).start()
        more.add(traps.Handler(scene.folder, "handler", port, [f"traphandle {ROOT}.0.* {HANDLER} edge1 {station.pipe}"],
                               ["-On"])).start()
        station.wait("partner woodgrove connection", OK)
        scene.break_port()
        block = station.wait("partner woodgrove connection", CRITICAL)
        assert "answers but nothing listens on port" in block["plugin_output"], block
        assert "Resolution: " in block["plugin_output"]
        assert "tcpRefused" in station.wait("partner woodgrove", CRITICAL)["plugin_output"]
        station.wait("fedwarden", CRITICAL)
        scene.repair_port()
        assert "cleared" in station.wait("partner woodgrove connection", OK)["plugin_output"]
        station.wait("partner woodgrove", OK)
