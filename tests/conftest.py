"""What all tests share: no settings of whoever runs them."""

import os

import pytest

pytest_plugins = ["pytester", "servers_plugin"]


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch):
    for name in [*os.environ]:
        if name.startswith("LATESHIFT_") and not name.startswith("LATESHIFT_TEST_"):
            monkeypatch.delenv(name)
