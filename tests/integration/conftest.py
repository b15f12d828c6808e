"""The consumers' tests use the servers and partners of tests/system and tests/demo."""
import importlib.util
import os
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "system"), str(TESTS / "demo")]
_spec = importlib.util.spec_from_file_location("system_conftest", TESTS / "system" / "conftest.py")
_shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_shared)
folder, loopback = _shared.folder, _shared.loopback

import lab  # noqa: E402
import partners  # noqa: E402

PROGRAM = pathlib.Path(os.environ.get("FEDWARDEN_BUILD", lab.REPOSITORY / "build")) / "fedwarden"


@pytest.fixture
def scene(folder):
    """contoso, fabrikam and woodgrove, watched by a fedwarden that answers SNMP by itself; all healthy."""
    with partners.Partners(folder, PROGRAM) as made:
        made.start()
        made.wait_healthy(40)
        yield made
