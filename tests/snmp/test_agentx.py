"""What the subagent answers to search ranges (RFC 2741 section 7.2.3), and what it does when the master ends its session,
by a master that is written here."""
import time

import pytest

import agents
from agentx_master import CLOSE, END_OF_VIEW, GET, GET_NEXT, NO_INSTANCE, NO_OBJECT, OBJECTS, PING, SECOND, Master


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agentx")
    master = Master(folder / "agentx")
    serve = agents.Serve(folder, "--agentx", folder / "agentx", "--state", folder, mode="subagent", wait=False)
    master.accept()
    yield master
    master.close()
    serve.end()


def test_next_goes_on_where_it_was(master):
    first, kind = master.next(OBJECTS)
    second, _ = master.next(first)
    assert first[:len(OBJECTS)] == OBJECTS and kind < NO_OBJECT
    assert second > first


def test_included_start_is_an_answer(master):
    first, kind = master.next(OBJECTS)
    assert master.next(first, include=True) == (first, kind)
    assert master.next(first[:-1], include=True) == (first, kind)


def test_end_is_not_reached(master):
    first, _ = master.next(OBJECTS)
    second, kind = master.next(first)
    assert master.next(first, second) == (first, END_OF_VIEW)
    assert master.next(first, second + [0]) == (second, kind)
    assert master.next(first, SECOND) == (second, kind)


def test_before_and_behind_our_objects(master):
    first, kind = master.next(OBJECTS)
    assert master.next([1, 3, 6, 1, 2, 1]) == (first, kind)
    assert master.next([1, 3, 6, 1, 2, 1], OBJECTS) == ([1, 3, 6, 1, 2, 1], END_OF_VIEW)
    assert master.next(SECOND) == (SECOND, END_OF_VIEW)
    last = SECOND[:-1] + [1, 4294967295]
    assert master.next(last) == (last, END_OF_VIEW)


def test_several_ranges_are_answered_in_their_order(master):
    first, kind = master.next(OBJECTS)
    second, second_kind = master.next(first)
    assert master.ask(GET_NEXT, (first, SECOND, False), (SECOND, [], False), (OBJECTS, SECOND, False)) == [
        (second, second_kind), (SECOND, END_OF_VIEW), (first, kind)]


def test_get(master):
    first, kind = master.next(OBJECTS)
    assert master.ask(GET, (first, [], False), (first + [0], [], False), (OBJECTS + [99], [], False)) == [
        (first, kind), (first + [0], NO_INSTANCE), (OBJECTS + [99], NO_OBJECT)]


def test_a_long_name_is_no_instance(master):
    first, _ = master.next(OBJECTS)
    long = first + [1] * (127 - len(first))
    assert master.ask(GET, (long, [], False)) == [(long, NO_INSTANCE)]
    assert master.next(long)[0] > first


def begin(tmp_path, *arguments):
    master = Master(tmp_path / "agentx")
    serve = agents.Serve(tmp_path, "--agentx", tmp_path / "agentx", "--state", tmp_path, *arguments, mode="subagent",
                         wait=False)
    master.accept()
    return master, serve


def serves(master):
    first, _ = master.next(OBJECTS)
    return first[:len(OBJECTS)] == OBJECTS


def test_session_that_the_master_closes_is_opened_again(tmp_path):
    """It need not hang up."""
    master, serve = begin(tmp_path, "--reconnect", 30)
    try:
        for _ in range(3):
            assert serves(master)
            master.close_session()
            begun = time.monotonic()
            master.accept()
            assert time.monotonic() - begun < 5
        assert serves(master)
    finally:
        master.close()
        serve.end()


def test_session_that_the_master_forgot_is_opened_again(tmp_path):
    """A ping is answered by notOpen(257)."""
    master, serve = begin(tmp_path, "--reconnect", 1)
    try:
        assert master.serve_one() == PING
        assert serves(master)
        assert master.serve_one(error=257) == PING
        begun = time.monotonic()
        master.accept()
        assert time.monotonic() - begun < 5
        assert serves(master)
    finally:
        master.close()
        serve.end()


def test_it_says_when_it_ends(tmp_path):
    master, serve = begin(tmp_path)
    try:
        serve.process.stdin.write("quit\n")
        serve.process.stdin.flush()
        master.serve_until(CLOSE)
        assert serve.process.wait(10) == 0
    finally:
        master.close()
        serve.end()
