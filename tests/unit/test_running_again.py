"""One more job like an old one: with the same parameters, or with others that somebody has typed as JSON."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from lateshift.enqueuing import Call, Preparation
from lateshift.errors import CallableNotAllowed, InvalidOption, InvalidParameters
from lateshift.settings import load_settings

NOW = 1_764_000_000_000_000


def send(order_id: int, on: date | None = None) -> None:
    """A job."""


def note(text: str = "", on: date | None = None) -> None:
    """A job."""


class Slip:
    max_retires = 0

    def handle(self) -> None:
        """A job, with an option that is misspelt."""


@pytest.fixture
def preparation(tmp_path) -> Preparation:
    return Preparation(load_settings(allowed=[__name__], storage_dir=tmp_path, max_parameters=200))


@pytest.fixture
def old(preparation):
    """A job that was enqueued an hour ago."""
    call = Call(send, parameters={"order_id": 1, "on": date(2026, 1, 31)}, priority=7, queue="mail", max_retries=9)
    return preparation.prepare(call, NOW - 3_600_000_000)


def test_the_same_again(preparation, old):
    """It has another id, is due at once, and is like the old one in all else."""
    new = preparation.again(old, NOW)
    assert new.id != old.id
    assert (new.run_at, new.enqueued_at) == (NOW, NOW)
    assert (new.name, new.queue, new.priority, new.max_retries) == (old.name, "mail", 7, 9)
    assert new.parameters == old.parameters


def test_a_job_from_before_a_check_runs_again(preparation, old):
    """What is refused today when it is enqueued anew; a worker takes it, too."""
    name = f"{__name__}.Slip.handle"
    for job in (Slip, name):
        with pytest.raises(InvalidOption, match="did you mean 'max_retries'"):
            preparation.prepare(Call(job), NOW)
    stored = msgspec.structs.replace(old, name=name, parameters="{}")
    assert preparation.again(stored, NOW).name == name


def test_other_parameters(preparation, old):
    """A date is text in JSON, and comes to the job as a date."""
    new = preparation.again(old, NOW, {"order_id": 2, "on": "2026-02-01"})
    assert new.parameters == '{"order_id":2,"on":"2026-02-01"}'


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"order_id": "two"},
        {"order_id": 1, "extra": 1},
        {"order_id": 1, "on": "2026-02-31"},
        {"order_id": "x" * 300},
        {"order_id": object(), "on": "2026-01-31"},
        [1],
        5,
    ],
)
def test_parameters_that_do_not_fit_are_refused(preparation, old, parameters):
    """As when a job is enqueued."""
    with pytest.raises(InvalidParameters):
        preparation.again(old, NOW, parameters)


def test_the_limit_counts_bytes(preparation):
    """Beside a date, too, which `check` has not taken, and the refusal speaks of the size."""
    old = preparation.prepare(Call(note), NOW)
    assert preparation.again(old, NOW, {"text": "ä" * 80, "on": "2026-01-31"})
    with pytest.raises(InvalidParameters, match="take 229 bytes as JSON, most of it in 'text'"):
        preparation.again(old, NOW, {"text": "ä" * 100, "on": "2026-01-31"})


def test_what_is_not_allowed_any_more(preparation, old, tmp_path):
    """The allow-list of today counts."""
    with pytest.raises(CallableNotAllowed):
        Preparation(load_settings(allowed=["elsewhere"], storage_dir=tmp_path)).again(old, NOW)
