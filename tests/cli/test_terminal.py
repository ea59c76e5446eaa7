"""What a person sees in a terminal."""

import os

import pytest

from lateshift.cli.output import Column, fitting

pty = pytest.importorskip("pty", reason="no pseudo-terminals on Windows")


def seen(project, *arguments, columns=100, env=None):
    """What a command prints into a terminal."""
    mine, its = pty.openpty()
    environment = {"COLUMNS": str(columns), "TERM": "xterm", **(env or {})}
    process = project.start(*arguments, env=environment, stdin=its, stdout=its)
    os.close(its)
    chunks = []
    while True:
        try:
            chunk = os.read(mine, 65536)
        except OSError:  # Linux tells so that the other end is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(mine)
    process.communicate()
    return b"".join(chunks).decode()


def test_colours_in_a_terminal(project):
    """A status has a colour in a terminal, and markup in a name is no markup."""
    project.done("quick")
    assert "\x1b[32mcompleted" in seen(project, "list")


@pytest.mark.parametrize(("arguments", "env"), [([], {"NO_COLOR": "1"}), (["--plain"], {}), ([], {"TERM": "dumb"})])
def test_no_colours_where_they_are_not_wanted(project, arguments, env):
    """NO_COLOR, --plain and a dumb terminal get the plain table."""
    project.done("quick")
    told = seen(project, *arguments, "list", env=env)
    assert "completed" in told
    assert "\x1b" not in told


def test_an_id_stays_whole_in_a_narrow_terminal(project):
    """In 80 columns the less important columns go, and the id can still be copied."""
    job_id = project.done("quick")
    told = seen(project, "list", columns=80)
    assert job_id in told
    assert "PRIORITY" not in told


def test_columns_go_from_the_right():
    """What is not needed is left out from the right, until the rest fits or only the needed ones are left."""
    columns = [Column("AAAA", needed=True), Column("BBBB"), Column("CCCC", needed=True), Column("DDDD")]
    assert fitting(columns, [], 22) == [0, 1, 2, 3]
    assert fitting(columns, [], 21) == [0, 1, 2]
    assert fitting(columns, [], 15) == [0, 2]
    assert fitting(columns, [], 1) == [0, 2]
