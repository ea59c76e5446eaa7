"""Tests of a program that calls `configure`: what it says counts, and the isolation of `lateshift.testing` stays."""

from __future__ import annotations

import importlib
import sys

import pytest

import lateshift
from lateshift import default
from lateshift.testing import drain, inline, isolated

ORDERS = """
from lateshift import background, configure

configure(allowed=["configured_orders"], max_retries=7)


@background
def charge(amount: int) -> int:
    return amount


def create_app():
    return configure(allowed=["configured_orders"], max_retries=9, storage_dir="storage", spawn="auto")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of the program, which nobody has imported yet."""
    (tmp_path / "configured_orders.py").write_text(ORDERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(default, "_code", {})
    yield tmp_path
    sys.modules.pop("configured_orders", None)


def orders():
    return importlib.import_module("configured_orders")


@pytest.mark.parametrize("imported", ["before", "within"])
def test_a_module_that_configures_when_it_is_imported(folder, imported):
    """Its settings are in force in the test, imported before or in it, and its jobs are the test's own."""
    if imported == "before":
        orders()
    with isolated() as app, inline():
        assert lateshift.get_job(orders().charge.enqueue(amount=1)).result == 1
        assert default.get_app() is app
        assert app.settings.max_retries == 7
    assert not (folder / "storage").exists()


def test_a_factory_that_configures(folder):
    """It changes settings in the midst of a test, but neither the test's own ones, nor where its jobs are."""
    with isolated(max_result=100) as app:
        job_id = orders().charge.enqueue(amount=1)
        assert orders().create_app() is app
        assert [job.id for job in drain()] == [job_id]
        orders().charge.enqueue(amount=2)
        assert [job.max_attempts for job in drain()] == [10]
        with inline():
            orders().create_app()
            assert app.settings.spawn == "never"
        assert (app.settings.spawn, app.settings.max_result) == ("never", 100)
        assert not app.settings.storage_dir.is_relative_to(folder)
    assert default.get_app().settings.max_retries == 9
    assert not (folder / "storage").exists()


def test_blocks_within_one_another():
    """Both follow what is configured in the inner one, each but for settings of its own."""
    with isolated(max_retries=1) as outer:
        with isolated(allowed=["shop"]) as inner:
            assert lateshift.configure(allowed=["orders"], max_retries=5) is inner
            assert (inner.settings.allowed, inner.settings.max_retries) == (("shop",), 5)
        assert default.get_app() is outer
        assert (outer.settings.allowed, outer.settings.max_retries) == (("orders",), 1)
