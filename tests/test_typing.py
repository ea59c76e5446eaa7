"""What an editor tells a user: mypy finds fault in tests/typing/ exactly where a line says `# error: ...`."""

import json
import re
import sys
from functools import cache
from pathlib import Path

import pytest

api = pytest.importorskip("mypy.api")

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "tests" / "typing").glob("*.py"))
EXPECTED = re.compile(r"# error: (.+)$")

pytestmark = pytest.mark.slow


@cache
def complaints(*files):
    """What mypy says about these files: (name of the file, line) -> its messages."""
    options = ["--config-file", ROOT / "pyproject.toml", "--python-executable", sys.executable, "--output", "json"]
    out, err, _ = api.run([*map(str, [*options, *files])])
    assert not err, err
    found = {}
    for message in map(json.loads, out.splitlines()):
        if message["severity"] == "error":
            place = (Path(message["file"]).name, message["line"])
            found.setdefault(place, []).append(message["message"])
    return found


def differences(file, found):
    """Where mypy and the comments of a file do not agree."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        expected, messages = EXPECTED.search(line), found.get((file.name, number), [])
        if not expected and messages:
            yield f"line {number}: {messages}"
        if expected and not any(expected[1] in message for message in messages):
            yield f"line {number}: expected {expected[1]!r}, mypy says {messages}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_editor_sees_wrong_calls(file):
    """Each wrong line of the file is a type error, each other line is none."""
    assert list(differences(file, complaints(*FILES))) == []


def test_differences_are_found(tmp_path):
    """A wrong line without a comment, and a comment at a right line, are both reported."""
    file = tmp_path / "sample.py"
    file.write_text('a: int = ""\nb: int = 1  # error: nothing wrong here\nc: int = ""  # error: Incompatible types\n')
    assert [text.partition(":")[0] for text in differences(file, complaints(file))] == ["line 1", "line 2"]
