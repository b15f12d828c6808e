"""Log lines through the rules, on one thread: rates beside pcre2grep and grep -P over the same file, and the worst line
that an attacker can make. What is wanted is absolute here, so those rows have it as their reference."""
import json

import measure
from measure import AT_LEAST, AT_MOST, MeasureError, Row

import lab

PRESETS = ("kamailio", "postfix", "prosody", "dovecot")
PROGRAMS = {"pcre2grep": "pcre2grep -c, 8-way alternation", "grep": "grep -cP, 8-way alternation"}
WANTED = {"one": 300e6, "all": 150e6, "counting": 200e3, "worst": 5e-3}  # octets/s, octets/s, lines/s, seconds


class LogRules:
    title = "Rules: log lines on one thread, 1 in 1,000 counts"

    def __init__(self, folder, build, quick):
        self.folder = folder
        self.build = build
        self.size = 64 if quick else 256  # MB

    def start(self):
        """Nothing serves here."""

    def stop(self):
        pass

    def round(self, samples):
        output = measure.run(self.build / "tests/bench/bench_rule", "--size", self.size, "--folder", self.folder,
                             "--presets", lab.REPOSITORY / "conf/presets", seconds=300).output
        cases = {row["case"]: row for row in map(json.loads, filter(lambda line: line.startswith("{"),
                                                                    output.splitlines()))}
        try:
            for name in PRESETS:
                samples.add("rule-" + name, cases[f"one preset, {name}"]["mb_per_s"] * 1e6)
            samples.add("rule-all", cases["all presets"]["mb_per_s"] * 1e6)
            for name, case in PROGRAMS.items():
                samples.add("rule-" + name, cases[case]["mb_per_s"] * 1e6)
            counting = cases["all presets, every line counts"]
            samples.add("rule-counting", counting["events"] / counting["seconds"])
            samples.add("rule-worst", cases["hostile lines, all presets"]["worst_us"] / 1e6)
        except KeyError as missing:
            raise MeasureError(f"bench_rule did not measure {missing}:\n{output[-1500:]}") from missing
        for name, value in WANTED.items():
            samples.add("rule-wanted-" + name, value)

    def rows(self):
        rows = [Row(f"preset {name}", "MB/s", "rule-" + name, "rule-wanted-one", "wanted", AT_LEAST, 1)
                for name in PRESETS]
        rows.append(Row("all presets", "MB/s", "rule-all", "rule-wanted-all", "wanted", AT_LEAST, 1))
        rows += [Row("all presets", "MB/s", "rule-all", "rule-" + program, PROGRAMS[program], AT_LEAST)
                 for program in PROGRAMS]
        rows.append(Row("lines that count", "k/s", "rule-counting", "rule-wanted-counting", "wanted", AT_LEAST, 1))
        rows.append(Row("worst hostile line, 16 KiB", "ms", "rule-worst", "rule-wanted-worst", "wanted", AT_MOST, 1))
        return rows
