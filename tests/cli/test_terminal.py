"""What a person sees in a terminal."""

import contextlib
import os
import re

import pytest
from rich.cells import cell_len

from lateshift.accounts import check_password
from lateshift.screen import Column, fitting, shortened_cell

ANSI = re.compile(r"\x1b\[[0-9;]*m")

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


@pytest.mark.parametrize(
    ("arguments", "env", "fits"),
    [([], {"NO_COLOR": "1"}, True), (["--plain"], {}, False), ([], {"TERM": "dumb"}, False)],
)
def test_no_colours_where_they_are_not_wanted(project, arguments, env, fits):
    """NO_COLOR takes away the colours only; --plain and a dumb terminal get the plain table, as wide as it is."""
    project.done("quick")
    told = seen(project, *arguments, "list", columns=80, env=env)
    assert "completed" in told
    assert "\x1b" not in told
    assert (max(map(len, told.splitlines())) <= 80) is fits


def test_an_id_stays_whole_in_a_narrow_terminal(project):
    """In 80 columns the less important columns go, and the id can still be copied."""
    job_id = project.done("quick")
    told = seen(project, "list", columns=80)
    assert job_id in told
    assert "PRIORITY" not in told


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_ids_and_statuses_are_whole_from_60_columns_on(project, columns):
    """Also beside the longest status; a name that has no room loses its beginning, with a mark, and breaks nowhere."""
    jobs = [project.done("quick"), project.done("fail"), project.enqueue("ProcessOrder", order_id=1)]
    lines = seen(project, "list", columns=columns, env={"NO_COLOR": ""}).replace("\r", "").splitlines()
    plain = [ANSI.sub("", line) for line in lines]
    assert [line.split()[:2] for line in plain[1:]] == [
        [jobs[2], "pending"],
        [jobs[1], "pending_retry"],
        [jobs[0], "completed"],
    ]
    assert max(map(len, plain)) <= columns
    assert all(line == line.rstrip() for line in plain)


def test_an_id_is_never_cut(project):
    """In 30 columns the rows are longer than the screen, so that the id can still be copied."""
    job_id = project.done("quick")
    title, row = ANSI.sub("", seen(project, "list", columns=30)).splitlines()
    assert title.split() == ["ID", "STATUS"]
    assert row.split() == [job_id, "completed"]


def test_help_fits_80_columns(project):
    """Neither the texts nor the table of exit codes are broken by the terminal."""
    assert max(map(len, seen(project, "--help", columns=80).replace("\r", "").splitlines())) <= 80


def test_doctor_wraps_below_its_texts(project):
    """A long line goes on where its text began, and breaks between words."""
    told = ANSI.sub("", seen(project, "doctor", columns=80)).replace("\r", "")
    lines = told.splitlines()
    first = next(place for place, line in enumerate(lines) if " other settings " in line)
    begin = lines[first].index("at their defaults")
    assert re.match(" " * begin + r"\w+=", lines[first + 1])
    assert all(len(line) <= 80 or " " not in line[begin:] for line in lines)
    assert "keep_days=7.0, grace=30.0, threads=8, coroutines=200, children=2" in " ".join(told.split())


def test_explain_breaks_between_words(project):
    """What it says is prose, and wrapped as such."""
    told = seen(project, "explain", project.enqueue("quick"), columns=60).replace("\r", "")
    assert max(map(len, told.splitlines())) <= 60
    assert "No worker is running. None starts by itself, because" in told


@pytest.mark.parametrize(
    "words",
    ["日本語のメッセージ " * 8, "ファイルが見つかりません。" * 6, "🚀 launched " * 12],
    ids=["spaced", "unspaced", "emoji"],
)
def test_explain_counts_columns_and_not_characters(project, words):
    """Wide characters take two; Chinese and Japanese, which have no spaces, may break anywhere."""
    told = seen(project, "explain", project.done("fail", message=words), columns=60).replace("\r", "")
    assert "".join(words.split()) in "".join(told.split())
    assert 50 < max(map(cell_len, told.splitlines())) <= 60


