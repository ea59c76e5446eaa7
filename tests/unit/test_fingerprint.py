"""Fingerprints: the same failure gives the same one, whatever numbers it holds and wherever it is installed."""

from __future__ import annotations

import json.decoder
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateshift.fingerprint import fingerprint
from lateshift.job import JobError
from lateshift.runtime.exceptions import describe

TRACE = """Traceback (most recent call last):
  File "/srv/app/releases/41/shop/jobs.py", line 12, in handle
    charge(order)
  File "/srv/app/releases/41/shop/payment.py", line 80, in charge
    client.post(url)
  File "/usr/lib/python3.13/site-packages/httpx/_client.py", line 914, in send
    raise ConnectTimeout
httpx.ConnectTimeout: timed out
"""


def key(message: str = "timed out", trace: str = TRACE, kind: str = "httpx.ConnectTimeout") -> str:
    return fingerprint(JobError(kind, message, trace)).key


def test_the_place_is_the_last_frame_of_the_programs_own():
    """Library frames below it do not count; the file goes by its last two parts."""
    assert fingerprint(JobError("x", "y", TRACE)).place == "shop/payment.py: charge"


LIBRARIES = [
    "/usr/lib/python3.11/json/decoder.py",
    "/usr/lib/python3.13t/json/decoder.py",
    "/opt/pypy/lib/pypy3.10/json/decoder.py",
    r"C:\Users\ada\AppData\Local\Programs\Python\Python312\Lib\json\decoder.py",
    r"C:\Program Files\WindowsApps\PythonSoftwareFoundation.Python.3.12_x64\Lib\json\decoder.py",
    r"C:\Users\ada\miniconda3\Lib\json\decoder.py",
    r"json\decoder.py",
    json.decoder.__file__,
]


@pytest.mark.parametrize("file", LIBRARIES)
def test_the_standard_library_is_not_the_programs_own(file):
    """Of whatever Python: what it raises belongs to the function that called it."""
    trace = (
        f'{TRACE.partition("  File")[0]}  File "/app/jobs.py", line 3, in load\n  File "{file}", line 355, in decode\n'
    )
    assert fingerprint(JobError("json.decoder.JSONDecodeError", "Expecting value", trace)).place == "app/jobs.py: load"


def test_of_a_chain_the_last_error_counts():
    """What was raised while another error was handled is the failure."""
    chained = (
        'Traceback (most recent call last):\n  File "/srv/shop/first.py", line 1, in one\n    x\nKeyError: 1\n\n'
        "During handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "/srv/shop/second.py", line 2, in two\n    y\nValueError: 2\n'
    )
    assert fingerprint(JobError("ValueError", "2", chained)).place == "shop/second.py: two"


def test_without_a_traceback_there_is_no_place():
    """A worker that died left none."""
    assert fingerprint(JobError("lateshift.errors.WorkerDied", "the worker host-12 died", "")).place == ""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("order 17 is gone", "order 4,711 is gone"),
        ("no file '/tmp/a.txt'", "no file '/tmp/other.txt'"),
        ('KeyError: "name"', 'KeyError: "street"'),
        ("user a@example.org", "user long.name@mail.example.com"),
        ("GET https://a.example/x?y=1 failed", "GET https://b.example/z failed"),
        ("job 0190d3c2-8d2e-7cc0-9e10-abcdefabcdef", "job 0190d3c2-8d2e-7cc0-9e10-abcdefabcde0"),
        ("<Object at 0x7f00ff>", "<Object at 0x7f00aa>"),
        ("commit deadbeef01", "commit 00c0ffee99"),
        ("took 1.5 s", "took 20 s"),
        ("two  spaces", "two\nspaces"),
        (f"cannot read '{'a ' * 400}'", f"cannot read '{'b' * 900}'"),
        (f'cannot read "{"a" * 400}" as `{"b " * 300}`', f'cannot read "{"b" * 40}" as `{"c" * 700}`'),
    ],
)
def test_what_varies_does_not_count(first, second):
    """Numbers, ids, addresses and what stands in quotes are the same in every message."""
    assert key(first) == key(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("not found", "not allowed"),
        ("can't connect", "can't disconnect"),
        ("timeout of read", "timeout of write"),
        ("can't a" * 100, "can't b" * 100),
    ],
)
def test_words_count(first, second):
    """Messages that say different things are different failures."""
    assert key(first) != key(second)


def test_lines_and_folders_do_not_count():
    """An edit above the place, and a release in another folder, make no new group."""
    assert key() == key(trace=TRACE.replace("line 80", "line 93").replace("releases/41", "releases/42"))
    assert key() != key(trace=TRACE.replace("in charge", "in refund"))
    assert key() != key(kind="httpx.ReadTimeout")


@given(st.text(max_size=2000), st.text(max_size=2000), st.text(max_size=100))
def test_any_error_has_a_fingerprint(message, trace, kind):
    """Whatever is stored, it has one: 16 digits, and the same each time."""
    found = fingerprint(JobError(kind, message, trace))
    assert len(found.key) == 16
    assert set(found.key) <= set("0123456789abcdef")
    assert len(found.message) <= 300


def test_a_module_that_another_python_has(monkeypatch):
    """The message says which Python looked for it, as the enqueuing program may have another; it makes no new group."""
    told = []
    for executable in ("/srv/one/bin/python", "/srv/other/bin/python"):
        monkeypatch.setattr(sys, "executable", executable)
        told.append(describe(ModuleNotFoundError("No module named 'numpy'")))
        assert told[-1].message.endswith(f" at '{executable}' looked for it)")
    assert fingerprint(told[0]) == fingerprint(told[1])
