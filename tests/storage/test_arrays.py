"""Array literals for PostgreSQL, as the server itself reads them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lateshift.storage.arrays import as_arrays

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")) | st.sampled_from(
    ["", "null", "NULL", "{}", ",", '"', '\\"', "\\", 'a","b', "{a,b}", " x "]
)
WHOLE = st.integers(-(2**63), 2**63 - 1)
ROWS = st.lists(
    st.fixed_dictionaries({"text": TEXT, "maybe": TEXT | st.none(), "whole": WHOLE, "any": WHOLE | st.none()}),
    min_size=1,
    max_size=8,
)
COLUMNS = ("text", "maybe", "whole", "any")
READ = """
select t, m, w, a from unnest(cast(:text as text[]), cast(:maybe as text[]), cast(:whole as bigint[]),
                              cast(:any as bigint[])) with ordinality as new(t, m, w, a, place) order by place"""


@pytest.mark.parametrize("bare", ["postgres"], indirect=True)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_the_server_reads_what_went_in(database, rows):
    """Whatever text, with or without what needs escaping; numbers; and nothing at all."""
    assert database.query(READ, as_arrays(rows, COLUMNS)) == [tuple(row[name] for name in COLUMNS) for row in rows]
