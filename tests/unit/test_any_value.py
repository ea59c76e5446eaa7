"""Whatever somebody gives where a value is checked, it is taken or refused in our words: nothing else comes out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, date, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lateshift import codec, options, retry
from lateshift.durations import check_seconds, check_wait
from lateshift.enqueuing import calls_of
from lateshift.errors import LateshiftError, SettingsError
from lateshift.query import parse
from lateshift.settings import Settings, load_settings

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=50),
    st.binary(max_size=50),
    st.dates(),
    st.timedeltas(),
    st.datetimes(timezones=st.sampled_from([None, UTC])),
    st.decimals(),
    st.just(0).map(lambda _: 10**5_000),  # which cannot be written in decimals: Python refuses that
    st.sampled_from([object(), int, len, ..., timedelta.max, date.max, Decimal("sNaN"), uuid4()]),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=10), inner, max_size=3),
    ),
    max_leaves=5,
)

CHECKS: dict[str, Callable[[object], object]] = {
    "priority": options.check_priority,
    "queue": options.check_queue,
    "delay": options.check_delay,
    "run_at": options.check_run_at,
    "timeout": options.check_timeout,
    "retries": options.check_retries,
    "isolation": options.check_isolation,
    "memory": options.check_memory,
    "transactional": options.check_transactional,
    "status": options.check_status,
    "limit": options.check_limit,
    "name": options.check_name,
    "id": options.check_id,
    "wait": lambda value: check_wait(value, "delay"),
    "seconds": lambda value: check_seconds(value, "grace"),
    "retry_delay": retry.to_policy,
    "calls": calls_of,
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@given(anything)
def test_an_option(check, value):
    """Each has its own check."""
    with contextlib.suppress(LateshiftError):
        check(value)


@given(st.sampled_from(sorted(Settings.__struct_fields__)), anything)
def test_a_setting_in_code(name, value):
    """Of whatever type."""
    with contextlib.suppress(SettingsError):
        load_settings(**{name: value})


LINES = st.builds(
    "{}{}{}".format,
    st.sampled_from(["LATESHIFT_", "export LATESHIFT_", "", "#", "'"]),
    st.sampled_from(["GRACE", "ALLOWED", "TIMEOUT", "ROOT", "LOG_LEVEL", "X", "grace = ", "allowed = "]),
    st.sampled_from(["=", "", " = "]).flatmap(lambda sign: st.text(max_size=30).map(lambda text: sign + text)),
)
FILES = st.lists(LINES, max_size=6).map("\n".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES, FILES | st.binary(max_size=60))
def test_a_file_of_settings(tmp_path, variables, table):
    """Both files that settings are read from may hold anything."""
    (tmp_path / ".env").write_text(variables, encoding="utf-8", errors="replace")
    text = table if isinstance(table, bytes) else f"[tool.lateshift]\n{table}".encode(errors="replace")
    (tmp_path / "pyproject.toml").write_bytes(text)
    with contextlib.suppress(SettingsError):
        load_settings(root=tmp_path)


@given(
    st.dictionaries(st.text(max_size=12), anything, max_size=4)
    | st.fixed_dictionaries(
        {"kind": st.sampled_from(["fixed", "exponential", "delays", "function"])}, optional={"x": anything}
    )
)
def test_a_stored_retry_policy(stored):
    """A row may hold anything where a policy belongs."""
    with contextlib.suppress(LateshiftError):
        retry.decode(stored)


@given(st.text(max_size=200))
@example("[" * 200_000)
@example("1" * 10_000)
@example('{"a":' * 5_000)
def test_a_stored_text(text):
    """JSON, or a ValueError, which those who read rows expect."""
    with contextlib.suppress(ValueError):
        codec.decode(text)


@given(anything)
def test_a_result(value):
    """What comes back is JSON within its limit, or an error of ours."""
    with contextlib.suppress(LateshiftError, codec.NotJson):
        assert len(codec.encode(value, limit=100)) <= 100


@given(st.text(max_size=60))
def test_a_search(text):
    """It is understood or refused."""
    with contextlib.suppress(LateshiftError):
        parse(text)
