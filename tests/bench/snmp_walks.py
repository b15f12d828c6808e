"""Walks of a table of 10,000 rows and some 20 columns by a bare client (walker), all on one processor: the processes
alternate anyhow, and waking one on another processor takes longer here than answering does.

The daemon serves fedwPartnerTable of partners that it has probed once, as a subagent of snmpd and by itself; beside it
stands the same amount of table_tdata, Net-SNMP's own helper for such tables, in both roles, and snmpd's own table of
processes.
"""
import json

import measure  # finds lab
import lab
from measure import ADDRESS, AT_LEAST, AT_MOST, CLIENT, MeasureError, Row

ROWS = 10000
OURS = "1.3.6.1.4.1.8072.9999.9999.1.1.4.1"
TDATA = "1.3.6.1.4.1.8072.9999.9999.77.1"
PROCESSES = "1.3.6.1.2.1.25.4.2.1"
COLUMNS = 20


def serves(folder, port, entry):
    """Whether that table is there by now."""
    try:
        return f".{entry}." in lab.snmp(folder, "snmpgetnext", ADDRESS, port, entry, options=("-OQn",))
    except lab.LabError:
        return False


class Snmpd(lab.Snmpd):
    def command(self):
        return measure.pinned(CLIENT, *super().command())


class Daemon(lab.Fedwarden):
    """All partners refuse the connection, without an alarm, and are not probed a second time."""

    start_seconds = 30

    def __init__(self, folder, name, program, agent, snmp_port):
        closed = lab.free_port()
        partners = ",\n".join(f'{{ name = "partner{i}"; domain = "partner{i}.example"; port = {closed}; '
                              f'address = "{ADDRESS}"; contact = "noc@partner{i}.example"; }}' for i in range(ROWS))
        super().__init__(folder, name, program, f"""agent = {{ {agent} state_dir = "state"; }};
collectors = {{ first_spread = 2; confirm = 0; handshakes_per_second = 0; }};
thresholds = {{ connection = {{ count = 100000; window = 60; clear = 1; }}; }};
defaults = {{ interval = 604800; protocol = "tls"; families = "ipv4"; }};
partners = ( {partners} );
""")
        self.snmp_port = snmp_port

    def prepare(self):
        super().prepare()
        self.write("access.conf", f"rocommunity public {ADDRESS}\n")

    def command(self):
        return measure.pinned(CLIENT, *super().command())

    def start(self):
        super().start()
        done = f"STATUS={ROWS} partners: {ROWS} critical"
        if not lab.wait_until(lambda: any(line.startswith(done) for line in self.told), 30):
            raise MeasureError(f"{self.name} has not probed all its partners:\n{self.tail()}\n{self.told[-1:]}")
        if not lab.wait_until(lambda: serves(self.folder, self.snmp_port, OURS), 10):
            raise MeasureError(f"{self.name} does not serve its tables:\n{self.tail()}")
        return self


class Tdata(lab.Server):
    def __init__(self, folder, name, program, role, address, port):
        super().__init__(folder, name, ADDRESS, port)
        self.program, self.role, self.where = program, role, address

    def prepare(self):
        self.write("tdata.conf", f"rocommunity public {ADDRESS}\n")

    def environment(self):
        return lab.mib_environment(self.folder) | {"SNMPCONFPATH": str(self.folder)}

    def command(self):
        return measure.pinned(CLIENT, self.program, self.role, self.where, ROWS)

    def ready(self):
        return serves(self.folder, self.port, TDATA)


class SnmpWalks:
    title = "SNMP: walks of 10,000 rows, 50 repetitions a request"

    def __init__(self, folder, build, quick):
        self.build = build
        self.columns = (2, 7, 11, 18, 21) if not quick else (2, 7)  # over AgentX: all would take many seconds
        self.short_walks = 5 if quick else 20
        self.lab = lab.Lab(folder)
        self.snmpd = self.lab.add(Snmpd(folder, "snmpd", ADDRESS, lab.free_port()))
        self.ports = {"agentx": self.snmpd.port, "alone": lab.free_port(), "tdata": lab.free_port()}
        program, tdata = build / "fedwarden", build / "tests/bench/tdata"
        self.subagent = self.lab.add(Daemon(
            folder, "subagent", program, f'mode = "subagent"; agentx_socket = "{self.snmpd.agentx}"; reconnect = 1;',
            self.snmpd.port))
        self.lab.add(Daemon(
            folder, "standalone", program,
            f'mode = "standalone"; listen = "udp:{ADDRESS}:{self.ports["alone"]}"; access_file = "access.conf";',
            self.ports["alone"]))
        self.tdata_subagent = self.lab.add(
            Tdata(folder, "tdata-subagent", tdata, "subagent", self.snmpd.agentx, self.snmpd.port))
        self.lab.add(Tdata(folder, "tdata-standalone", tdata, "standalone", f"udp:{ADDRESS}:{self.ports['tdata']}",
                           self.ports["tdata"]))

    def start(self):
        self.lab.start()

    def stop(self):
        self.lab.stop()

    def walk(self, port, *walks):
        """Varbinds a second, and how many."""
        varbinds = seconds = 0
        for walk in walks:
            done = measure.run(self.build / "tests/bench/walker", port, *walk)
            result = json.loads(done.output)
            if result["retries"]:
                raise MeasureError(f"requests to port {port} were lost")
            varbinds += result["varbinds"]
            seconds += result["seconds"]
        return varbinds / seconds, varbinds

    def table(self, port, *walks):
        """The same of one of the large tables."""
        rate, varbinds = self.walk(port, *walks)
        columns = len(walks) if len(walks) > 1 else COLUMNS
        if varbinds < columns * ROWS:
            raise MeasureError(f"a walk at port {port} found {varbinds} instances instead of {columns * ROWS}")
        return rate, varbinds

    def agentx(self, samples, name, server, entry):
        before = measure.cpu_of(server.pid)
        rate, varbinds = self.table(self.snmpd.port, *((f"{entry}.{column}", 50) for column in self.columns))
        samples.add(f"agentx-{name}", rate)
        samples.add(f"agentx-{name}-cpu", (measure.cpu_of(server.pid) - before) / varbinds)
        samples.add(f"agentx-{name}-wide", self.table(self.snmpd.port, (entry, 50, COLUMNS))[0])

    def round(self, samples):
        self.agentx(samples, "tdata", self.tdata_subagent, TDATA)
        self.agentx(samples, "ours", self.subagent, OURS)
        samples.add("alone-tdata", self.table(self.ports["tdata"], (TDATA, 50))[0])
        samples.add("alone-ours", self.table(self.ports["alone"], (OURS, 50))[0])
        rate, varbinds = self.walk(self.snmpd.port, *([(PROCESSES, 50)] * self.short_walks))
        if not varbinds:
            raise MeasureError("snmpd shows no processes")
        samples.add("hrSWRunTable", rate)

    def rows(self):
        return [
            Row("standalone", "k/s", "alone-ours", "alone-tdata", "tdata, standalone", AT_LEAST, 2.7),
            Row("standalone", "k/s", "alone-ours", "hrSWRunTable", "hrSWRunTable of snmpd", AT_LEAST),
            Row("AgentX", "k/s", "agentx-ours", "agentx-tdata", "tdata, AgentX", AT_LEAST, 1.0),
            Row("AgentX, 20 columns a request", "k/s", "agentx-ours-wide", "agentx-tdata-wide", "tdata, AgentX",
                AT_LEAST, 1.0),
            Row("AgentX, CPU of the subagent", "us", "agentx-ours-cpu", "agentx-tdata-cpu", "tdata, AgentX", AT_MOST),
        ]
