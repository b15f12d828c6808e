"""The demonstration: builds fedwarden, starts partners and an edge, breaks and repairs four things, misuses the edge in
three ways, and shows the notifications."""
import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import partners  # noqa: E402
from partners import lab  # noqa: E402

TOP = lab.REPOSITORY
SOURCES = ("agent", "include", "mibs", "conf", "tests", "autogen.sh", "configure.ac", "Makefile.am")
PATIENCE = 30  # seconds for a notification


class Ended(Exception):
    """By a signal."""


class Screen:
    """Lines for a person: at most 110 columns, colours on a terminal only."""

    def __init__(self):
        self.colour = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and "NO_COLOR" not in os.environ
        self.width = min(max(shutil.get_terminal_size((100, 24)).columns, 60), 110)

    def paint(self, text, code):
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def bold(self, text):
        return self.paint(text, "1")

    def dim(self, text):
        return self.paint(text, "2")

    def red(self, text):
        return self.paint(text, "1;31")

    def green(self, text):
        return self.paint(text, "1;32")

    @staticmethod
    def line(text=""):
        print(text, flush=True)

    def say(self, text, indent=4):
        """A sentence, wrapped."""
        self.line(textwrap.fill(text, self.width, initial_indent=" " * indent, subsequent_indent=" " * indent))

    def step(self, label, text):
        self.item(label, text, 4, 10)

    def item(self, label, text, indent=14, width=12):
        lead = " " * indent + label.ljust(width)
        self.line(textwrap.fill(text, self.width, initial_indent=lead, subsequent_indent=" " * len(lead)))

    def head(self, text):
        self.line()
        self.line(self.bold(text))

    def table(self, rows, indent=4, paint=None):
        """Rows of texts, the first one the names of the columns."""
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for number, row in enumerate(rows):
            cells = []
            for i, text in enumerate(row):
                cell = text.ljust(widths[i])
                if number == 0:
                    cell = self.dim(cell)
                elif paint:
                    cell = paint(text, cell)
                cells.append(cell)
            self.line(" " * indent + "  ".join(cells).rstrip())

    def health(self, text, cell):
        if text in ("ok", "raised and cleared"):
            return self.green(cell)
        if text in ("critical", "major", "warning", "FAILED"):
            return self.red(cell)
        return cell


def build(folder, screen):
    """Compiles the sources in a copy, so that the checkout stays as it is. Returns the program."""
    source, log = folder / "source", folder / "build.log"
    ignored = shutil.ignore_patterns("__pycache__", "*.o", "*.a", ".deps", ".dirstamp", "autom4te.cache")
    source.mkdir()
    for name in SOURCES:
        if (TOP / name).is_dir():
            shutil.copytree(TOP / name, source / name, ignore=ignored)
        else:
            shutil.copy2(TOP / name, source / name)
    (folder / "build").mkdir()
    start = time.monotonic()
    with open(log, "wb") as out:
        for command, where in (("./autogen.sh", source), ("../source/configure -q CFLAGS=-O1", folder / "build"),
                               (f"make -s -j{os.cpu_count() or 1} fedwarden", folder / "build")):
            process = subprocess.Popen(command.split(), cwd=where, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       start_new_session=True)
            try:
                status = process.wait()
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGTERM)
                    process.wait()
            if status != 0:
                tail = log.read_text(errors="replace").splitlines()[-25:]
                raise lab.LabError(f"{command} ended with status {status}:\n" + "\n".join(tail))
    screen.item("build", f"fedwarden from this source, {time.monotonic() - start:.0f} s", 4)
    return folder / "build" / "fedwarden"


def show_table(scene, screen, name, columns):
    """Some columns of a table of the agent, and how to see all of them."""
    rows = scene.table(name)
    screen.line()
    screen.line("    " + screen.dim(f"$ snmptable ... {partners.ADDRESS}:{scene.ports['snmp']} FEDWARDEN-MIB::{name}"
                                    f"   ({len(columns)} of {len(rows[0]) if rows else 0} columns)"))
    if not rows:
        screen.line("    no rows")
        return
    missing = [column for column in columns if column not in rows[0]]
    if missing:
        raise lab.LabError(f"{name} has no column {', '.join(missing)}: {', '.join(rows[0])}")
    screen.table([columns] + [[row[column] for column in columns] for row in rows], paint=screen.health)


def start(scene, screen):
    what = {
        "knot": "DNS server with the zones of three partners",
        "kamailio": "SIP proxy of contoso, found by SRV; mutual TLS",
        "nginx": "web server of fabrikam",
        "s_server": "TLS server of woodgrove, mutual TLS",
        "edge": "our own SIP proxy, whose log is read",
        "snmptrapd": "receiver of notifications",
        "fedwarden": "watches the three, every second; serves SNMP by itself",
    }
    for server in scene.servers:
        server.start()
        screen.item(server.name, f"{what[server.name]:56} {partners.ADDRESS}:{server.port}", 4)
    seconds = scene.wait_healthy()
    screen.say(f"All three partners are ok, {seconds:.1f} s after the start.")


