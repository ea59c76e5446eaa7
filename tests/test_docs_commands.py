"""docs/command-line.md names every command and option, the exit codes, and the keys of the JSON."""

import re
from pathlib import Path

import click
import pytest

from lateshift.cli import cli, shapes
from lateshift.cli.base import Code

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "command-line.md").read_text(encoding="utf-8")

SHAPES = {
    "A job": shapes.JOB_KEYS,
    "An attempt": shapes.ATTEMPT_KEYS,
    "A queue": shapes.QUEUE_KEYS.partition(";")[0],
    "A worker": shapes.WORKER_KEYS,
    "An overview": shapes.TOP_KEYS,
    "A check": shapes.CHECK_KEYS,
    "A number of jobs": shapes.BULK_KEYS,
}


def commands(group, prefix=""):
    for name, command in group.commands.items():
        yield f"{prefix}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")


COMMANDS = dict(commands(cli))


def section(name):
    """What the page says of a command: from its heading to the next."""
    found = re.search(rf"^### .*`{re.escape(name)}(?: [^`]*)?`.*?(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no heading names `{name}`"
    return found[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_described_with_all_its_options(name):
    """A command has a heading, and what is below it names its options."""
    described = section(name)
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option) and parameter.name != "as_json":
            assert any(f"`{option}" in described for option in parameter.opts), parameter.opts


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_keeps_its_lists(name):
    """Click's mark for lines that stay as they are is not printed, as it is from a raw string."""
    command = COMMANDS[name]
    assert "\\b" not in command.get_help(click.Context(command))


def test_no_command_is_invented():
    """Every heading that names a command names one that exists."""
    headings = re.findall(r"^### (`.*)$", TEXT, re.MULTILINE)
    named = [name for heading in headings for name in re.findall(r"`([a-z ]*[a-z])", heading)]
    assert sorted(named) == sorted(COMMANDS)


def test_the_exit_codes_are_those_of_the_code():
    """The table has each code once."""
    assert re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE) == [str(int(code)) for code in Code]


@pytest.mark.parametrize("title", SHAPES)
def test_every_json_key_is_named(title):
    """A key that a command prints is in the table of its kind."""
    table = re.search(rf"^### {title}$.*?(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    for key in re.sub(r"\([^)]*\)", "", SHAPES[title]).split(","):
        assert f"`{key.strip()}`" in table[0]
