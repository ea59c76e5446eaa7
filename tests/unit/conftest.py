"""What the unit tests share."""

import sys

import pytest
from user_code import Project
from wine import UNDER_WINE

# They have models of pydantic among their cases, whose library in Rust calls what Wine does not have.
collect_ignore = ["test_codec.py", "test_models.py", "test_signature_types.py"] if UNDER_WINE else []


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose modules are forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield Project(tmp_path)
    for name in set(sys.modules) - before:
        del sys.modules[name]
