"""What all tests share: no settings of whoever runs them."""

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("lateshift", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lateshift")  # a loaded machine is no failure

pytest_plugins = ["pytester", "servers_plugin"]

ONCE = {"chromium", "mariadb", "mariadb_server", "mariadb_url"}
"""What tests are slow with, and no version of Python makes a difference to; PostgreSQL's driver is partly in C."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """Mark as slow what uses one of these, and begin with it: nobody is to wait for one last test of a minute.

    A file's tests run one after the other in one process, and all that use a browser in another one: a page that has
    to share its core with three others is late for what a test expects of it.
    """
    for item in items:
        given = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if not ONCE.isdisjoint([*item.fixturenames, *map(str, given)]):
            item.add_marker("slow")
        item.add_marker(pytest.mark.xdist_group("browser" if "chromium" in item.fixturenames else item.path.name))
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch):
    for name in [*os.environ]:
        if name.startswith("LATESHIFT_") and not name.startswith("LATESHIFT_TEST_"):
            monkeypatch.delenv(name)
