"""Postfix as Debian has it, without installing it: the package would replace the machine's own mail transport agent.
The packages are downloaded and unpacked below the build folder, once, and run from there."""
import contextlib
import os
import pathlib
import shutil
import smtplib
import subprocess

import lab

PATIENCE = 20  # seconds for an answer
PACKAGES = ("postfix", "sasl2-bin")  # what they need beyond the system is in tests/packages.sh
# Postfix wants a user and a group that nobody else runs as; these are in every Debian and own nothing.
OWNER, GROUP = "uucp", "news"
QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace")


def unpack(folder):
    """The packages' root below `folder`, which may hold it already; LabError where they cannot be had."""
    root = pathlib.Path(folder) / "unpacked-postfix"
    if root.exists():
        return root
    work = root.with_name(f"{root.name}.{os.getpid()}")
    work.mkdir(parents=True)
    try:
        download = ("apt-get", "-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::http::Timeout=20", "download",
                    *PACKAGES)
        try:
            lab.run(*download, timeout=120, cwd=work)
        except lab.LabError:  # the lists may be absent, or name versions that the mirrors no longer have
            lab.run("apt-get", "-q", "-o", "Acquire::http::Timeout=20", "update", timeout=120)
            lab.run(*download, timeout=120, cwd=work)
        for package in work.glob("*.deb"):
            lab.run("dpkg", "-x", package, work / "root", timeout=60)
        (work / "root").rename(root)
    finally:
        shutil.rmtree(work)
    return root


class Postfix(lab.Server):
    """A mail server: it takes mail for `domain`, where alice alone is known, and offers STARTTLS. Needs root.

    listeners   {name: (port, {setting: value})}: further ports with settings of their own
    settings    {setting: value} of main.cf
    users       {name: password} of SASL PLAIN, offered where there are any
    Every path that leads to `folder` must be open to others: most of Postfix does not run as root.
    """

    def __init__(self, folder, name, address, port, files, packages, domain, listeners=None, settings=None, users=None):
        super().__init__(folder, name, address, port)
        self.files = files
        self.packages = packages
        self.domain = domain
        self.listeners = {"smtpd": (port, {}), **(listeners or {})}
        self.settings = settings or {}
        self.users = users or {}
        self.mail_log = self.folder / "mail.log"

    def prepare(self):
        self.folder.chmod(0o755)
        self.mail_log.touch()
        shutil.chown(self.mail_log, OWNER)
        self.make_folders()
        self.write("main.cf", "".join(f"{name} = {value}\n" for name, value in self.main().items()))
        self.write("master.cf", "\n".join(self.services()) + "\n")
        (self.folder / "sasl").mkdir(exist_ok=True)  # where Debian's looks, whatever cyrus_sasl_config_path says
        self.write("sasl/smtpd.conf", "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN\n"
                                      f"sasldb_path: {self.folder}/sasldb\n")
        for user, password in self.users.items():
            subprocess.run([self.packages / "usr/sbin/saslpasswd2", "-c", "-p", "-f", self.folder / "sasldb", "-u",
                            self.domain, user], input=password.encode(), check=True, timeout=PATIENCE,
                           env=lab.environment())
            shutil.chown(self.folder / "sasldb", OWNER)

    def make_folders(self):
        queue = self.folder / "queue"
        for directory in ("data", *(f"queue/{name}" for name in QUEUES)):
            (self.folder / directory).mkdir(parents=True, exist_ok=True)
            shutil.chown(self.folder / directory, OWNER)
            (self.folder / directory).chmod(0o700)
        for directory, mode in (("public", 0o710), ("maildrop", 0o1730), ("pid", 0o755)):
            (queue / directory).mkdir(exist_ok=True)
            shutil.chown(queue / directory, "root" if directory == "pid" else OWNER, GROUP)
            (queue / directory).chmod(mode)

    def main(self):
        programs, libraries = self.packages / "usr", self.packages / "usr/lib/postfix"
        return {
            "compatibility_level": "3.6",
            "queue_directory": self.folder / "queue", "data_directory": self.folder / "data",
            "daemon_directory": libraries / "sbin", "command_directory": programs / "sbin",
            "shlib_directory": libraries,
            "import_environment": "MAIL_CONFIG MAIL_LOGTAG POSTLOG_SERVICE POSTLOG_HOSTNAME "
                                  f"LD_LIBRARY_PATH={libraries}",
            "mail_owner": OWNER, "setgid_group": GROUP,
            "maillog_file": self.mail_log, "maillog_file_prefixes": self.folder,
            "inet_interfaces": self.address, "inet_protocols": "ipv4", "smtp_bind_address": self.address,
            "smtpd_peername_lookup": "no", "myhostname": f"mx.{self.domain}",
            "mydestination": "", "alias_maps": "", "local_recipient_maps": "",
            "virtual_mailbox_domains": self.domain, "virtual_transport": "discard",
            "virtual_mailbox_maps": f"inline:{{ {{ alice@{self.domain} = x }} }}",
            "smtpd_tls_security_level": "may", "smtpd_tls_loglevel": "1", "smtp_tls_loglevel": "1",
            "smtpd_tls_chain_files": f"{self.files.key}, {self.files.cert}", "tls_append_default_CA": "no",
            "smtpd_sasl_auth_enable": "yes" if self.users else "no", "smtpd_sasl_local_domain": self.domain,
            **self.settings}

    def services(self):
        """The rows of master.cf."""
        for name, (port, own) in self.listeners.items():
            yield (f"{self.address}:{port} inet n - n - - smtpd -o syslog_name=postfix/{name}" +
                   "".join(f" -o {setting}={value}" for setting, value in own.items()))
        yield from (f"{name} unix {private} - n {wakeup} {limit} {program}"
                    for name, private, wakeup, limit, program in (
                        ("cleanup", "n", "-", 0, "cleanup"), ("qmgr", "n", 300, 1, "qmgr"),
                        ("tlsmgr", "-", "1000?", 1, "tlsmgr"), ("rewrite", "-", "-", "-", "trivial-rewrite"),
                        ("bounce", "-", "-", 0, "bounce"), ("defer", "-", "-", 0, "bounce"),
                        ("trace", "-", "-", 0, "bounce"), ("smtp", "-", "-", "-", "smtp"),
                        ("error", "-", "-", "-", "error"), ("retry", "-", "-", "-", "error"),
                        ("discard", "-", "-", "-", "discard"), ("anvil", "-", "-", 1, "anvil"),
                        ("scache", "-", "-", 1, "scache"), ("proxymap", "-", "-", "-", "proxymap")))
        yield "postlog unix-dgram n - n - 1 postlogd"

    def command(self):
        return [self.packages / "usr/lib/postfix/sbin/master", "-d", "-c", self.folder]

    def environment(self):
        return lab.environment(LD_LIBRARY_PATH=str(self.packages / "usr/lib/postfix"))

    def ready(self):
        """Whether each listener greets: master listens long before smtpd can answer."""
        try:
            for port, _ in self.listeners.values():
                with smtplib.SMTP(self.address, port, "client.example", 2):
                    pass
            return True
        except (OSError, smtplib.SMTPException):
            return False

    def tail(self, lines=15):
        with contextlib.suppress(OSError):
            return super().tail(lines) + "\n".join(
                self.mail_log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        return super().tail(lines)

    def client(self, source, listener="smtpd"):
        """A client that sends from that address; to be closed by `with`."""
        return smtplib.SMTP(self.address, self.listeners[listener][0], "client.example", PATIENCE, (source, 0))
