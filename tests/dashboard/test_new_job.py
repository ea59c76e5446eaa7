"""The form for a new job: inputs from the type hints, mistakes at their input, and only what may run is imported."""

import re
import sys
from html import unescape
from typing import TypedDict, Unpack

import pytest

from lateshift.dashboard.fields import field_of
from lateshift.errors import SpawnError
from lateshift.host.fleet import Neighbours
from lateshift.signature import Signature
from lateshift.storage import audit

CODE = """
import datetime
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import msgspec

OrderId = NewType("OrderId", int)


class Paper(Enum):
    A4 = "a4"
    LETTER = "letter"


class Size(Enum):
    SMALL = (1, 2)
    LARGE = (3, 4)


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Right(Flag):
    READ = 1
    WRITE = 2


class Store(Enum):
    LOCAL = object()
    REMOTE = "remote"


@dataclass
class Address:
    city: str


class Report:
    '''Writes a report.

    At length.
    '''

    queue = "reports"
    priority = 3
    max_retries = 0

    def handle(self, month: date, to: str, copies: int = 1, paper: Paper = Paper.A4, draft: bool = False,
               rate: float | None = None, at: datetime.datetime | None = None,
               tags: list[str] | None = None) -> None: ...


def every(
    number: int,
    order: OrderId,
    least: Annotated[int, msgspec.Meta(ge=5)],
    share: float,
    flag: bool,
    text: str,
    maybe: str | None,
    day: date,
    moment: datetime.datetime,
    zoned: Annotated[datetime.datetime, msgspec.Meta(tz=True)],
    paper: Paper,
    size: Size,
    level: Level | None,
    right: Right,
    mode: Literal["fast", 2],
    total: Decimal,
    key: UUID,
    path: Path,
    address: Address,
    numbers: dict[int, str],
    either: int | str,
    anything,
) -> None: ...


def open_ended(order_id: int = 0, **others: int) -> None: ...


def export(day: date, store: Store = Store.LOCAL) -> None: ...


@dataclass
class Broken:
    part: "Nowhere"


def odd(value: "Nowhere", broken: Broken | None = None) -> None: ...
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A module whose jobs may run, imported by nobody yet."""
    sys.modules.pop("new_job_code", None)
    (tmp_path / "new_job_code.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture
def own(make_site, code):
    """A site on which that module may run."""
    return make_site(filled=False, allowed=["new_job_code"])


def post(site, name, **fields):
    data = {"callable": f"new_job_code.{name}", **{key.replace("__", "."): value for key, value in fields.items()}}
    headers = {"sec-fetch-site": "same-origin"}
    return site.client().post("/callables/new", data=data, headers=headers, follow_redirects=False)


def problems(answer):
    """What the page says beside its inputs, by their names."""
    assert answer.status_code == 422
    found = re.findall(r'<p id="e-(.*?)" class="problem">(.*?)</p>', answer.text)
    return {key: unescape(re.sub(r"</?code>", "`", words)) for key, words in found}


def test_the_form_is_made_from_the_signature(own):
    """Each parameter has an input of its kind, with its hint and its default; the class's options are there."""
    text = own.client().get("/callables/new?callable=new_job_code.Report").text
    assert "Writes a report." in text
    inputs = dict(re.findall(r'<input id="f-(?:p\.)?(\w+)".*? type="(.*?)"', text))
    assert inputs == {
        "month": "date",
        "to": "text",
        "copies": "number",
        "rate": "number",
        "at": "datetime-local",
        "queue": "text",
        "priority": "number",
        "delay": "number",
        "max_retries": "number",
    }
    assert re.findall(r'<(?:select|textarea) id="f-p\.(\w+)"', text) == ["paper", "draft", "tags"]
    assert '<option value="">Default: A4</option>' in text
    assert "if empty: 1<" in text
    assert "if empty: reports<" in text


def test_a_job_is_enqueued_from_the_form(own):
    """With what was typed, the defaults left to the code; and the audit has it."""
    answer = post(
        own,
        "Report",
        p__month="2026-10-01",
        p__to="ada",
        p__draft="true",
        p__at="2026-11-01T08:30",
        queue="q",
        priority="9",
        delay="60",
        max_retries="2",
    )
    job = own.app.get_job(answer.headers["location"].rpartition("/")[2])
    assert job.name == "new_job_code.Report.handle"
    assert job.parameters == {"month": "2026-10-01", "to": "ada", "draft": True, "at": "2026-11-01T08:30:00"}
    assert (job.queue, job.priority, job.max_attempts) == ("q", 9, 3)
    assert 55 < (job.run_at - job.enqueued_at).total_seconds() < 65
    [noted] = audit.page(own.app.database)
    assert (noted.action, noted.target, noted.details) == ("enqueue", job.id, job.name)


def test_what_is_left_empty_is_left_to_the_class(own):
    """Its queue, its priority, its retries."""
    answer = post(own, "Report", p__month="2026-10-01", p__to="ada", queue="", priority="", delay="", max_retries="")
    job = own.app.get_job(answer.headers["location"].rpartition("/")[2])
    assert (job.queue, job.priority, job.max_attempts) == ("reports", 3, 1)


EVERY = {
    "number": ("42", 42),
    "order": ("7", 7),
    "least": ("5", 5),
    "share": ("0.5", 0.5),
    "flag": ("false", False),
    "text": ("it's <b>", "it's <b>"),
    "maybe": ("", None),
    "day": ("2026-01-31", "2026-01-31"),
    "moment": ("2026-01-31T08:30", "2026-01-31T08:30:00"),
    "zoned": ("2026-01-31T08:30:00Z", "2026-01-31T08:30:00Z"),
    "paper": ('"letter"', "letter"),
    "size": ("[3,4]", [3, 4]),
    "level": ("2", 2),
    "right": ("3", 3),
    "mode": ('"fast"', "fast"),
    "total": ("1.50", "1.50"),
    "key": ("6e2b4e56-3f0a-4d7c-9d0e-0a5b7b1f2c3d", "6e2b4e56-3f0a-4d7c-9d0e-0a5b7b1f2c3d"),
    "path": ("/tmp/x", "/tmp/x"),
    "address": ('{"city": "Rome"}', {"city": "Rome"}),
    "numbers": ('{"1": "one"}', {"1": "one"}),
    "either": ('"x"', "x"),
    "anything": ('[1, "2", null]', [1, "2", None]),
}


def test_every_kind_of_hint_arrives(own):
    """What is typed for each comes to the job as its hint says."""
    answer = post(own, "every", **{f"p__{name}": typed for name, (typed, _) in EVERY.items()})
    assert answer.status_code == 303, problems(answer)
    job = own.app.get_job(answer.headers["location"].rpartition("/")[2])
    assert job.parameters == {name: stored for name, (_, stored) in EVERY.items()}


def test_mistakes_stand_at_their_inputs(own):
    """All of them at once, with what was typed, and nothing is enqueued."""
    wrong = {
        "number": "4.5",
        "least": "4",
        "share": "much",
        "flag": "perhaps",
        "text": "",
        "day": "2026-02-31",
        "zoned": "2026-01-31T08:30:00",
        "paper": '"a5"',
        "total": "1,50",
        "key": "x",
        "address": '{"town": "Rome"}',
        "numbers": "{1}",
        "anything": "words",
    }
    good = {name: typed for name, (typed, _) in EVERY.items()}
    answer = post(
        own, "every", **{f"p__{name}": typed for name, typed in (good | wrong).items()}, priority="11", delay="-1"
    )
    found = problems(answer)
    assert set(found) == {f"p.{name}" for name in wrong} | {"priority", "delay"}
    assert found["p.number"] == "Give a whole number."
    assert found["p.text"] == "It needs a value."
    assert "`int` >= 5" in found["p.least"]
    assert found["p.paper"] == "Choose one of A4, LETTER."
    assert "This is no JSON" in found["p.anything"]
    assert "10 runs first" in found["priority"]
    assert f"{len(found)} values need a correction" in answer.text
    assert 'value="4.5"' in answer.text
    assert ">\nwords</textarea>" in answer.text
    assert own.app.list_jobs() == []


def test_what_was_typed_stays_when_the_page_is_fetched_anew(own):
    """The page with mistakes asked for the choice of callables, in whose place the form could not be kept."""
    answer = post(own, "Report", p__to="", p__month="nonsense")
    again = unescape(re.search(r'hx-get="(.*?)"', answer.text)[1])
    answer = own.client().get(again, headers={"x-live": "1"})
    assert (answer.status_code, 'id="new"' in answer.text) == (200, True)


def test_a_callable_with_any_names(own):
    """What it takes besides is one object; its values are checked, too."""
    answer = post(own, "open_ended", **{"p__order_id": "1", "p__**": '{"more": 2}'})
    assert own.app.get_job(answer.headers["location"].rpartition("/")[2]).parameters == {"order_id": 1, "more": 2}
    for typed in ('{"more": "x"}', "[]", '{"order_id": 3}'):
        assert set(problems(post(own, "open_ended", **{"p__**": typed}))) == {"p.**"}


def test_a_hint_that_takes_nothing_says_so(own):
    """Of what cannot be stored the page tells before anybody types; without a value it runs."""
    text = own.client().get("/callables/new?callable=new_job_code.odd").text
    assert "its type hint is not one that JSON can be converted to" in text
    assert post(own, "odd", p__value="1").status_code == 303


def test_an_enum_that_json_cannot_hold_has_a_form(own):
    """A default of any kind is left to the code; nothing that is typed can stand for it."""
    text = own.client().get("/callables/new?callable=new_job_code.export").text
    assert re.findall(r'<(?:select|textarea) id="f-p\.(\w+)"', text) == ["store"]
    answer = post(own, "export", p__day="2026-10-01")
    assert own.app.get_job(answer.headers["location"].rpartition("/")[2]).parameters == {"day": "2026-10-01"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("os.system", "may not run: LATESHIFT_ALLOWED has new_job_code"),
        ("new_job_code.nothing", "has no 'nothing'"),
        ("new_job_code", "not a callable in it"),
        ("new_job_code.<script>", "it is no dotted name"),
        ("new_job_code.Decimal", "comes from decimal.Decimal"),
    ],
)
def test_what_may_not_run_is_refused(own, name, words):
    """Looked at or enqueued, with the reason and without anything imported that is not on the list."""
    headers = {"sec-fetch-site": "same-origin"}
    for answer in (
        own.client().get("/callables/new", params={"callable": name}),
        own.client().post("/callables/new", data={"callable": name}, headers=headers),
    ):
        assert answer.status_code == 422
        assert words in unescape(answer.text)
        assert "<script>new" not in answer.text
    assert own.app.list_jobs() == []


