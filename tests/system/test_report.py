"""status, history and report over a history that was made by the functions that the daemon writes it with; the page in a
real browser: on a phone and on a desk, light and dark, in print, and with texts in it that an attacker chose."""
import json
import os
import pathlib
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "demo"))
import browser as chromium  # noqa: E402
import partners  # noqa: E402
from partners import lab  # noqa: E402

BUILD = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY / "build"))
PROGRAM = BUILD / "fedwarden"
# The history is of a whole week: in this time namespace the machine has run for longer.
WEEKS = ("unshare", "--time", "--boottime", "8640000")
HOSTILE = '"><script>alert(1)</script>'
SIZES = [(360, "light"), (360, "dark"), (1280, "light"), (1280, "dark")]

pytestmark = pytest.mark.usefixtures("loopback")


@pytest.fixture(scope="module")
def place():
    path = pathlib.Path(tempfile.mkdtemp(prefix="fedwarden-report-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def history(place):
    if subprocess.run([*WEEKS, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no time namespaces here: a history of a week cannot be made")
    path = place / "history.db"
    lab.run(*WEEKS, BUILD / "tests/system/history_make", path, timeout=60, env=environment())
    return path


@pytest.fixture(scope="module")
def page(place, history):
    path = place / "page.html"
    assert fedwarden("report", "--html", path, "--file", history).returncode == 0
    return path


@pytest.fixture(scope="module")
def browser():
    program = chromium.find()
    if not program:
        pytest.skip("no headless Chromium: apt-get install chromium-headless-shell")
    browser = chromium.Browser(program)
    yield browser
    browser.close()


def environment(**more):
    kept = {name: os.environ[name] for name in os.environ if name.endswith("SAN_OPTIONS")}
    return lab.environment(TZ="UTC", **{**kept, **more})


def fedwarden(*arguments, **options):
    options.setdefault("env", environment())
    return subprocess.run([*WEEKS, PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL, check=False, **options)


def lines(*arguments):
    done = fedwarden(*arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# ---- status

def test_status_is_a_table_that_fits(history):
    done = fedwarden("status", "--file", history)
    assert done.returncode == 2, done.stderr
    assert "\033" not in done.stdout
    table = done.stdout.splitlines()
    assert all(len(line) <= 80 for line in table)
    assert table[0].split()[:4] == ["PARTNER", "HEALTH", "REASON", "SINCE"]
    assert table[2].split()[:3] == ["contoso", "CRITICAL", "tlsIncompleteChain"]
    below = done.stdout[done.stdout.index("The monitor itself"):]
    assert "monMasterLost" in below and "198.51.100.7" in below
    assert re.search(r"^38 partners: 3 critical, 1 warning, 34 ok, 6 alarms, 38,304 walks, as of \d+s ago$", below, re.M)


def test_status_of_one_partner_says_what_to_do(history):
    done = fedwarden("status", "--file", history, "contoso")
    assert done.returncode == 2
    assert 'issuer "CN=Example Issuing CA 3" not sent' in done.stdout
    assert "resolution: Ask contoso to send the full chain: issuer \"CN=Example Issuing CA 3\" not sent" in " ".join(done.stdout.split())
    assert "who acts: partner (noc@example.net)" in done.stdout
    assert fedwarden("status", "--file", history, "fabrikam").returncode == 0
    assert fedwarden("status", "--file", history, "woodgrove").returncode == 1
    wrong = fedwarden("status", "--file", history, "contozo")
    assert wrong.returncode == 3 and 'Did you mean "contoso"?' in wrong.stderr


def test_status_as_json(history):
    done = fedwarden("status", "--file", history, "--json")
    assert done.returncode == 2
    status = json.loads(done.stdout)
    assert list(status) == ["time", "written", "stale", "health", "ok", "warning", "critical", "unknown", "walks",
                            "partners", "alarms"]
    assert (status["health"], status["stale"], status["critical"], status["ok"]) == ("critical", False, 3, 34)
    partners = {row["partner"]: row for row in status["partners"]}
    assert len(partners) == 38 and HOSTILE in partners
    assert partners["woodgrove"]["certificate_days"] == 6
    assert partners["contoso"]["alarm"] and partners["fabrikam"]["alarm"] is None
    assert {alarm["of"] for alarm in status["alarms"]} == {"partner", "source", "monitor"}
    usage = fedwarden("status", "--help").stdout
    for name in [*status, *status["partners"][0], *status["alarms"][0]]:
        assert name in usage, "each member is told of"


def test_status_without_a_history(place, history):
    absent = fedwarden("status", "--file", place / "absent.db")
    assert absent.returncode == 3 and "absent.db" in absent.stderr
    (place / "text.db").write_text("no database")
    other = fedwarden("status", "--file", place / "text.db")
    assert other.returncode == 3 and "text.db" in other.stderr
    configuration = place / "f.conf"
    configuration.write_text(f'history: {{ file = "{history}"; }};\n'
                             'partners = ( { name = "a"; domain = "a.example"; protocol = "sip"; } );\n')
    assert fedwarden("status", "-c", configuration).returncode == 2, "the configuration says where it is"
    late = subprocess.run([*WEEKS, "faketime", "-f", "+10m", PROGRAM, "status", "--file", history],
                          capture_output=True, text=True, timeout=30, check=False,
                          env=environment(ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "")
                                          + ":detect_leaks=0:verify_asan_link_order=0"))
    assert late.returncode == 3, late.stderr
    assert "The daemon seems not to run: it has written nothing for 10m" in late.stdout


def test_watch_paints_over_and_ends_on_q(history):
    process, terminal = pty.fork()
    if process == 0:
        os.execvpe(WEEKS[0], [*WEEKS, str(PROGRAM), "status", "--file", str(history), "--watch", "1"],
                   environment(TERM="xterm", LINES="24", COLUMNS="80"))
    shown = b""
    until = time.monotonic() + 20
    asked = False
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        shown += data
        if not asked and shown.count(b"\033[H") >= 3:
            os.write(terminal, b"q")
            asked = True
    else:
        os.kill(process, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(terminal)
    assert asked and status == 2, shown.decode(errors="replace")
    assert shown.startswith(b"\033[?1049h\033[?25l") and shown.rstrip().endswith(b"\033[?25h\033[?1049l")
    assert b"\033[2J" not in shown, "nothing is erased before it is painted"
    assert b"\033[1;31mCRITICAL" in shown and "\u00b7".encode() in shown


# ---- history

def test_history_in_its_order(history):
    rows = lines("history", "--file", history, "--json")
    assert len(rows) >= 40
    assert [row["sequence"] for row in rows] == sorted(row["sequence"] for row in rows)
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    raised = {row["alarm"]: row for row in rows if row["kind"] == "raised"}
    cleared = [row for row in rows if row["kind"] == "cleared"]
    assert cleared and all(row["duration_s"] > 0 and row["alarm"] in raised for row in cleared)
    assert all(row["duration_s"] is None for row in raised.values())
    text = fedwarden("history", "--file", history).stdout
    assert len(re.findall(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  (?:raised|changed|cleared) \d+", text, re.M)) == len(rows)


def test_history_is_filtered(history):
    rows = lines("history", "--file", history, "--json")
    contoso = lines("history", "--file", history, "--json", "--partner", "contoso")
    assert contoso == [row for row in rows if row["partner"] == "contoso"] and contoso
    assert lines("history", "--file", history, "--json", "--partner", "") == [r for r in rows if not r["partner"]]
    assert lines("history", "--file", history, "--json", "--event", "connection") == [r for r in rows if r["event"] == 6]
    assert lines("history", "--file", history, "--json", "--event", "6", "--limit", "3") == \
        [row for row in rows if row["event"] == 6][-3:]
    middle = rows[len(rows) // 2]["time"]
    since = lines("history", "--file", history, "--json", "--since", middle)
    until = lines("history", "--file", history, "--json", "--until", middle)
    assert until + since == rows and since and until
    assert 0 < len(lines("history", "--file", history, "--json", "--since", "1d")) < len(rows)
    for wrong in (["--since", "soon"], ["--event", "tlsOutgoin"], ["--limit", "x"], ["contoso"]):
        done = fedwarden("history", "--file", history, *wrong)
        assert done.returncode == 3 and done.stderr, wrong
    nothing = fedwarden("history", "--file", history, "--partner", "nobody")
    assert nothing.returncode == 0 and nothing.stdout == ""


def test_history_of_failures(history):
    rows = lines("history", "--file", history, "--failures", "--json", "--partner", "litware")
    assert rows and {row["reason"] for row in rows} == {"tcpTimeout"}
    assert set(rows[0]) == {"time", "event", "event_name", "reason", "code", "count", "partner", "target", "address",
                            "port", "detail"}
    text = fedwarden("history", "--file", history, "--failures").stdout
    assert "\033" not in text and "\u202e" not in text


# ---- beside a daemon

def test_beside_a_running_daemon(folder):
    """What really happens is seen in all three, while it happens and when the daemon has ended."""
    def ask(command, *arguments):
        return subprocess.run([PROGRAM, command, "-c", scene.fedwarden.conf, *arguments], capture_output=True, text=True,
                              timeout=30, check=False, env=environment())

    def woodgrove():
        done = ask("status", "--json", "woodgrove")
        return json.loads(done.stdout)["partners"][0] if done.stdout else {"health": None, "alarm": None}

    with partners.Partners(folder, PROGRAM) as scene:
        scene.start()
        assert lab.wait_until(lambda: ask("status").returncode == 0, 30, 0.2), ask("status")
        scene.do("break", "port")
        assert lab.wait_until(lambda: woodgrove()["alarm"], 30, 0.2), scene.fedwarden.tail()
        broken = woodgrove()
        assert (broken["health"], broken["reason"]) == ("critical", "tcpRefused")
        assert ask("status").returncode == 2
        assert "tcpRefused" in ask("report", "--html", "-").stdout
        scene.do("repair", "port")
        assert lab.wait_until(lambda: not woodgrove()["alarm"], 30, 0.2), scene.fedwarden.tail()
        scene.fedwarden.stop()
        after = ask("status", "woodgrove")
        assert after.returncode == 0 and "ok" in after.stdout
        rows = [json.loads(line) for line in ask("history", "--json", "--partner", "woodgrove").stdout.splitlines()]
        assert [(row["kind"], row["alarm"]) for row in rows if row["kind"] != "changed"] == \
            [("raised", broken["alarm"]), ("cleared", broken["alarm"])]
        failures = [json.loads(line) for line in ask("history", "--json", "--failures").stdout.splitlines()]
        assert {row["reason"] for row in failures if row["partner"] == "woodgrove"} == {"tcpRefused"}
        page = ask("report", "--html", "-").stdout
        assert re.search(r"<desc[^>]*>critical for \d+s, ok for \d+s", page)


# ---- the file of the report

def test_the_page_replaces_the_one_before_as_a_whole(place, history):
    folder = place / "www"
    folder.mkdir()
    target, link = folder / "report.html", folder / "link.html"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target.name)
    assert fedwarden("report", "--html", link, "--file", history).returncode == 0
    assert link.is_symlink() and target.stat().st_mode & 0o777 == 0o640
    whole = target.read_text()
    assert whole.startswith("<!DOCTYPE html>") and whole.endswith("</html>\n")

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))  # more than SQLite maps, less than the page

    full = fedwarden("report", "--html", target, "--file", history, preexec_fn=small_files)
    assert full.returncode == 1 and "File too large" in full.stderr
    assert target.read_text() == whole
    assert sorted(path.name for path in folder.iterdir()) == ["link.html", "report.html"]
    assert fedwarden("report", "--html", "/dev/full", "--file", history).returncode == 1
    with open("/dev/full", "w", encoding="ascii") as full:
        lost = subprocess.run([*WEEKS, PROGRAM, "report", "--html", "-", "--file", history], stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=30, check=False, env=environment())
    assert lost.returncode == 3 and "could not be written" in lost.stderr
    assert fedwarden("report", "--html", folder / "no/such.html", "--file", history).returncode == 1
    assert fedwarden("report", "--file", history).returncode == 3
    standard = fedwarden("report", "--html", "-", "--file", history, "--since", "2d")
    assert standard.returncode == 0 and standard.stdout.endswith("</html>\n")
    assert standard.stdout.count("raised</span>") < whole.count("raised</span>")


def test_the_page_is_html(page):
    """tidy 5.6 does not know that <title> within SVG has attributes (SVG 2, 5.7)."""
    if not shutil.which("tidy"):
        pytest.skip("no tidy: apt-get install tidy")
    done = subprocess.run(["tidy", "-q", "-e", "-utf8", page], capture_output=True, text=True, timeout=30, check=False)
    wrong = [line for line in done.stderr.splitlines() if '<title> proprietary attribute "id"' not in line]
    assert wrong == []


# ---- in the browser

def is_quiet(browser, page):
    assert browser.complaints() == []
    assert browser.requests() == [page.resolve().as_uri()]


@pytest.mark.parametrize("width,scheme", SIZES)
def test_shown_without_complaints_and_in_its_width(browser, page, width, scheme):
    browser.open(page, width, scheme=scheme)
    browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate("""[...document.querySelectorAll('body *')].filter(e => {
        const r = e.getBoundingClientRect();
        return !e.closest('thead') && r.width > 0 && (r.right > innerWidth + 0.5 || r.left < -0.5) }).length""") == 0
    is_quiet(browser, page)
    kept = os.environ.get("FEDWARDEN_SCREENSHOTS")
    if kept:
        browser.screenshot(pathlib.Path(kept) / f"report-{width}-{scheme}.png")


def test_style_is_the_one_that_the_policy_names(browser, page):
    browser.open(page, 1280)
    assert browser.evaluate("getComputedStyle(document.querySelector('table')).borderCollapse") == "collapse", \
        "the hash in report_style.c is that of its text"


def test_policy_forbids_the_rest(browser, page):
    """As if text had escaped its escaping after all."""
    browser.open(page, 1280)
    refused = browser.evaluate("""new Promise(done => {
        const refused = [];
        document.addEventListener('securitypolicyviolation', e => {
            refused.push(e.effectiveDirective); if (refused.length == 4) done(refused.sort()) });
        const add = (name, members) => document.body.append(Object.assign(document.createElement(name), members));
        add('script', {textContent: 'document.title = "run"'});
        add('img', {src: 'http://198.51.100.1/x.png'});
        add('iframe', {src: 'http://198.51.100.1/'});
        add('style', {textContent: 'body { color: red }'});
        setTimeout(() => done(refused), 5000); })""")
    assert refused == ["frame-src", "img-src", "script-src-elem", "style-src-elem"]
    assert browser.evaluate("document.title") != "run"


def test_hostile_text_is_text(browser, page):
    browser.open(page, 1280)
    assert browser.evaluate("document.querySelectorAll('script, img, iframe, object, embed, link, base, form').length") \
        == 0
    assert browser.evaluate("[...document.querySelectorAll('*')].flatMap(e => [...e.attributes])"
                            ".filter(a => /^on|^style$/.test(a.name)).length") == 0
    assert browser.evaluate("document.querySelectorAll('section').length") == 6
    text = browser.evaluate("document.body.textContent")
    assert HOSTILE in text and "CN=<svg onload=alert(4)>" in text
    assert "</td></table><script>alert('3')</script> & \\x1b[31mred\\x07 \\xe2\\x80\\xaegnp.exe" in text
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    is_quiet(browser, page)


def test_needs_no_script(browser, page):
    browser.open(page, 360, script=False)
    is_quiet(browser, page)
    assert len(browser.pdf()) > 10000


CONTRAST = """(() => {
    const parse = c => c.match(/[\\d.]+/g).map(Number);
    const ground = e => { for (; e; e = e.parentElement) {
        const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c } };
    const light = c => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= 0.04045 ? v / 12.92
        : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
    const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05) };
    const bad = [];
    let least = 99;
    for (const e of document.querySelectorAll('body *')) {
        const text = [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim());
        const mark = e instanceof SVGElement && /^(rect|path)$/.test(e.tagName) && !e.classList.contains('track');
        if (!(text && !e.closest('svg')) && !mark) continue;
        const style = getComputedStyle(e);
        const r = ratio(parse(mark ? style.fill : style.color), ground(e.closest('td, li, p, figure') || e));
        if (!mark && r < least) least = r;
        if (r < (mark ? 3 : 4.5)) bad.push(e.tagName + '.' + e.getAttribute('class') + ' ' + r.toFixed(2));
    }
    return {bad: [...new Set(bad)], least};
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser, page, scheme):
    """WCAG 2.1, 1.4.3 and 1.4.11: 4.5 for text, 3 for what is drawn."""
    browser.open(page, 1280, scheme=scheme)
    contrast = browser.evaluate(CONTRAST)
    assert contrast["bad"] == [] and 4.5 <= contrast["least"] < 21


@pytest.mark.parametrize("width", [360, 1280])
def test_tables_and_pictures_are_told(browser, page, width):
    """What a screen reader is given: also where rows are shown as cards, tables stay tables."""
    browser.open(page, width)
    browser.call("Accessibility.enable")
    nodes = [node for node in browser.call("Accessibility.getFullAXTree")["nodes"] if not node.get("ignored")]
    roles = [node["role"]["value"] for node in nodes]
    names = {role: [node.get("name", {}).get("value", "") for node in nodes if node["role"]["value"] == role]
             for role in ("table", "image", "img", "heading", "columnheader", "rowheader")}
    assert len(names["table"]) >= 6 and all(names["table"])
    assert "contoso" in names["rowheader"]
    assert "Available" in names["columnheader"]
    pictures = names["image"] + names["img"]
    assert any(re.fullmatch(r"contoso critical for 1d \d+h, ok for \d+d \d+h", name) for name in pictures), pictures
    assert all(pictures)
    assert names["heading"][1:3] == ["Summary", "Open alarms"]
    assert roles.count("main") == 1 and "navigation" in roles


def test_in_print(browser, page, place):
    browser.open(page, 1280, scheme="dark", media="print")
    assert browser.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    browser.open(page, 1280, scheme="dark")
    printed = browser.pdf()
    kept = os.environ.get("FEDWARDEN_SCREENSHOTS")
    if kept:
        (pathlib.Path(kept) / "report.pdf").write_bytes(printed)
    assert printed.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 12
