"""A method with `@background` that is enqueued through its class, a subclass or an object."""

import asyncio
import copy
import functools
import pickle
import sys

import pytest

from lateshift import enqueue_many, run_background_job
from lateshift.background import BackgroundJob, background
from lateshift.errors import InvalidJob
from lateshift.target import path_of
from lateshift.testing import assert_enqueued, drain, isolated


@background(priority=3)
def count(letters: str) -> int:
    return len(letters)


class Mailer:
    queue = "mail"
    server = "plain"
    counting = count

    @background
    def send(self, to: str) -> str:
        return f"{type(self).__name__} sends by {self.server} to {to}"

    again = send

    @classmethod
    @background
    def make(cls, to: str) -> str:
        return cls().send(to)

    @staticmethod
    @background
    def check(to: str) -> bool:
        return "@" in to


class Quick(Mailer):
    queue = "quick"
    server = "wire"


class Loud(Mailer):
    @background(priority=9)
    def send(self, to: str) -> str:
        return super().send(to).upper()


class Handled(BackgroundJob):
    @background(priority=7)
    def handle(self, to: str) -> str:
        return f"{type(self).__name__} {to}"


class HandledToo(Handled):
    queue = "quick"


@pytest.fixture(autouse=True)
def _in_a_database():
    with isolated(allowed=[__name__]):
        yield


def ran():
    """What the jobs that wait are called, their queues and priorities, and what they return."""
    return [(job.name.removeprefix(f"{__name__}."), job.queue, job.priority, job.result) for job in drain()]


def test_a_subclass_runs_a_method_on_an_object_of_its_own():
    """With its own options, in each of the ways to enqueue it."""
    Quick.send.enqueue("Ann")
    Quick.send.options(priority=5).enqueue(to="Ann")
    asyncio.run(Quick.send.aenqueue("Ann"))
    enqueue_many([Quick.send.call("Ann"), Quick.again.call("Ann")])
    run_background_job(Quick.send, parameters={"to": "Ann"})
    assert_enqueued(Quick.send, times=6)
    jobs = ran()
    assert jobs[0] == ("Quick.send", "quick", 5, "Quick sends by wire to Ann")
    assert jobs[1:] == 5 * [("Quick.send", "quick", 1, "Quick sends by wire to Ann")]


def test_the_class_that_has_written_a_method_runs_its_own():
    """Whatever its base has by this name."""
    Mailer.send.enqueue("Ann")
    Mailer.again.enqueue("Ann")
    Loud.send.enqueue("Ann")
    Loud.again.enqueue("Ann")  # its base's, by a name that leads elsewhere in it
    assert ran() == [
        ("Loud.send", "mail", 9, "LOUD SENDS BY PLAIN TO ANN"),
        *3 * [("Mailer.send", "mail", 1, "Mailer sends by plain to Ann")],
    ]


def test_a_class_that_inherits_a_decorated_handle_is_enqueued_as_itself():
    """By the class and by the method."""
    HandledToo.enqueue("Ann")
    HandledToo.handle.enqueue("Ann")
    assert ran() == 2 * [("HandledToo.handle", "quick", 7, "HandledToo Ann")]


def test_a_method_of_an_object_is_refused():
    """The object is not stored, and the job would run on another one; the words are those of run_background_job."""
    with pytest.raises(InvalidJob) as expected:
        path_of(Quick().send)
    ways = [Quick().send.enqueue, Quick().send.call, Quick().send.options, lambda: asyncio.run(Quick().send.aenqueue())]
    for way in ways:
        with pytest.raises(InvalidJob) as caught:
            way()
        assert str(caught.value) == str(expected.value)
    assert Quick().send("Ann") == Quick.send(Quick(), "Ann") == "Quick sends by wire to Ann"
    assert ran() == []


def test_class_methods_and_static_methods_are_jobs_of_the_class_they_stand_in():
    """For another class its class method is handed over; up to Python 3.12, `.enqueue` refuses it."""
    Mailer.make.enqueue("Ann")
    Quick().check.enqueue("Ann")
    run_background_job(Quick.make, parameters={"to": "Ann"})
    if sys.version_info < (3, 13):
        with pytest.raises(InvalidJob, match="Pass the class, and the method's name"):
            Quick.make.enqueue("Ann")
    assert ran() == [
        ("Mailer.make", "mail", 1, "Mailer sends by plain to Ann"),
        ("Mailer.check", "mail", 1, False),
        ("Quick.make", "quick", 1, "Quick sends by wire to Ann"),
    ]


def test_a_function_that_a_class_refers_to_is_no_method():
    """It has no class that could be meant."""
    Mailer.counting.enqueue("abc")
    Quick().counting.enqueue("abc")
    assert ran() == 2 * [("count", "default", 3, 3)]


def test_an_inherited_method_is_one_object_for_others():
    """It is equal each time it is asked for, and pickled by its class and name."""
    assert Quick.send == Quick.send != Mailer.send
    assert len({Quick.send, Quick.send, Handled.handle, HandledToo.handle}) == 3
    assert pickle.loads(pickle.dumps(Quick.send)) == copy.deepcopy(Quick.send) == Quick.send
    mailer = Quick()
    assert mailer.send == mailer.send != Quick().send
    assert pickle.loads(pickle.dumps(functools.partial(mailer.send, "Ann")))() == mailer.send("Ann")
