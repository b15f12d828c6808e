"""Processor time of a TLS probe: a full handshake of TLS 1.3 with a chain of leaf and intermediate, verified against
the CAs of this system and one of ours.

Measured on one nginx for each kind of key: our probe alone (bench_tls), the daemon with many partners that are due
every second, `openssl s_time -new`, which verifies the chain but no name and records nothing, Debian's
blackbox_exporter, and check_curl, a process for each probe.
"""
import http.client
import json
import os
import re
import time

import measure  # finds lab and pki
import lab
import pki
from measure import AT_MOST, ADDRESS, CLIENT, SERVER, TIMES_LESS, MeasureError, Row

NAME = "partner.bench.example"
SYSTEM_CAS = "/etc/ssl/certs/ca-certificates.crt"
CHECK_CURL = "/usr/lib/nagios/plugins/check_curl"
KEYS = {"ec": "ECDSA P-256", "rsa": "RSA 2048"}


class Nginx(lab.Nginx):
    def command(self):
        return measure.pinned(SERVER, *super().command())


class Blackbox(lab.Server):
    """Debian's blackbox_exporter; `files` names its two ways to the CAs: a file that it reads for each probe, or the
    system's, which are made the same ones here and which it keeps."""

    def __init__(self, folder, port, ca_file):
        super().__init__(folder, "blackbox", ADDRESS, port)
        self.ca_file = ca_file
        self.connection = None

    def prepare(self):
        module = f"""    prober: tcp
    timeout: 5s
    tcp:
      tls: true
      tls_config:
        server_name: {NAME}
"""
        self.write("blackbox.yml", f"modules:\n  system:\n{module}  file:\n{module}        ca_file: {self.ca_file}\n")

    def environment(self):
        return lab.environment(GOMAXPROCS="1", SSL_CERT_FILE=self.ca_file, SSL_CERT_DIR="/nonexistent")

    def command(self):
        return measure.pinned(CLIENT, "prometheus-blackbox-exporter", f"--config.file={self.folder}/blackbox.yml",
                              f"--web.listen-address={self.address}:{self.port}", "--log.level=error")

    def probe(self, module, port):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address, self.port, timeout=10)
        self.connection.request("GET", f"/probe?module={module}&target={ADDRESS}:{port}")
        answer = self.connection.getresponse().read().decode()
        if "\nprobe_success 1\n" not in answer:
            raise MeasureError(f"blackbox_exporter with module {module} failed:\n{self.tail()}")

    def measure(self, module, port, count):
        for _ in range(5):
            self.probe(module, port)
        before = measure.cpu_of(self.pid)
        for _ in range(count):
            self.probe(module, port)
        return (measure.cpu_of(self.pid) - before) / count


class Daemon(lab.Fedwarden):
    """Partners that are due every second, each a fixed address of one server."""

    def command(self):
        return measure.pinned(CLIENT, *super().command())

    def status(self):
        told = [line for line in self.told if line.startswith("STATUS=")]
        return told[-1] if told else ""


