"""Alarms as the receiver of notifications has them: raised, and cleared with the same identity."""
import contextlib
import os
import pathlib

import lab

PROGRAM = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY / "build")) / "fedwarden"
FAR = 20  # seconds for what takes one or two, so that a busy machine fails no test

VARIABLES = ["fedwAlarm" + name for name in (
    "Id", "State", "EventType", "Severity", "Reason", "PartnerName", "Target", "AddressType", "Address", "Port",
    "WindowCount", "WindowSeconds", "TotalCount", "Detail", "Cause", "Resolution")]


class Daemon(lab.Fedwarden):
    def environment(self):
        return {**super().environment(), "FEDWARDEN_PRESETS": str(lab.REPOSITORY / "conf" / "presets")}


class Watched(lab.Lab):
    """Servers, fedwarden that watches them (a standalone agent at port .ports["snmp"]), and .snmptrapd, which hears of
    its alarms. A subclass says after how many failures within how many seconds an event of the edge is one."""

    WINDOW = 2
    THRESHOLD = 3

    def __init__(self, folder):
        super().__init__(folder)
        self.ports = {name: lab.free_port() for name in ("snmp", "traps")}
        (self.folder / "snmp.conf").write_text(
            f"rocommunity public 127.0.0.1\ntrap2sink 127.0.0.1:{self.ports['traps']} public\n", encoding="ascii")
        self.snmptrapd = self.add(lab.SnmpTrapd(folder, "snmptrapd", "127.0.0.1", self.ports["traps"]))

    def add_fedwarden(self, configuration):
        return self.add(Daemon(self.folder, "fedwarden", PROGRAM, configuration, "127.0.0.1", self.ports["snmp"]))

    def count(self, event):
        """All failures of that event, as SNMP has them."""
        text = lab.snmp(self.folder, "snmptable", "127.0.0.1", self.ports["snmp"], "FEDWARDEN-MIB::fedwEventTable",
                        options=("-OU", "-Cb", "-Cf", "\t"))
        lines = [line.split("\t") for line in text.splitlines() if "\t" in line]
        rows = [dict(zip(lines[0], (cell.strip('"') for cell in line))) for line in lines[1:]]
        return next(int(row["Count"]) for row in rows if row["Name"] == event)

    def state(self):
        """For the message of an assertion."""
        return "\n".join(server.tail(30) for server in reversed(self.servers))

    def received(self, wanted, after):
        notification = self.snmptrapd.wait(wanted, FAR, after)
        assert notification, self.state()
        assert [name for name in notification if name.startswith("fedwAlarm")] == VARIABLES
        return notification

    @contextlib.contextmanager
    def raises_and_clears(self, event, reason, total=None, repair=None, **values):
        """Around what makes the failures: an alarm with that reason and those values is raised, and after `repair`
        cleared with the same identity and the total of the failures. Gives the values at the time when it was raised.
        All names of variables are without their common part."""
        after = len(self.snmptrapd.read())
        before = self.count(event)
        kind = "fedw" + event[0].upper() + event[1:]
        alarm = {}
        try:
            yield alarm
            raised = self.received(lambda n: n.type == kind + "Raised" and all(
                n["fedwAlarm" + name] == value for name, value in values.items()), after)
        finally:
            if repair:
                repair()
        alarm.update({name.removeprefix("fedwAlarm"): value for name, value in raised.items()})
        assert (alarm["State"], alarm["EventType"], alarm["Reason"]) == ("raised", event, reason)
        assert alarm["Severity"] in ("warning", "minor", "major", "critical")
        assert alarm["Cause"] and alarm["Resolution"]
        assert int(alarm["TotalCount"]) >= int(alarm["WindowCount"]) >= 1
        cleared = self.received(
            lambda n: n.type == kind + "Cleared" and n["fedwAlarmId"] == raised["fedwAlarmId"], after)
        assert cleared["fedwAlarmState"] == cleared["fedwAlarmSeverity"] == "cleared"
        for name in ("EventType", "PartnerName", "Target", "AddressType", "Address", "Reason"):
            assert cleared["fedwAlarm" + name] == alarm[name]
        assert int(cleared["fedwAlarmTotalCount"]) == self.count(event) - before, "each failure once"
        if total:
            assert int(alarm["WindowCount"]) >= self.THRESHOLD
            assert alarm["WindowSeconds"] == str(self.WINDOW)
            assert int(cleared["fedwAlarmTotalCount"]) == total