def test_a_password_is_typed_twice_and_unseen(project):
    """In a terminal it is asked for again until both are the same; standard output has the hash and nothing else."""
    mine, its = pty.openpty()
    # Without a terminal of its session getpass cannot ask the one in which these tests run.
    process = project.start("dashboard", "--hash-password", stdin=its, stderr=its, start_new_session=True)
    os.close(its)
    shown, prompts = b"", (b"Password: ", b"Repeat for confirmation: ")
    for prompt, typed in zip(2 * prompts, (b"first", b"other", b"correct horse", b"correct horse"), strict=True):
        while not shown.endswith(prompt):
            shown += os.read(mine, 65536)
        os.write(mine, typed + b"\n")
    told, _ = process.communicate()
    os.close(mine)
    assert check_password("correct horse", told.removesuffix("\n"))
    assert b"do not match" in shown
    assert not any(typed in shown for typed in (b"first", b"other", b"horse"))


@pytest.mark.parametrize(
    ("answer", "code", "left"),
    [(b"y\n", 0, 0), (b"n\n", 130, 2), (b"\n", 130, 2), (b"\x04", 130, 2)],
    ids=["yes", "no", "the default", "Ctrl-D"],
)
def test_a_filter_asks_before_it_deletes(project, answer, code, left):
    """In a terminal it says how many jobs it is about; only a yes has them deleted, and all else is told."""
    project.done("quick"), project.done("quick")
    mine, its = pty.openpty()
    process = project.start("delete", "--status", "completed", stdin=its, stderr=its)
    shown = b""
    while not shown.endswith(b"2 jobs are to be deleted. Go on? [y/N]: "):
        shown += os.read(mine, 65536)
    os.write(mine, answer)
    told, _ = process.communicate()
    os.close(its)
    with contextlib.suppress(OSError):  # Linux tells so that the other end is closed
        while chunk := os.read(mine, 65536):
            shown += chunk
    os.close(mine)
    assert (process.returncode, told) == (code, "" if left else "2 jobs deleted.\n")
    assert shown.endswith(b"\r\nNothing was done.\r\n") is bool(left)
    assert len(project.invoke_json("list")) == left


def test_columns_go_from_the_right():
    """What is not needed is left out from the right, until the rest fits or only the needed ones are left."""
    columns = [Column("AAAA", needed=True), Column("BBBB"), Column("CCCC", needed=True), Column("DDDD")]
    assert fitting(columns, [4, 4, 4, 4], 22) == {0: 4, 1: 4, 2: 4, 3: 4}
    assert fitting(columns, [4, 4, 4, 4], 21) == {0: 4, 1: 4, 2: 4}
    assert fitting(columns, [4, 4, 4, 4], 15) == {0: 4, 2: 4}
    assert fitting(columns, [4, 4, 4, 4], 9) == {0: 4, 2: 4}


def test_a_column_that_may_be_cut_is_cut_before_it_goes():
    """It keeps ten characters; with less it tells nothing, and leaves its room to the needed ones."""
    columns = [Column("ID", needed=True), Column("NAME", needed=True, cut="start"), Column("MORE")]
    assert fitting(columns, [20, 30, 5], 52) == {0: 20, 1: 30}
    assert fitting(columns, [20, 30, 5], 40) == {0: 20, 1: 18}
    assert fitting(columns, [20, 30, 5], 31) == {0: 20}
    assert fitting(columns, [20, 30, 5], 12) == {0: 20}


@pytest.mark.parametrize(
    ("text", "width", "cut", "expected"),
    [
        ("app.jobs.send", 10, "start", "…jobs.send"),
        ("app.jobs.send", 10, "", "app.jobs.…"),
        ("日本語の名前", 7, "", "日本語…"),
        ("日本語の名前", 8, "start", "… の名前"),
    ],
)
def test_a_cut_cell_has_a_mark(text, width, cut, expected):
    """Of a name the end is what tells most; characters that are two columns wide count as two."""
    assert shortened_cell(text, width, Column("NAME", cut=cut)) == expected
