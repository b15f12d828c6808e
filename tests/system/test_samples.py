"""The samples of real edges through the running daemon: what `fedwarden match` tells of them (test_match.py compares
that with their labels) is what the daemon counts, event by event, over SNMP. Skipped where ../shared is absent."""
import collections
import os
import pathlib

import pytest

import lab
import test_match
from test_feeds import ADDRESS, FAR, Daemon

PROGRAM = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY / "build")) / "fedwarden"

# The partner is never walked in the seconds of this test: only the feeds count.
CONFIGURATION = """
agent = {{ mode = "standalone"; listen = "udp:{address}:{snmp}"; access_file = "{folder}/snmp.conf";
           state_dir = "{folder}/fedwarden/state"; }};
collectors = {{ first_spread = 86400; }};
resolvers = ( {{ name = "none"; address = "{address}"; port = 9; }} );
defaults = {{ interval = 86400; }};
feeds = ( {feeds} );
{edge}
"""
FEED = '{{ name = "{name}"; preset = "{preset}"; file = "{folder}/{name}"; }}'


pytestmark = pytest.mark.usefixtures("loopback")


class Edge(lab.Lab):
    def __init__(self, folder, samples, port):
        super().__init__(folder)
        self.snmp = lab.free_port()
        (self.folder / "snmp.conf").write_text(f"rocommunity public {ADDRESS}\n", encoding="ascii")
        feeds = ", ".join(FEED.format(name=sample.name, folder=folder, preset=test_match.preset_of(sample.name))
                          for sample in samples)
        self.fedwarden = self.add(Daemon(self.folder, "fedwarden", PROGRAM, CONFIGURATION.format(
            address=ADDRESS, folder=folder, snmp=self.snmp, feeds=feeds, edge=test_match.CONFIGURATION % port),
            ADDRESS, self.snmp))

    def get(self, name):
        return int(lab.snmp(self.folder, "snmpget", ADDRESS, self.snmp, f"FEDWARDEN-MIB::{name}", options=("-OQUve",)))


def samples_of(versions):
    if not test_match.SAMPLES.is_dir():
        pytest.skip(f"{test_match.SAMPLES} is not there")
    return [path for path in sorted(test_match.SAMPLES.glob("*.log")) if ("-versions" in path.name) == versions]


@pytest.mark.parametrize("versions, port", [(False, 15061), (True, 5061)])
def test_the_daemon_counts_what_match_tells(folder, versions, port):
    samples = samples_of(versions)
    conf = folder / "match.conf"
    conf.write_text(test_match.CONFIGURATION % port, encoding="ascii")
    told = collections.Counter()
    for sample in samples:
        for hit in test_match.hits("--preset", test_match.preset_of(sample.name), "-c", conf, sample):
            told[hit["event"]] += hit["count"]
    assert sum(told.values()) > 10
    lines = sum(sample.read_bytes().count(b"\n") for sample in samples)

    with Edge(folder, samples, port) as edge:
        for sample in samples:
            (folder / sample.name).touch()
        edge.start()
        for sample in samples:
            (folder / sample.name).write_bytes(sample.read_bytes())
        assert lab.wait_until(lambda: edge.get("fedwAgentFeedLines.0") >= lines, FAR), edge.fedwarden.tail()
        assert lab.wait_until(lambda: sum(edge.get(f"fedwEventCount.{event}") for event in range(1, 8))
                              >= sum(told.values()), FAR), (told, edge.fedwarden.tail())
        counted = {event: edge.get(f"fedwEventCount.{event}") for event in range(1, 8)}
        assert edge.get("fedwAgentWalks.0") == 0
        assert counted == {event: told[event] for event in range(1, 8)}
