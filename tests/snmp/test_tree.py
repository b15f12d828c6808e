"""Every object of FEDWARDEN-MIB, by GET, GETNEXT and GETBULK, in both roles, compared with what is literally written."""
import pytest

import agents
from agents import ROOT

ENUMERATIONS = {"CRITICAL": 3, "MAJOR": 4, "MINOR": 5, "WARNING": 6, "NONE": 1, "PARTNER": 2, "US": 3, "NETWORK": 4}
COUNTED = {101: 3, 302: 3, 304: 2, 401: 12, 402: 9, 501: 4, 504: 1}  # what serve's observations counted


def text(value):
    return f'STRING: "{value}"' if value else '""'


def reason_tree():
    """What fedwReasonTable has to be by base/reason_list.h."""
    events = {row[1]: row[0] for row in agents.event_rows()} | {"NONE": 0}
    columns = []
    for number, name, event, severity, actor, cause, resolution, aliases in agents.reason_rows():
        count = COUNTED.get(number, 0)
        date = "DATE" if count else "Hex-STRING: 00 00 00 00 00 00 00 00"
        age = "AGE" if count else "Gauge32: 4294967295"
        columns += [(column, number, value) for column, value in enumerate(
            [text(name), f"Gauge32: {events[event]}", f"INTEGER: {ENUMERATIONS[severity]}",
             f"INTEGER: {ENUMERATIONS[actor]}", text(cause), text(resolution), text(aliases), f"Counter64: {count}",
             date, age, date, age], start=2)]
    return {f"{ROOT}.1.10.1.{column}.{number}": value.replace('\\"', '"') if '\\"' in value else value
            for column, number, value in sorted(columns)}


def in_order(tree):
    return dict(sorted(tree.items(), key=lambda item: [int(part) for part in item[0].split(".")[1:]]))


@pytest.fixture(scope="module")
def tree():
    return in_order(agents.literal_tree() | reason_tree())


def unquoted(values):
    return {name: value.replace('\\"', '"') for name, value in values.items()}


def test_walk_is_the_literal_tree(agent, tree):
    found = unquoted(agents.steady(agents.walk(agent)))
    assert {k: (found.get(k), v) for k, v in tree.items() if found.get(k) != v} == {}
    assert [name for name in found if name not in tree] == []
    assert list(found) == list(tree)


def test_every_instance_by_get(agent, tree):
    names = list(tree)
    found = {}
    for at in range(0, len(names), 20):
        found |= agents.get(agent, names[at:at + 20])
    assert unquoted(agents.steady(found)) == tree


@pytest.mark.parametrize("repetitions", [1, 2, 3, 10, 50, 100, 1000])
def test_bulk_walk_equals_walk(agent, tree, repetitions):
    found = agents.steady(agents.bulkwalk(agent, repetitions))
    assert unquoted(found) == tree
    assert list(found) == list(tree)


@pytest.mark.parametrize("first", [f"{ROOT}.1.4.1", f"{ROOT}.1.8.1"])
def test_bulk_get_of_many_columns(agent, tree, first):
    """Each column goes on as a walk does, over the ends of columns and tables and of the module."""
    names = list(tree)
    starts = [f"{first}.{column}" for column in range(2, 22)]
    expected = []
    position = {start: start for start in starts}
    for _ in range(4):
        for start in starts:
            key = [int(part) for part in position[start].split(".")[1:]]
            after = next((n for n in names if [int(part) for part in n.split(".")[1:]] > key), None)
            position[start] = after
            expected.append(after)
    found = agents.bulkget(agent, 0, 4, starts)
    assert [name for name, _ in found] == expected
    assert unquoted(agents.steady(dict(found))) == {name: tree[name] for name in expected}


def test_bulk_goes_on_behind_the_module(agent, tree):
    last = list(tree)[-1]
    found = agents.bulkget(agent, 0, 5, [last])
    assert not any(name.startswith(ROOT + ".1.") for name, _ in found)


@pytest.mark.parametrize("name, answer", [
    ("1.1.27.0", "No Such Object"), ("1.1.0.0", "No Such Object"), ("1.9.1.1.1", "No Such Object"),
    ("1.4.1.1.7", "No Such Object"), ("1.4.1.32.7", "No Such Object"), ("1.9.1.2.9", "No Such Instance"),
    ("1.4.2.2.7", "No Such Object"),
    ("1.4.1.2", "No Such Instance"), ("1.4.1.2.9", "No Such Instance"), ("1.4.1.2.7.0", "No Such Instance"),
    ("1.4.1.2.4294967295", "No Such Instance"), ("1.1.1.1", "No Such Instance"), ("1.1.1", "No Such Instance"),
    ("1.8.1.2.7.2", "No Such Instance"), ("1.99", "No Such Object"), ("1", "No Such Object"),
])
def test_what_is_not_there(agent, name, answer):
    found = agents.tool(agent, "snmpget", f"udp:127.0.0.1:{agent.port}", f"{ROOT}.{name}")
    assert answer in found