class TlsProbes:
    title = "TLS: processor time of a probe"

    def __init__(self, folder, build, quick):
        self.folder, self.build = folder, build
        self.probes = 300 if quick else 1500
        self.seconds = 1 if quick else 2       # of s_time; the daemon is watched for one more
        self.others = 40 if quick else 150     # probes of blackbox_exporter
        self.processes = 4 if quick else 10    # of check_curl
        self.partners = 300
        self.lab = lab.Lab(folder)
        self.web = {}

    def start(self):
        root = pki.root("Bench Root")
        with open(SYSTEM_CAS, encoding="ascii") as system:
            cas = system.read()
        self.ca_file = os.path.join(self.folder, "cas.pem")
        with open(self.ca_file, "w", encoding="ascii") as file:
            file.write(cas + root.pem.decode())
        for key in KEYS:
            issuer = pki.intermediate(root, "Bench Issuing CA " + key, key=key)
            leaf = pki.leaf(issuer, ["DNS:" + NAME], key=key)
            files = pki.write(self.folder, key, leaf, [issuer])
            self.web[key] = self.lab.add(Nginx(self.folder, "web-" + key, ADDRESS, lab.free_port(), files))
        self.blackbox = self.lab.add(Blackbox(self.folder, lab.free_port(), self.ca_file))
        self.lab.start()
        for key in KEYS:
            for module in ("file", "system"):
                self.blackbox.measure(module, self.web[key].port, 20)

    def stop(self):
        self.lab.stop()

    def round(self, samples):
        for key, web in self.web.items():
            samples.add(f"tls-{key}-s_time", self.s_time(web.port))
            samples.add(f"tls-{key}-probe", self.probe(web.port))
            samples.add(f"tls-{key}-daemon", self.daemon(web.port))
            samples.add(f"tls-{key}-blackbox-file", self.blackbox.measure("file", web.port, self.others))
            samples.add(f"tls-{key}-blackbox-system", self.blackbox.measure("system", web.port, self.others))
            samples.add(f"tls-{key}-check_curl", self.check_curl(web.port))

    def s_time(self, port):
        command = ["openssl", "s_time", "-new", "-verify", "5", "-CAfile", self.ca_file]
        # what it costs before its first connection: nobody listens at a port that was only just found free
        idle = measure.run(*command, "-time", 1, "-connect", f"{ADDRESS}:{lab.free_port()}", status=1).cpu
        done = measure.run(*command, "-time", self.seconds, "-connect", f"{ADDRESS}:{port}")
        found = re.search(r"^(\d+) connections in \d+ real seconds", done.output, re.MULTILINE)
        if not found or int(found[1]) < 10 or "verify error" in done.output:
            raise MeasureError(f"openssl s_time does not connect:\n{done.output[-1500:]}")
        return (done.cpu - idle) / int(found[1])

    def probe_command(self, port, count):
        return [self.build / "tests/bench/bench_tls", ADDRESS, port, NAME, self.ca_file, count, 32]

    def probe(self, port):
        output = measure.run(*self.probe_command(port, self.probes)).output
        result = json.loads(output.splitlines()[-1])
        if result["ok"] != self.probes:
            raise MeasureError(f"bench_tls: only {result['ok']} of {self.probes} probes succeeded:\n{output[-1500:]}")
        return result["cpu_ms_per_probe"] / 1e3

    def daemon(self, port):
        partners = ",\n".join(f'    {{ name = "partner{i}"; domain = "{NAME}"; address = "{ADDRESS}"; port = {port}; }}'
                              for i in range(self.partners))
        configuration = f"""agent = {{ mode = "none"; state_dir = "state"; }};
collectors = {{ in_flight = 32; handshakes_per_second = 0; first_spread = 1; }};
trusts = ( {{ name = "bench"; ca_file = "{self.ca_file}"; }} );
defaults = {{ interval = 1; protocol = "tls"; expiry_days = 1; families = "ipv4"; }};
partners = (
{partners}
);
"""
        daemon = Daemon(self.folder, "daemon", self.build / "fedwarden", configuration)
        daemon.start()
        try:
            good = f"{self.partners} ok"
            if not lab.wait_until(lambda: good in daemon.status(), 10):
                raise MeasureError(f"the daemon does not find its partners well: {daemon.status()}\n{daemon.tail()}")
            opened, cpu = measure.connections_opened(), measure.cpu_of(daemon.pid)
            time.sleep(self.seconds + 1)
            cpu, opened = measure.cpu_of(daemon.pid) - cpu, measure.connections_opened() - opened
            if good not in daemon.status() or opened < self.partners * self.seconds / 2:
                raise MeasureError(f"the daemon made {opened} connections in {self.seconds + 1} s; {daemon.status()}\n"
                                   f"{daemon.tail()}")
            return cpu / opened
        finally:
            daemon.stop()

    def check_curl(self, port):
        total = 0
        for _ in range(self.processes):
            total += measure.run(CHECK_CURL, "-I", ADDRESS, "-H", NAME, "-p", port, "-S", "-D", "--ca-cert",
                                 self.ca_file).cpu
        return total / self.processes

    def rows(self):
        rows = []
        for key, kind in KEYS.items():
            probe, daemon = f"tls-{key}-probe", f"tls-{key}-daemon"
            rows += [
                Row(f"probe, {kind}", "ms", probe, f"tls-{key}-s_time", "openssl s_time -new", AT_MOST, 1.0),
                Row(f"probe, {kind}", "ms", probe, f"tls-{key}-blackbox-file", "blackbox_exporter, CA file", TIMES_LESS,
                    4.0),
                Row(f"probe, {kind}", "ms", probe, f"tls-{key}-blackbox-system", "blackbox_exporter, system CAs",
                    TIMES_LESS, 1.0),
                Row(f"probe, {kind}", "ms", probe, f"tls-{key}-check_curl", "check_curl -S -D", TIMES_LESS, 35.0),
                Row(f"whole daemon, {kind}", "ms", daemon, f"tls-{key}-s_time", "openssl s_time -new", AT_MOST, 1.0),
                Row(f"whole daemon, {kind}", "ms", daemon, f"tls-{key}-blackbox-file", "blackbox_exporter, CA file",
                    TIMES_LESS, 4.0),
            ]
        return rows
