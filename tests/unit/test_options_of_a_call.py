"""What can be said of a job when it is enqueued, in all the places that list it by hand."""

from inspect import signature

import lateshift
from lateshift import Lateshift
from lateshift.background import EnqueueOptions
from lateshift.cli.enqueuing import enqueue
from lateshift.dashboard.api.asking import NewJob
from lateshift.enqueuing import Call

NAMES = set(Call.__struct_fields__)
OPTIONS = NAMES - {"job", "method", "parameters"}


def test_every_way_to_enqueue_takes_the_same_options():
    """Functions, methods, `.options(...)`, the command line and the API have all that a `Call` has."""
    for app in (lateshift, Lateshift):
        for name in ("run_background_job", "arun_background_job"):
            assert signature(getattr(app, name)).parameters.keys() - {"self", "connection"} == NAMES
    assert EnqueueOptions.__annotations__.keys() == OPTIONS | {"connection"}
    assert set(NewJob.__struct_fields__) == OPTIONS | {"name", "method", "parameters"}
    ours = {"callable_path", "params", "wait_for_end", "as_json"}
    assert {item.name for item in enqueue.params} == OPTIONS | {"method"} | ours
