"""What the unit tests share."""

import sys

import pytest
from user_code import Project


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose modules are forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield Project(tmp_path)
    for name in set(sys.modules) - before:
        del sys.modules[name]
