"""The search box: what is typed becomes terms, what cannot be read is refused where it stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateshift.errors import InvalidSearch
from lateshift.job import FINISHED, STATUSES
from lateshift.query import FIELDS, LONGEST, Term, parse, place_at, write


def shapes(text: str) -> list[tuple]:
    """The terms of a search, without their places."""
    return [(t.field, t.values, t.comparison, t.negated, t.path) for t in parse(text).terms]


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("status:failed", ("status", ("failed",), "=", False, ())),
        ("status:failed,cancelled", ("status", ("failed", "cancelled"), "=", False, ())),
        ("status:finished", ("status", FINISHED, "=", False, ())),
        ('queue:"my queue","big, mail",small', ("queue", ("my queue", "big, mail", "small"), "=", False, ())),
        ("-queue:mail", ("queue", ("mail",), "=", True, ())),
        ("priority:>5", ("priority", ("5",), ">", False, ())),
        ("attempts:<=2", ("attempts", ("2",), "<=", False, ())),
        ("parameters.order_id:42", ("parameters", ("42",), "=", False, ("order_id",))),
        ('parameters.a.b:"x, y"', ("parameters", ("x, y",), "=", False, ("a", "b"))),
        ("error:timeout", ("error", ("timeout",), "=", False, ())),
        ("after:2h", ("after", ("2h",), "=", False, ())),
        ("before:2026-01-31T08:30", ("before", ("2026-01-31T08:30",), "=", False, ())),
        ("word", ("text", ("word",), "=", False, ())),
        ('"two words"', ("text", ("two words",), "=", False, ())),
        ('-"say \\"no\\""', ("text", ('say "no"',), "=", True, ())),
        ("QUEUE:mail", ("queue", ("mail",), "=", False, ())),
        ("12:30", ("text", ("12:30",), "=", False, ())),
        ("-", ("text", ("-",), "=", False, ())),
    ],
)
def test_terms(text, term):
    """Each way to write a term."""
    assert shapes(text) == [term]


@pytest.mark.parametrize(
    ("text", "start", "end", "says"),
    [
        ("quee:mail", 0, 5, "Did you mean queue:?"),
        ("a nonsense:b", 2, 11, "Known are"),
        ("queue:", 0, 6, "without a value"),
        ("a status:lost", 9, 13, "known are pending"),
        ("priority:high", 9, 13, "whole number"),
        ("priority:>1234567890", 9, 20, "whole number"),
        ("parameters:42", 0, 11, "which parameter"),
        ("queue.x:1", 0, 8, "only parameters"),
        ('name:"open', 5, 10, "never closed"),
        ("-id:0190", 0, 8, "cannot be negated"),
        ("after:yesterday", 6, 15, "30m, 2h, 7d"),
        ("after:2026-06-31", 6, 16, "30m, 2h, 7d"),
        ("id:ü", 3, 4, "of an id"),
        ("a\x00b", 1, 2, "cannot be printed"),
    ],
)
def test_refusals(text, start, end, says):
    """A search that cannot be read says why, and where."""
    with pytest.raises(InvalidSearch) as refused:
        parse(text)
    assert says in str(refused.value)
    assert (refused.value.start, refused.value.end) == (start, end)


def test_limits():
    """Neither a long text nor a long list is read."""
    with pytest.raises(InvalidSearch, match="1,000"):
        parse("x" * (LONGEST + 1))
    with pytest.raises(InvalidSearch, match="30 are the most"):
        parse("x " * 31)


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ("", STATUSES),
        ("queue:mail", STATUSES),
        ("status:failed status:cancelled", ("failed", "cancelled")),
        ("-status:completed", tuple(status for status in STATUSES if status != "completed")),
        ("status:waiting -status:pending", ("pending_retry",)),
    ],
)
def test_statuses(text, statuses):
    """Which states a search leaves."""
    assert parse(text).statuses == statuses


def test_narrowing():
    """A bulk action takes from a search only the jobs that it applies to."""
    query = parse("status:failed,running queue:mail")
    assert query.narrowed(("failed", "cancelled")).statuses == ("failed",)
    assert query.narrowed(("pending",)).statuses == ()
    assert parse("queue:mail").narrowed(("pending",)).statuses == ("pending",)


words = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(str.strip)
numbers = st.integers(0, 10**9 - 1).map(str)
plain = st.sampled_from(["queue", "name", "worker", "error"])


@st.composite
def terms(draw) -> Term:
    """Any term that can be written."""
    kind = draw(st.sampled_from(["word", "number", "status", "parameter", "text", "id", "moment"]))
    negated = draw(st.booleans())
    if kind == "word":
        field = draw(plain)
        several = st.lists(words, min_size=1, max_size=1 if field == "error" else 3, unique=True)
        return Term(field, tuple(draw(several)), negated=negated)
    if kind == "number":
        comparison = draw(st.sampled_from(["=", ">", ">=", "<", "<="]))
        return Term(draw(st.sampled_from(["priority", "attempts"])), (draw(numbers),), comparison, negated)
    if kind == "status":
        return Term(
            "status", tuple(draw(st.lists(st.sampled_from(STATUSES), min_size=1, unique=True))), negated=negated
        )
    if kind == "parameter":
        path = draw(st.lists(st.from_regex(r"[a-z_0-9]{1,8}", fullmatch=True), min_size=1, max_size=3))
        return Term("parameters", (draw(st.one_of(st.just(""), words)),), negated=negated, path=tuple(path))
    if kind == "id":
        return Term("id", (draw(st.from_regex(r"[0-9a-f-]{1,36}", fullmatch=True)),))
    if kind == "moment":
        return Term("after", (draw(st.sampled_from(["2h", "30m", "2026-01-31"])),))
    return Term("text", (draw(words),), negated=negated)


@given(st.lists(terms(), max_size=8))
def test_what_is_written_reads_back(given_terms):
    """Every list of terms has a text that means just it."""
    expected = [(t.field, t.values, t.comparison, t.negated, t.path) for t in given_terms]
    assert shapes(write(given_terms)) == expected


@given(st.text(max_size=60) | st.text(st.sampled_from('ab:"- \\,.><=statuqe'), max_size=40))
def test_any_text_is_read_or_refused(text):
    """No text breaks the parser, and each place that it tells lies within the text."""
    try:
        query = parse(text)
    except InvalidSearch as refused:
        assert 0 <= refused.start <= refused.end <= len(text)
        return
    for term in query.terms:
        assert text[term.start : term.end].strip()


@given(st.text(st.sampled_from('ab:"- \\,.status'), max_size=30), st.integers(0, 30))
def test_a_caret_is_always_somewhere(text, caret):
    """Whatever is typed, what would be replaced lies within it."""
    place = place_at(text, min(caret, len(text)))
    assert 0 <= place.start <= place.end <= len(text)


@pytest.mark.parametrize(
    ("text", "field", "typed"),
    [
        ("status:fa", "status", "fa"),
        ("sta", None, "sta"),
        ("queue:mail,of", "queue", "of"),
        ('queue:"big, mail","of', "queue", "of"),
        ('queue:"big, ma', "queue", "big, ma"),
        ("-queue:ma", "queue", "ma"),
        ("", None, ""),
        ("a ", None, ""),
        ('name:"app.jo', "name", "app.jo"),
    ],
)
def test_what_is_being_typed(text, field, typed):
    """At the end of a text: a field's name or its value."""
    place = place_at(text, len(text))
    assert (place.field, place.typed, place.end) == (field, typed, len(text))


def test_the_fields_are_told():
    """The list that completion offers names every field once."""
    assert len(set(FIELDS)) == len(FIELDS)
