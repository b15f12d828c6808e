"""What several files of system tests share."""
import pathlib
import shutil
import tempfile

import pytest

import lab_dns


@pytest.fixture
def folder():
    """A short path: that of a Unix socket has little room."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="fedwarden-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def loopback():
    """A network namespace of the module's own, with nothing but lo. pytestmark = pytest.mark.usefixtures("loopback")"""
    with lab_dns.private_network():
        yield
