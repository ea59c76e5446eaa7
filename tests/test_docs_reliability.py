"""docs/reliability.md names tests that exist."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
TEXT = (DOCS / "reliability.md").read_text(encoding="utf-8")
NAMED = re.compile(r"\[`(\w+)`\]\((\.\./tests/\S+\.py)\)")


def test_each_test_of_the_table_exists():
    """A row of the faults links to a file with a test of that name."""
    named = NAMED.findall(TEXT)
    missing = [f"{path}: {name}" for name, path in named if f"def test_{name}(" not in (DOCS / path).read_text()]
    assert (missing, len(named) > 40) == ([], True)
    rows = re.findall(r"^\| (?!fault|---).*", TEXT.split("## The fault suite")[0], re.MULTILINE)
    assert all(NAMED.search(row) for row in rows)
