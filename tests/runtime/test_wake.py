"""When a worker looks at a server that does not tell of new jobs."""

import pytest

from lateshift.errors import StorageUnavailable
from lateshift.runtime.wake import LOOK_POLLING, LOOK_SOON, PollingWake


@pytest.fixture
def seconds():
    """The time, in a list of one."""
    return [100.0]


@pytest.fixture
def waiting():
    """Whether the server says that jobs wait, in a list of one."""
    return [True]


@pytest.fixture
def wake(seconds, waiting):
    """That of a worker which has not had anything to do for long."""
    wake = PollingWake(lambda _: None, lambda: waiting[0], lambda: seconds[0])
    while wake.pause() < LOOK_POLLING:
        seconds[0] += wake.pause()
        assert wake.written()
    return wake


def test_what_else_wakes_a_worker_does_not_put_off_its_look(wake, seconds):
    """A heartbeat came in between and the whole pause began anew: one start in twenty took up to twice as long."""
    seconds[0] += 0.75 * LOOK_POLLING
    assert not wake.written()
    assert wake.pause() == pytest.approx(0.25 * LOOK_POLLING)
    seconds[0] += wake.pause()
    assert wake.written()


def test_it_looks_soon_after_there_was_something_to_do(wake, seconds):
    """And then ever less often."""
    wake.set()
    pauses = [wake.pause()]
    for _ in range(6):
        seconds[0] += wake.pause()
        assert wake.written()
        pauses.append(wake.pause())
    doubling = [min(LOOK_SOON * 2**n, LOOK_POLLING) for n in range(7)]
    assert pauses == pytest.approx(doubling)


def test_a_look_that_finds_nothing_is_no_reason_for_a_turn(wake, seconds, waiting):
    """The next one comes as late as after one that found something."""
    waiting[0] = False
    seconds[0] += wake.pause()
    assert not wake.written()
    assert wake.pause() == pytest.approx(LOOK_POLLING)


def test_a_server_that_does_not_answer_is_left_to_the_turn(seconds):
    """The wake has no way to tell of it."""

    def broken():
        raise StorageUnavailable("It is gone.")

    assert PollingWake(lambda _: None, broken, lambda: seconds[0]).written()


def test_being_told_is_a_reason_to_look_at_once(seconds):
    """A server that tells of new jobs is not asked whether there are any."""
    told, asked = [], []
    wake = PollingWake(told.append, lambda: asked.append(1) or True, lambda: seconds[0])
    assert wake.written()
    assert not wake.written()
    told[0]()
    assert wake.wait(0)
    assert wake.written()
    assert not wake.written()
    assert asked == [1]
