"""What all tests share: no settings of whoever runs them."""

import os

import pytest
from hypothesis import HealthCheck, settings
from server_process import memory

if folder := memory():  # on a disk a test with an SQLite file waits for half of its time; nobody cuts the power here
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))

settings.register_profile("lateshift", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lateshift")  # a loaded machine is no failure

pytest_plugins = ["pytester", "servers_plugin"]

ONCE = {"chromium", "postgres", "postgres_server", "postgres_url", "mariadb", "mariadb_server", "mariadb_url"}
"""What tests are slow with, and no version of Python makes a difference to."""

ONCE_TOO = {
    "test_architecture.py",
    "test_claim_model.py",
    "test_claim_protocol.py",
    "test_dashboard_command.py",
    "test_hostile_strings.py",
    "test_logs_command.py",
    "test_main_path.py",
    "test_query_plans.py",
    "test_random_operations.py",
    "test_random_operators.py",
    "test_run.py",
    "test_schema.py",
    "test_search.py",
    "test_streams.py",
    "test_terminal.py",
}
"""Files that are about SQL, the code's text or what commands print, and take some seconds."""

TWICE = {
    "test_bridge.py",
    "test_families.py",
    "test_foreign_connections.py",
    "test_mounting.py",
    "test_pages.py",
    "test_running.py",
}
"""Files of which each version of Python sees all. The other end-to-end tests are about races and faults, those of the
dashboard about pages."""


def pytest_collection_modifyitems(items):
    """Mark as slow what uses one of these, and begin with it: nobody is to wait for one last test of a minute."""
    for item in items:
        given = item.callspec.params.values() if hasattr(item, "callspec") else ()
        once = item.path.name in ONCE_TOO or not ONCE.isdisjoint([*item.fixturenames, *map(str, given)])
        if (once or item.path.parent.name in ("e2e", "dashboard")) and item.path.name not in TWICE:
            item.add_marker("slow")
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch):
    for name in [*os.environ]:
        if name.startswith("LATESHIFT_") and not name.startswith("LATESHIFT_TEST_"):
            monkeypatch.delenv(name)
