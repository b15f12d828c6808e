"""The history of 100,000 partners that are probed once a minute: what a second of walks costs the main thread and how
long it takes until it is stored, and how long a start takes. What is wanted is absolute, so the rows have it as their
reference: the main thread computes half as long as an SNMP answer may wait (50 ms), a second of walks is stored within
a second, and a daemon answers 5 seconds after it was started.
"""
import json
import os

import measure
from measure import AT_MOST, MeasureError, Row

WANTED = {"main": 25e-3, "stored": 1, "start": 5}  # seconds
SECONDS = 3  # of walks; the worst of them counts


class HistoryBatches:
    def __init__(self, folder, build, quick):
        self.folder = folder
        self.build = build
        self.partners = 10000 if quick else 100000
        self.title = f"History: {self.partners:,} partners on one processor"

    def start(self):
        """Nothing serves here."""

    def stop(self):
        pass

    def round(self, samples):
        try:
            output = measure.run(self.build / "tests/bench/bench_history", self.partners, self.folder,
                                 seconds=300).output
        finally:  # of one that was ended in the middle
            for name in os.listdir(self.folder):
                os.unlink(os.path.join(self.folder, name))
        cases = {case["case"]: case for case in map(json.loads, filter(lambda line: line.startswith("{"),
                                                                       output.splitlines()))}

        def worst(which, what):
            return max(cases[f"a second of walks, {i + 1}: {what}"][which] for i in range(SECONDS)) / 1e3

        try:
            samples.add("history-main", worst("cpu_ms", "main thread"))
            samples.add("history-stored", worst("ms", "stored after"))
            samples.add("history-start", sum(cases[case]["ms"] for case in (
                "open, with the check of integrity", "load", "bind")) / 1e3)
        except KeyError as missing:
            raise MeasureError(f"bench_history did not measure {missing}:\n{output[-1500:]}") from missing
        for name, value in WANTED.items():
            samples.add("history-wanted-" + name, value)

    def rows(self):
        return [Row(what, "ms", "history-" + name, "history-wanted-" + name, "wanted", AT_MOST, 1) for name, what in (
            ("main", "a second of walks, processor time of the main thread"),
            ("stored", "a second of walks, until they are stored"),
            ("start", "start: integrity, load, bind"))]
