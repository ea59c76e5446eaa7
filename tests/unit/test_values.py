"""What the values that programs make and read have in common, whether they are Structs or dataclasses."""

import copy
import pickle
from dataclasses import asdict
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from lateshift import Attempt, Call, Job, JobError, RetryPolicy, Settings
from lateshift.errors import InvalidOption, SettingsError
from lateshift.options import JobOptions
from lateshift.storage.counting import Count

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ATTEMPT = Attempt(1, "failed", NOW, NOW, "w", JobError("ValueError", "no"))
VALUES = [
    Settings(threads=3, root="/srv", children=2),
    RetryPolicy.exponential(1, only=(OSError,)),
    Call("app.jobs.mail", parameters={"n": 1}),
    JobOptions(queue="mail"),
    Count(3, more=True),
    Job("a", "app.jobs.mail", "mail", 1, "failed", {"n": 1}, 1, 1, NOW, NOW, history=(ATTEMPT,)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_can_be_copied_and_not_changed(value):
    """Copies and pickles equal it, and nothing can be assigned to it."""
    assert copy.copy(value) == copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value
    for name in type(value).__annotations__:
        with pytest.raises(AttributeError):
            setattr(value, name, None)


def test_what_is_replaced_in_a_value_is_checked():
    """As when it is made."""
    settings = replace(VALUES[0], threads="4")
    assert (settings.threads, settings.root) == (4, VALUES[0].root)
    with pytest.raises(SettingsError, match="threads is 0"):
        replace(settings, threads=0)
    with pytest.raises(InvalidOption, match="factor is 0"):
        replace(VALUES[1], factor=0)


def test_a_job_read_is_a_dataclass():
    """FastAPI and Flask answer with one, and `asdict` goes through it."""
    assert asdict(VALUES[-1])["history"][0]["error"] == {"type": "ValueError", "message": "no", "traceback": ""}