def show_notification(screen, notification, when):
    def value(name):
        return notification.get("fedwAlarm" + name, "?")
    screen.line(f"    {when:10}{screen.red(notification.type)}, received by snmptrapd")
    screen.item("partner", value("PartnerName") or "none that is known")
    screen.item("reason", f"{value('Reason')}, {value('Severity')}, {value('WindowCount')} times within "
                          f"{value('WindowSeconds')} s")
    target = value("Target")
    if value("AddressType") != "unknown" and value("Address") != target:
        target += f", {value('Address')}"
    if value("Port") != "0":
        target += f" port {value('Port')}"
    screen.item("target", target)
    for label in ("Detail", "Cause", "Resolution"):
        screen.item(label.lower(), value(label))


def about(thing, notification, ending):
    return notification.type.endswith(ending) and notification.get("fedwAlarmPartnerName") == thing.partner


def play(scene, screen, number, thing, labels=("broken", "repaired")):
    """Breaks and repairs one thing. Returns a row of the summary and whether all was as it must be."""
    screen.head(f"{number}  {thing.title}")
    seen = len(scene.snmptrapd.read())
    screen.step(labels[0], scene.do("break", thing.name))
    began = time.monotonic()
    raised = scene.snmptrapd.wait(lambda n: about(thing, n, "Raised"), PATIENCE, seen)
    row = [thing.title, "nothing", "-", "-", "FAILED"]
    if raised:
        row[1:3] = raised.get("fedwAlarmReason", "?"), f"{raised.time - began:.1f} s"
        show_notification(screen, raised, f"{raised.time - began:4.1f} s")
        if number == 1:
            show_table(scene, screen, "fedwAlarmTable", ["Id", "PartnerName", "Reason", "Severity", "Actor", "Contact"])
            show_table(scene, screen, "fedwPartnerTable", ["Name", "Health", "Reason", "Actor", "SinceSeconds"])
            screen.line()
    else:
        screen.say(screen.red(f"No notification within {PATIENCE} s."))
    screen.step(labels[1], scene.do("repair", thing.name))
    if not raised:
        return row, False
    began = time.monotonic()
    identity = raised.get("fedwAlarmId")
    cleared = scene.snmptrapd.wait(lambda n: about(thing, n, "Cleared") and n.get("fedwAlarmId") == identity,
                                   PATIENCE, seen)
    if not cleared:
        screen.say(screen.red(f"Alarm {identity} did not clear within {PATIENCE} s."))
        return row, False
    screen.line(f"    {cleared.time - began:4.1f} s    {screen.green(cleared.type)}, alarm {identity}")
    row[3] = f"{cleared.time - began:.1f} s"
    right = raised.get("fedwAlarmReason") == thing.reason
    if right:
        row[4] = "raised and cleared"
    else:
        screen.say(screen.red(f"The reason should be {thing.reason}."))
    return row, right


def show_log(scene, screen, thing):
    for server in (scene.fedwarden, scene.server(thing.server)):
        screen.line()
        screen.line(screen.dim(f"--- the end of the log of {server.name} ---"))
        screen.line(server.tail())


def demonstrate(scene, screen):
    show_table(scene, screen, "fedwPartnerTable",
               ["Name", "Domain", "Protocol", "Health", "Endpoints", "CertSecondsLeft", "Interval"])
    show_table(scene, screen, "fedwProbeTable",
               ["PartnerName", "Kind", "Target", "Port", "Health", "TlsVersion"])
    show_table(scene, screen, "fedwCertificateTable", ["PartnerName", "Depth", "Subject", "SecondsLeft"])
    rows, good = [], True
    for number, thing in enumerate(partners.BREAKS + partners.ATTACKS, 1):
        labels = ("attack", "over") if thing in partners.ATTACKS else ("broken", "repaired")
        row, right = play(scene, screen, number, thing, labels)
        rows.append(row)
        if not right:
            good = False
            show_log(scene, screen, thing)
    screen.head("What was counted")
    show_table(scene, screen, "fedwPartnerReasonTable", ["PartnerName", "Name", "Count", "LastAgeSeconds"])
    show_table(scene, screen, "fedwEventTable", ["Name", "Count"])
    screen.head("Summary")
    screen.table([["what happened", "reported reason", "raised after", "cleared after", ""]] + rows, paint=screen.health)
    return good