def test_without_a_runner_the_job_is_there_all_the_same(own, monkeypatch):
    """The page of the stored job says that none could be started."""

    def no_runner(_neighbours, _settings, _queues, job_ids=()):
        raise SpawnError("No runner could be started.", tuple(job_ids))

    monkeypatch.setattr(Neighbours, "see_to", no_runner)
    answer = post(own, "open_ended")
    [job] = own.app.list_jobs()
    assert answer.headers["location"] == f"/jobs/{job.id}"


def test_read_only_has_no_form(make_site):
    """Nor a way to it."""
    client = make_site(read_only=True).client()
    assert client.get("/callables/new").status_code == 403
    assert "/callables/new" not in client.get("/callables").text


def test_a_default_is_shown_by_its_name():
    """Of a member the name, of a text in a choice the text, of anything else how Python writes it."""

    def job(paper=object, mark=None, size="x" * 100):
        pass

    fields = [field_of(parameter) for parameter in Signature.of(job).parameters]
    assert [field.default for field in fields[:2]] == ["<class 'object'>", "None"]
    assert fields[2].default.endswith("...")


class Extras(TypedDict, total=False):
    note: str


def test_a_key_that_may_be_left_out_says_so():
    """It has no default."""

    def job(**extras: Unpack[Extras]):
        pass

    assert field_of(Signature.of(job).parameters[0]).default == "left out"