@pytest.mark.parametrize("name", ["0", "1", "1.1", "1.1.0", "1.1.1.0.0", "1.1.13.0", "1.2.99", "1.3", "1.3.0", "1.3.1",
                                  "1.3.1.2.10.7", "1.3.2", "1.4.1.2.7.99.1.2.3.4.5.6.7", "1.4.1.2.8", "1.8.1.2.7",
                                  "1.8.1.2.7.2", "1.8.1.2.7.2.2.0", "1.9", "1.10.1.13.908", "1.4.1.99",
                                  "1.4.1.2.4294967295"])
def test_next_of_any_name(agent, tree, name):
    key = [int(part) for part in f"{ROOT}.{name}".split(".")[1:]]
    expected = next(n for n in tree if [int(part) for part in n.split(".")[1:]] > key)
    found = agents.parse(agents.tool(agent, "snmpgetnext", f"udp:127.0.0.1:{agent.port}", f"{ROOT}.{name}"))
    assert list(found) == [expected]


def test_set_is_refused(agent):
    tool = ["snmpset", f"udp:127.0.0.1:{agent.port}", f"{ROOT}.1.4.1.23.7", "s", "mine"]
    found = agents.tool(agent, *tool, access=agents.PUBLIC, check=False)
    assert "mine" not in found
    assert "mine" not in agents.get(agent, [f"{ROOT}.1.4.1.23.7"])[f"{ROOT}.1.4.1.23.7"]


def test_version_1_skips_counter64(agent, tree):
    version_1 = agents.Access("-v1", "-c", "public")
    found = unquoted(agents.steady(agents.walk(agent, ROOT + ".1.3", access=version_1)))
    expected = {n: v for n, v in tree.items() if n.startswith(ROOT + ".1.3.") and not v.startswith("Counter64")}
    assert found == expected


def excluded(name):
    rest = name[len(ROOT) + 1:].split(".")
    return rest[:3] == ["1", "4", "1"] and (rest[3] == "23" or rest[4:] == ["8"])


@pytest.mark.parametrize("access", [agents.RESTRICTED, agents.BOB], ids=["v2c", "v3"])
def test_what_is_excluded_never_leaks(agent, tree, access):
    allowed = {name: value for name, value in tree.items() if not excluded(name)}
    assert len(tree) - len(allowed) == 32  # 30 columns of a row, and one column of the two others
    for repetitions in (1, 7, 50, 100):
        assert unquoted(agents.steady(agents.bulkwalk(agent, repetitions, access=access))) == allowed
    assert unquoted(agents.steady(agents.walk(agent, access=access))) == allowed
    names = [f"{ROOT}.1.4.1.{column}" for column in range(2, 24)]
    for repetitions in (1, 5, 40):
        found = agents.bulkget(agent, 0, repetitions, names, access=access)
        assert found and [name for name, _ in found if excluded(name)] == []
    for name in set(tree) - set(allowed):
        assert "No Such" in agents.tool(agent, "snmpget", f"udp:127.0.0.1:{agent.port}", name, access=access)


def test_version_3_with_privacy(agent, tree):
    assert unquoted(agents.steady(agents.bulkwalk(agent, 50, access=agents.ALICE))) == tree
    wrong = agents.Access(*[("mistaken!" if word == "authentication" else word) for word in agents.ALICE.arguments])
    assert "1.4.1" not in agents.tool(agent, "snmpget", f"udp:127.0.0.1:{agent.port}", f"{ROOT}.1.1.1.0",
                                      access=wrong, check=False)


def test_uptime_and_stamps(agent):
    names = [".1.3.6.1.2.1.1.3.0", f"{ROOT}.1.1.4.0", f"{ROOT}.1.2.9.0"]
    ticks = [int(value.split("(")[1].split(")")[0]) for value in agents.get(agent, names).values()]
    assert ticks[1] <= ticks[0] and ticks[2] <= ticks[0]
    again = [int(value.split("(")[1].split(")")[0]) for value in agents.get(agent, names).values()]
    assert again[1:] == ticks[1:]
