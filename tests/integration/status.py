"""What Nagios and Icinga 2 write about their services: status.dat."""
import lab

FAR = 60


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
