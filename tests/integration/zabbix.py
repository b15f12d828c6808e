"""A Zabbix 6.0 of its own: PostgreSQL, server, and the frontend's API by PHP's own web server."""
import glob
import gzip
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import urllib.error
import urllib.request

import lab

SQL = pathlib.Path("/usr/share/zabbix-server-pgsql")
FRONTEND = pathlib.Path("/usr/share/zabbix")


def postgres_folder():
    return next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)), None)


def missing():
    """What a real Zabbix lacks here; "" nothing."""
    wanted = {"zabbix_server": shutil.which("zabbix_server", path=lab.PATH), "zabbix-frontend-php": FRONTEND.exists(),
              "postgresql": postgres_folder(), "php": shutil.which("php", path=lab.PATH)}
    return ", ".join(name for name, found in wanted.items() if not found)


class Postgres(lab.Server):
    """It refuses to run as root: everything is done as the user of its package. Speed goes before safety here."""

    start_seconds = 30

    def __init__(self, folder):
        super().__init__(folder, "postgres", port=lab.free_port())
        self.user = pwd.getpwnam("postgres")
        self.bin = postgres_folder()
        self.data = self.folder / "data"

    def as_user(self, *command):
        return ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups", *command]

    def prepare(self):
        for above in list(self.folder.parents)[:2]:  # those of the test
            os.chmod(above, 0o711)
        os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        lab.run(*self.as_user(f"{self.bin}/initdb", "-D", self.data, "-U", "zabbix", "-A", "trust", "-E", "UTF8", "--no-sync",
                              "--locale=C"), timeout=60)

    def command(self):
        return self.as_user(f"{self.bin}/postgres", "-D", self.data, "-k", self.folder, "-p", self.port,
                            "-h", self.address, "-c", "fsync=off", "-c", "full_page_writes=off", "-c",
                            "synchronous_commit=off", "-c", "max_connections=60")

    def ready(self):
        return lab.run(f"{self.bin}/pg_isready", "-h", self.address, "-p", self.port, check=False).strip().endswith(
            "accepting connections")

    def load(self):
        """The database as Zabbix's own files make it."""
        client = ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.address, "-p", str(self.port), "-U", "zabbix"]
        lab.run(*client, "-d", "postgres", "-c", "CREATE DATABASE zabbix")
        script = b"SET synchronous_commit=off;\n" + b"\n".join(
            gzip.decompress((SQL / f"{part}.sql.gz").read_bytes()) for part in ("schema", "images", "data"))
        done = subprocess.run([*client, "-d", "zabbix"], input=script, capture_output=True, timeout=180, check=False,
                              env=lab.environment())
        if done.returncode:
            raise lab.LabError(done.stderr.decode(errors="replace")[-2000:])


class Daemon(lab.Server):
    """What server and proxy have alike. `settings` are those of one alone."""

    start_seconds = 60
    stop_seconds = 20

    def __init__(self, folder, name, program):
        super().__init__(folder, name, port=lab.free_port())
        self.program = program

    def settings(self):
        raise NotImplementedError

    def prepare(self):
        self.write("zabbix.conf", f"""ListenIP={self.address}
ListenPort={self.port}
LogFile={self.folder}/zabbix.log
PidFile={self.folder}/zabbix.pid
SocketDir={self.folder}
AllowRoot=1
StartPollers=3
StartDiscoverers=1
StartHTTPPollers=1
CacheSize=16M
UnreachableDelay=2
UnavailableDelay=2
FpingLocation=/bin/true
{self.settings()}""")

    def command(self):
        return [self.program, "-f", "-c", self.folder / "zabbix.conf"]

    def tail(self, lines=25):
        path = self.folder / "zabbix.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else super().tail()


class ZabbixServer(Daemon):
    def __init__(self, folder, postgres):
        super().__init__(folder, "zabbix-server", "zabbix_server")
        self.postgres = postgres
        self.traps = self.folder / "traps"

    def settings(self):
        self.traps.touch()
        return f"""DBHost={self.postgres.address}
DBPort={self.postgres.port}
DBName=zabbix
DBUser=zabbix
StartTrappers=2
StartPreprocessors=1
StartDBSyncers=2
StartEscalators=1
StartAlerters=1
StartLLDProcessors=1
StartReportWriters=0
StartSNMPTrapper=1
SNMPTrapperFile={self.traps}
CacheUpdateFrequency=1
"""