def keep(scene, screen):
    """Says how to go on by hand."""
    play_file = scene.folder / "play"
    play_file.write_text("#!/bin/sh\n# Goes on with the demonstration: see play --help.\n"
                         f"exec /usr/bin/python3 -B '{TOP}/tests/demo/demo.py' --folder '{scene.folder}' \"$@\"\n",
                         encoding="utf-8")
    play_file.chmod(0o700)
    names = "|".join(thing.name for thing in partners.BREAKS)
    attacks = "|".join(thing.name for thing in partners.ATTACKS)
    mibs = ":".join(map(str, lab.MIB_FOLDERS))
    screen.head("It stays up")
    for label, text in (
            ("look", f"snmpwalk -v2c -c public -M {mibs} -m FEDWARDEN-MIB {partners.ADDRESS}:{scene.ports['snmp']} "
                     "fedwMIB"),
            ("", "snmptable with the same options, and fedwPartnerTable, fedwAlarmTable, fedwProbeTable, "
                 "fedwCertificateTable, fedwReasonTable"),
            ("check", f"{scene.fedwarden.program} check -c {scene.fedwarden.conf}"),
            ("status", f"{scene.fedwarden.program} status -c {scene.fedwarden.conf}; history, and report --html FILE, likewise"),
            ("watch", f"{play_file} watch            notifications as they come, until Ctrl-C"),
            ("break", f"{play_file} break {names}"),
            ("repair", f"{play_file} repair {names}"),
            ("attack", f"{play_file} break {attacks}"),
            ("files", f"{scene.folder}: a folder per server with its configuration and log"),
            ("end", f"{play_file} end              ends all servers and removes the folder")):
        screen.line(f"    {label:8}{text}")


def watch(scene, screen):
    scene.snmptrapd.read()
    shown = len(scene.snmptrapd.notifications)
    while scene.snmptrapd.pid:
        lab.wait_until(lambda: len(scene.snmptrapd.read()) > shown, 1)
        for notification in scene.snmptrapd.notifications[shown:]:
            when = time.strftime("%H:%M:%S")
            if notification.type.endswith("Raised"):
                show_notification(screen, notification, when)
            else:
                screen.line(f"    {when:10}{screen.green(notification.type)}, "
                            f"alarm {notification.get('fedwAlarmId', '?')}")
            shown += 1


def go_on(arguments, screen):
    """The words behind --folder, of a demonstration that was kept."""
    folder = pathlib.Path(arguments.folder)
    scene = partners.Partners(folder, folder / "build" / "fedwarden", with_edge=True)
    if arguments.verb == "end":
        scene.remove()
        screen.line("All servers have ended; the folder is removed.")
    elif arguments.verb == "watch":
        watch(scene, screen)
    else:
        screen.line(scene.do(arguments.verb, arguments.what))
    return 0


def run(arguments, screen):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fedwarden-demo."))
    scene = None
    kept = False
    try:
        screen.line(screen.bold("fedwarden, demonstrated: real servers on loopback; four things break and are repaired, "
                                "and our edge is attacked"))
        screen.line(screen.dim(f"everything is in {folder} and goes away at the end"
                               if not arguments.keep else f"everything is in {folder}"))
        screen.line()
        program = build(folder, screen)
        scene = partners.Partners(folder, program, with_edge=True)
        start(scene, screen)
        good = demonstrate(scene, screen)
        if arguments.keep:
            keep(scene, screen)
            kept = True
        return 0 if good else 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if not kept:
            if scene:
                scene.stop()
            shutil.rmtree(folder, ignore_errors=True)


def parse():
    words = sys.argv[1:]
    if words[:1] == ["--folder"]:
        parser = argparse.ArgumentParser(prog="play", description="Goes on with a demonstration that was kept.")
        parser.add_argument("--folder", required=True, help=argparse.SUPPRESS)
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="what to do")
        for verb, text in (("break", "break one thing"), ("repair", "mend it")):
            verbs.add_parser(verb, help=text).add_argument("what", choices=[
                thing.name for thing in partners.BREAKS + (partners.ATTACKS if verb == "break" else ())])
        verbs.add_parser("watch", help="show notifications as they come")
        verbs.add_parser("end", help="end all servers and remove the folder")
    else:
        parser = argparse.ArgumentParser(
            prog="demo", description="Builds fedwarden, starts real partners on loopback (a DNS server, a SIP proxy, a "
            "web server, a TLS server that demands certificates) and an edge, breaks and repairs four things, misuses "
            "the edge in three ways, and shows what fedwarden notifies. Nothing is left behind. Ends with 0 when all was reported rightly and cleared.")
        parser.add_argument("--keep", action="store_true",
                            help="leave everything up, and say how to look, break, repair and end")
        parser.set_defaults(folder=None)
    return parser.parse_args(words)


def main():
    def end(number, _):
        raise Ended(number)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    os.umask(0o077)
    arguments, screen = parse(), Screen()
    try:
        return go_on(arguments, screen) if arguments.folder else run(arguments, screen)
    except BrokenPipeError:  # nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Ended as ended:
        screen.line()
        if not arguments.folder:
            screen.line("Ended; nothing is left behind.")
        return 128 + ended.args[0]
    except lab.LabError as error:
        screen.line()
        screen.line(screen.red("It does not work: ") + str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
