"""What the tests of processes share."""

from __future__ import annotations

import pytest
from children import note_children


@pytest.fixture(autouse=True)
def _children() -> None:
    note_children()