class Frontend(lab.Server):
    start_seconds = 30

    def __init__(self, folder, postgres, server):
        super().__init__(folder, "frontend", port=lab.free_port())
        self.postgres = postgres
        self.server = server
        self.token = None

    def prepare(self):
        tree = self.folder / "zabbix"
        if not tree.exists():
            shutil.copytree(FRONTEND, tree, symlinks=False, ignore=shutil.ignore_patterns("audio", "fonts"))
            # Debian's frontend has the path of its configuration fixed.
            config = tree / "include" / "classes" / "core" / "CConfigFile.php"
            config.write_text(config.read_text().replace("/etc/zabbix/zabbix.conf.php", f"{self.folder}/zabbix.conf.php"))
        self.write("zabbix.conf.php", f"""<?php
$DB['TYPE'] = 'POSTGRESQL';
$DB['SERVER'] = '{self.postgres.address}';
$DB['PORT'] = '{self.postgres.port}';
$DB['DATABASE'] = 'zabbix';
$DB['USER'] = 'zabbix';
$DB['PASSWORD'] = '';
$DB['SCHEMA'] = '';
$DB['ENCRYPTION'] = false;
$DB['DOUBLE_IEEE754'] = true;
$ZBX_SERVER = '{self.server.address}';
$ZBX_SERVER_PORT = '{self.server.port}';
$ZBX_SERVER_NAME = 'test';
$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;
""")

    def command(self):
        options = {"memory_limit": "512M", "post_max_size": "32M", "max_execution_time": "300", "max_input_time": "300",
                   "date.timezone": "UTC", "session.save_path": str(self.folder)}
        return ["php", *(part for name, value in options.items() for part in ("-d", f"{name}={value}")),
                "-S", f"{self.address}:{self.port}", "-t", self.folder / "zabbix"]

    def call(self, method, **parameters):
        """One call of the JSON-RPC API, signed in; its result."""
        if self.token is None and method not in ("user.login", "apiinfo.version"):
            self.token = self.call("user.login", username="Admin", password="zabbix")
        return self._call(method, parameters)

    def call_list(self, method, parameters):
        return self._call(method, parameters)

    def _call(self, method, parameters):
        body = {"jsonrpc": "2.0", "method": method, "params": parameters, "id": 1}
        if self.token and method not in ("user.login", "apiinfo.version"):
            body["auth"] = self.token
        request = urllib.request.Request(f"http://{self.address}:{self.port}/api_jsonrpc.php", json.dumps(body).encode(),
                                         {"Content-Type": "application/json-rpc"})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            raise lab.LabError(f"{method}: {error} {error.read()[:500]}\n{self.tail()}") from error
        try:
            found = json.loads(text)
        except ValueError as error:
            raise lab.LabError(f"{method}: {text[:1000]}\n{self.tail()}") from error
        if "error" in found:
            raise lab.LabError(f"{method}: {found['error']}")
        return found["result"]


def proxy_program():
    """The proxy's package cannot be installed beside the server's: it is fetched and unpacked, once. None: it is not there
    and cannot be fetched."""
    installed = shutil.which("zabbix_proxy", path=lab.PATH)
    if installed:
        return installed
    cache = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY / "build")) / "zabbix-proxy"
    program = cache / "usr" / "sbin" / "zabbix_proxy"
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        os.chmod(cache, 0o777)  # apt-get download drops root's rights
        try:
            lab.run("apt-get", "-q", "download", "zabbix-proxy-sqlite3", cwd=cache, timeout=120)
            lab.run("dpkg", "-x", next(cache.glob("*.deb")), cache, timeout=60)
        except (lab.LabError, StopIteration):
            return None
    return program


class Proxy(Daemon):
    def __init__(self, folder, server):
        super().__init__(folder, "zabbix-proxy", proxy_program())
        self.server = server

    def settings(self):
        return f"""Server={self.server.address}:{self.server.port}
Hostname={self.name}
DBName={self.folder}/proxy.db
ConfigFrequency=2
DataSenderFrequency=1
"""


def quick_template(folder):
    """The shipped template, which asks every second."""
    text = (lab.REPOSITORY / "conf" / "zabbix" / "fedwarden-zabbix.json").read_text(encoding="utf-8")
    for shipped, quick in (('"delay": "1m"', '"delay": "1s"'), ('"delay": "10m"', '"delay": "3s"'), (",5m)=1", ",30s)=1")):
        assert shipped in text
        text = text.replace(shipped, quick)
    made = folder / "quick.json"
    made.write_text(text, encoding="utf-8")
    return made


class Zabbix(lab.Lab):
    def __init__(self, folder):
        super().__init__(folder)
        self.postgres = self.add(Postgres(folder))
        self.server = self.add(ZabbixServer(folder, self.postgres))
        self.api = self.add(Frontend(folder, self.postgres, self.server))

    def start(self):
        self.postgres.start()
        self.postgres.load()
        return super().start()

    def import_template(self, path):
        rules = {name: {"createMissing": True, "updateExisting": True} for name in (
            "templates", "items", "triggers", "discoveryRules", "graphs", "valueMaps", "templateDashboards", "groups")}
        rules["groups"] = {"createMissing": True, "updateExisting": True}
        return self.api.call("configuration.import", format="json", rules=rules,
                             source=pathlib.Path(path).read_text(encoding="utf-8"))
