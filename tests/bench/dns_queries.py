"""Processor time of a DNS query: 100 in flight, SRV and A records of one zone in turn, answered by one Knot, against
dnsperf, which sends the same messages (-e) but looks at no more of an answer than its header."""
import json
import os
import re

import measure  # finds lab
import lab
from measure import ADDRESS, AT_MOST, SERVER, MeasureError, Row

ZONE = "bench.example"
HOSTS = 10000


class Knot(lab.Knot):
    def command(self):
        return measure.pinned(SERVER, *super().command())


class DnsQueries:
    title = "DNS: processor time of a query"

    def __init__(self, folder, build, quick):
        self.build = build
        self.runs = 2 if quick else 6  # through all names
        self.names = os.path.join(folder, "names")
        records = []
        with open(self.names, "w", encoding="ascii") as names:
            for i in range(HOSTS):
                records += [(f"h{i}", "A", f"192.0.2.{i % 254 + 1}"),
                            (f"_sipfederationtls._tcp.h{i}", "SRV", f"0 0 5061 h{i}.{ZONE}.")]
                names.write(f"_sipfederationtls._tcp.h{i}.{ZONE} SRV\nh{i}.{ZONE} A\n")
        self.knot = Knot(folder, "knot", ADDRESS, lab.free_port(), {ZONE: records})

    def start(self):
        self.knot.start()

    def stop(self):
        self.knot.stop()

    def round(self, samples):
        samples.add("dns-dnsperf", self.dnsperf())
        samples.add("dns-query", self.query())

    def query(self):
        count = self.runs * 2 * HOSTS
        output = measure.run(self.build / "tests/bench/bench_dns", ADDRESS, self.knot.port, count, 100,
                             self.names).output
        result = json.loads(output.splitlines()[-1])
        if result["ok"] != count:
            raise MeasureError(f"bench_dns: only {result['ok']} of {count} queries were answered")
        return result["cpu_us_per_query"] / 1e6

    def dnsperf(self):
        done = measure.run("dnsperf", "-e", "-s", ADDRESS, "-p", self.knot.port, "-d", self.names, "-q", 100, "-c", 1,
                           "-n", self.runs)
        found = re.search(r"Queries completed: +(\d+) ", done.output)
        if not found or int(found[1]) != self.runs * 2 * HOSTS:
            raise MeasureError(f"dnsperf did not get all answers:\n{done.output[-1500:]}")
        return done.cpu / int(found[1])

    def rows(self):
        return [Row("look-up, SRV and A", "us", "dns-query", "dns-dnsperf", "dnsperf -e -q 100", AT_MOST, 1.0)]
