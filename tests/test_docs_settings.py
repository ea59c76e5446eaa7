"""docs/settings.md names every setting, with the default that the code has."""

import re
from pathlib import Path

import pytest
from msgspec import NODEFAULT
from msgspec.structs import fields

from lateshift import Settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
ROW = re.compile(r"^\| `LATESHIFT_(\w+)` \| (.+?) \| (.+?) \|$", re.MULTILINE)
ROWS = {name.lower(): (default, meaning) for name, default, meaning in ROW.findall(PAGE.read_text(encoding="utf-8"))}

# Their defaults depend on the machine and on the current folder.
TOLD_IN_WORDS = {"children": "the number of cores", "root": "see below"}


def written(value):
    """A default as it would stand in a .env file."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_every_setting_has_a_row():
    """No setting is missing from the table, and none is in it that does not exist."""
    assert sorted(ROWS) == sorted(item.name for item in fields(Settings))


@pytest.mark.parametrize("item", fields(Settings), ids=lambda item: item.name)
def test_the_default_is_the_one_of_the_code(item):
    """A row has the default that Settings has, and says what the setting means."""
    default, meaning = ROWS[item.name]
    if item.name in TOLD_IN_WORDS:
        assert item.default is NODEFAULT
        assert default == TOLD_IN_WORDS[item.name]
    else:
        assert default == f"`{written(item.default)}`"
    assert meaning.endswith(".")
