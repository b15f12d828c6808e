"""Instructions of a TLS probe in user space, counted by Valgrind: the same on a busy machine as on a quiet one, unlike
times. Start-up is taken out by the difference of a small and a larger run."""
import re

import measure
from measure import ADDRESS, AT_MOST, MeasureError, Row

FEW, MANY = 10, 40


def counted(*command):
    """Instructions of a command, and what it wrote."""
    output = measure.run("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", *command,
                         seconds=120).output
    found = re.search(r"I +refs: +([\d,]+)", output)
    if not found:
        raise MeasureError(f"valgrind counts nothing:\n{output[-1500:]}")
    return int(found[1].replace(",", "")), output


class Instructions:
    """Of one round only: they hardly vary. `probes` is the TlsProbes that runs the server."""

    title = "TLS: instructions of a probe (user space, one round)"

    def __init__(self, probes, quick):
        self.probes = probes
        self.seconds = (1, 3) if quick else (2, 7)
        self.measured = False

    def start(self):
        pass

    def stop(self):
        pass

    def round(self, samples):
        if self.measured:
            return
        self.measured = True
        port = self.probes.web["ec"].port
        few, _ = counted(*self.probes.probe_command(port, FEW))
        many, _ = counted(*self.probes.probe_command(port, MANY))
        samples.add("instructions-probe", (many - few) / (MANY - FEW))
        samples.add("instructions-s_time", self.s_time(port))

    def s_time(self, port):
        runs = []
        for seconds in self.seconds:
            instructions, output = counted("openssl", "s_time", "-new", "-verify", "5", "-CAfile", self.probes.ca_file,
                                           "-time", seconds, "-connect", f"{ADDRESS}:{port}")
            found = re.search(r"^(\d+) connections in \d+ real seconds", output, re.MULTILINE)
            if not found:
                raise MeasureError(f"openssl s_time does not connect:\n{output[-1500:]}")
            runs.append((instructions, int(found[1])))
        (less, fewer), (more, many) = runs
        if many <= fewer:
            raise MeasureError(f"openssl s_time made {fewer} and {many} connections: too busy a machine")
        return (more - less) / (many - fewer)

    def rows(self):
        return [Row("probe, ECDSA P-256", "M", "instructions-probe", "instructions-s_time", "openssl s_time -new",
                    AT_MOST, 1.1)]
