"""`lateshift top` in a real terminal, on a real database: what is seen, what keys do, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import closing

import pytest

from lateshift import Lateshift
from lateshift.cli.shapes import TOP_KEYS
from lateshift.errors import StorageError
from lateshift.storage import audit, migrations, open_database, reads

pytest.importorskip("pty", reason="no pseudo-terminals on Windows")

from terminal_screen import Terminal, top

LIVE = ("--interval", "0.2")


@pytest.fixture
def start(site):
    """Starts `lateshift top` on the site's database, and ends it with the test."""
    started = []

    def one(*options, ready="lateshift top", **where):
        started.append(top(site, *LIVE, *options, **where))
        started[-1].until(ready)
        return started[-1]

    yield one
    for terminal in started:
        terminal.close()


def plain(site, *options, code=0, **environment):
    """What it prints where there is no terminal."""
    settings = site.app.settings
    mine = {"LATESHIFT_DATABASE_URL": settings.database_url, "LATESHIFT_SPAWN": "never"}
    done = subprocess.run(
        [sys.executable, "-m", "lateshift", "top", *options],
        cwd=settings.storage_dir,
        env={**os.environ, **mine, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (120, 40)])
def test_the_whole_picture_at_usual_sizes(site, start, columns, lines):
    """Verdict, figures and all four panes are on the screen; the verdict is that of the dashboard."""
    screen = start(columns=columns, lines=lines).until("Failures 6")
    page = site.client().get("/").text
    assert "Working, with something to look at" in page
    assert "Working, with something to look at" in screen
    assert "The queue partners is paused while 2 jobs wait." in screen
    assert re.search(r"jobs/s +0\.\d% failed +oldest \d+ s +6 running +15 waiting +2 workers, 1 dead", screen)
    for pane in ("Queues 6", "Running 6", "Waiting 15, 6 later", "Failures 6"):
        assert f"─ {pane} ─" in screen
    assert "64% page 41 of 64" in screen
    assert "ReadTimeout: HTTPSConn" in screen
    assert screen.splitlines()[-1].endswith("q quit")


@pytest.mark.parametrize(("columns", "lines"), [(60, 20), (40, 12), (24, 6), (8, 3), (1, 1)])
def test_smaller_terminals_show_less_and_break_nothing(start, columns, lines):
    """Panes and columns give way; nothing is drawn beyond the screen's edges."""
    terminal = start(columns=columns, lines=lines, ready="")
    while not terminal.written.count(b"\x1b[K"):
        terminal.read()
    terminal.press("jkj\t\r")
    terminal.read(0.3)
    assert terminal.process.poll() is None
    drawn = re.findall(r"\x1b\[(\d+);1H(.*?)\x1b\[K", terminal.written.decode(), re.DOTALL)
    texts = [re.sub(r"\x1b\[[\d;]*m", "", text) for _, text in drawn]
    assert max(int(line) for line, _ in drawn) <= lines
    assert max(map(len, texts)) <= columns


def test_it_is_live(site, start):
    """What happens is seen without a key."""
    terminal = start()
    terminal.until("Running 6")
    site.day.job("running", 1, worker="w-7f3a90")
    terminal.until("Running 7")


def test_only_what_changed_is_written(start):
    """A slow line is not asked for the whole screen every second."""
    terminal = start()
    terminal.until("q quit")
    terminal.read(1)
    before = len(terminal.written)
    terminal.press("jk")
    terminal.read(0.3)
    assert len(terminal.written) - before < 1_500


def test_rows_are_selected_and_shown(site, start):
    """Tab goes from pane to pane, j and k up and down; Enter shows the job with all one asks first, Esc leads back."""
    terminal = start()
    terminal.until("> NightlyRevenue")
    terminal.press("j\x1b[Bk")
    terminal.until("> ChargeCard")
    terminal.press("\t\t")
    terminal.until("> ChargeCard.handle +4 min ago")
    terminal.press("\r")
    shown = terminal.until("Its last error was", "Log of attempt 4", "WARNING shop.gateway: no answer after 10 s")
    job = site.app.get_job(re.search(r"[0-9a-f-]{36}", shown)[0])
    assert job.status == "failed"
    assert f'{{"order_id":{job.parameters["order_id"]},' in shown
    terminal.press("\x1b[6~\x1b[6~")
    terminal.until("shop/gateway.py")
    terminal.press("\x1b")
    terminal.until("> ChargeCard.handle +4 min ago")


def test_a_job_that_goes_while_it_is_shown(site, start):
    """It says so, and the way back is open."""
    terminal = start("--filter", "status:failed")
    terminal.press("\t\t\r")
    shown = terminal.until("Its last error was")
    site.app.delete_job(re.search(r"[0-9a-f-]{36}", shown)[0])
    terminal.until("not there any more")
    terminal.press("\x1b")
    terminal.until("Failures 5")


def test_retry(site, start):
    """The selected job runs again, which is told and noted."""
    terminal = start()
    terminal.press("4")
    terminal.until("> ChargeCard.handle +4 min ago")
    terminal.press("r")
    screen = terminal.until("Job ([0-9a-f]{8}) runs again", "Failures 5")
    short = re.search("Job ([0-9a-f]{8}) runs again", screen)[1]
    (entry,) = audit.page(site.app.database)
    assert (entry.action, entry.target[-8:], entry.details) == ("retry", short, "lateshift top")
    assert reads.status(site.app.database, entry.target) == "pending_retry"


def test_what_cannot_be_done_is_told(start):
    """A running job is not to be retried, and a queue is no job."""
    terminal = start()
    terminal.press("r")
    terminal.until("cannot be retried")
    terminal.press("1c")
    terminal.until("no job here")


def test_cancelling_asks_first(site, start):
    """A no leaves the job alone, a yes cancels it."""
    terminal = start("--filter", "queue:mail status:pending")
    terminal.press("3")
    terminal.until("> .*send_receipt")
    before = len(site.app.list_jobs(status="cancelled"))
    terminal.press("c")
    terminal.until(r"Cancel job [0-9a-f]{8}\? y or n")
    terminal.press("n")
    terminal.until("q quit")
    assert len(site.app.list_jobs(status="cancelled")) == before
    terminal.press("cy")
    terminal.until(r"Job [0-9a-f]{8} is cancelled")
    assert len(site.app.list_jobs(status="cancelled")) == before + 1
    assert [entry.action for entry in audit.page(site.app.database)] == ["cancel"]


def test_a_queue_is_paused_and_resumed(site, start):
    """p does either, on the selected queue."""
    terminal = start()
    terminal.press("1")
    name = re.search(r"> (\w+)", terminal.until(r"> \w+ .*open"))[1]
    terminal.press("p")
    terminal.until(f"Queue {name} is paused", rf"{name} .*paused")
    assert reads.queue_paused(site.app.database, name)
    terminal.press("p")
    terminal.until(f"Queue {name} runs again")
    assert not reads.queue_paused(site.app.database, name)


def test_the_filter_understands_the_search_language(start):
    """It completes, says what is wrong, goes to where something is found, and Esc takes it away."""
    terminal = start()
    terminal.press("/stat\t")
    terminal.until("/ status:")
    terminal.press("nothing\r")
    terminal.until("There is no status 'nothing'")
    terminal.press("\x15error:timeout queue:bill\t\r")
    screen = terminal.until(r"/ error:timeout queue:billing +\(Esc clears\)", "> ChargeCard", "Running 0", "Failures 6")
    assert "Queues 1" in screen
    terminal.press("\x1b")
    terminal.until("Running 6", "Queues 6")


def test_it_follows_the_size_of_the_terminal(start):
    """Smaller and larger, at once."""
    terminal = start("--interval", "60")
    terminal.until("q quit")
    terminal.resize(50, 14)
    terminal.until(r"Queues 6 +Running 6|pane 2 of 4")
    terminal.resize(120, 40)
    terminal.until("WORKER", "─ Failures 6 ─")


@pytest.mark.parametrize(
    ("how", "code"), [("q", 0), ("\x03", 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_it_leaves_the_terminal_as_it_was(start, how, code):
    """However it ends: by q, by Ctrl-C, or by a signal."""
    terminal = start()
    terminal.until("q quit")
    assert not terminal.is_as_before
    if isinstance(how, str):
        terminal.press(how)
    assert terminal.ended(None if isinstance(how, str) else how) == code
    assert terminal.is_as_before
    assert b"Traceback" not in terminal.written


def test_an_error_leaves_the_terminal_as_it_was(tmp_path):
    """Also one that nobody foresaw."""
    code = "from lateshift.top.terminal import Terminal\nwith Terminal(): raise ValueError('not foreseen')"
    terminal = Terminal([sys.executable, "-c", code], tmp_path, {})
    assert terminal.ended() == 1
    assert terminal.is_as_before
    assert b"not foreseen" in terminal.written
    terminal.close()


def test_ctrl_z_lends_the_terminal_to_others(start):
    """While it is stopped the terminal is as it was; afterwards everything is drawn anew."""
    terminal = start()
    terminal.until("q quit")
    terminal.press("\x1a")
    os.waitid(os.P_PID, terminal.process.pid, os.WSTOPPED)
    terminal.read()
    assert terminal.is_as_before
    terminal.screen.reset()
    terminal.process.send_signal(signal.SIGCONT)
    terminal.until("lateshift top", "q quit")


def test_a_terminal_that_is_gone_ends_it(start):
    """A connection that breaks leaves nothing behind that runs."""
    terminal = start()
    os.close(terminal.leader)
    terminal.leader = os.open(os.devnull, os.O_RDONLY)
    assert terminal.process.wait(20) != 0


@pytest.mark.parametrize("options", [{"NO_COLOR": "1"}, {}])
def test_colours_only_where_they_are_wanted(start, options):
    """Without them the selection still stands out, and it is as live."""
    terminal = start(**options)
    terminal.until("q quit")
    coloured = re.search(rb"\x1b\[[\d;]*3[1-6]m", terminal.written) is not None
    assert coloured == (not options)
    assert b"\x1b[7m" in terminal.written


def test_names_and_errors_cannot_drive_the_terminal(site, start):
    """What comes from outside is shown, and does nothing."""
    evil = "\x1b]0;gone\x07\x1b[2Jboo\u202e"
    site.day.job("failed", 1, finished_at=site.day.now, error_type=evil, error_message=evil, progress_message=evil)
    site.day.job("running", 1, worker="w-7f3a90", progress=0.5, progress_message=evil, name=f"shop.{evil}")
    terminal = start(columns=160)
    terminal.until("boo")
    terminal.press("4\r")
    terminal.until("boo", "Error")
    assert b"\x1b]0;" not in terminal.written
    assert "\u202e" not in terminal.written.decode()


def test_a_database_that_does_not_answer_is_waited_for(site, monkeypatch):
    """What was seen last stays, with the reason below it until it does; what a key could not do stays told."""
    from lateshift.query import Query
    from lateshift.top import loop

    program = loop.Top(site.app, site.app.database, Query(), 1, colours=True)
    seen = program._picture

    def refuse(*_, **__):
        raise StorageError("The database does not answer.")

    with monkeypatch.context() as away:
        away.setattr(loop, "look", refuse)
        assert not program._look_again()
    assert program._picture is seen
    assert program._state.told == "It goes on trying. The database does not answer."
    assert program._look_again()
    assert program._state.told == ""
    program._state.tell("The job cannot be retried.", wrong=True)
    assert program._look_again()
    assert program._state.told == "The job cannot be retried."


def test_where_there_is_no_terminal_it_is_printed_once(site):
    """As plain text, without a sequence; with --once also in a terminal."""
    told = plain(site)
    assert "Working, with something to look at.\n- The queue partners is paused while 2 jobs wait.\n" in told
    assert "Read timed out. (timeout=10)" in told
    assert "\x1b" not in told
    assert [line for line in told.splitlines() if line != line.rstrip()] == []


def test_what_goes_to_standard_error_does_not_spoil_the_screen(start):
    """Such as that the log cannot be written: it is printed when the screen is given back."""
    terminal = start(LATESHIFT_STORAGE_DIR="/dev/null/x")
    terminal.press("4r")
    assert "cannot write its log" not in terminal.until("runs again")
    assert b"cannot write its log" not in terminal.written
    terminal.press("q")
    assert terminal.ended() == 0
    assert b"cannot write its log" in terminal.written.rpartition(b"\x1b[?1049l")[2]


def test_once_in_a_terminal(site):
    """It ends by itself, and draws nothing."""
    terminal = top(site, "--once")
    assert terminal.ended() == 0
    assert b"Failures 6" in terminal.written
    assert b"\x1b" not in terminal.written
    terminal.close()


def test_json(site):
    """One object with the documented keys, jobs and queues as everywhere."""
    told = json.loads(plain(site, "--json", "--filter", "queue:billing"))
    assert list(told) == re.sub(r"\([^)]*\)", "", TOP_KEYS).replace(" ", "").split(",")
    assert (told["light"], told["counts"]["running"], told["workers"]) == ("warning", 6, 2)
    assert {job["queue"] for job in (*told["running"], *told["failed"])} == {"billing"}
    assert [queue["name"] for queue in told["queues"]] == ["billing"]


@pytest.mark.parametrize("server", ["postgres_url", "mariadb_url"])
def test_it_looks_at_database_servers(make_site, request, server):
    """The same picture, with and without a filter."""
    url = request.getfixturevalue(server)
    app = Lateshift(database_url=url, spawn="never")
    with closing(open_database(app.settings, as_is=True)) as database:
        migrations.migrate(database)
    app.close()
    site = make_site(database_url=url)
    told = plain(site)
    assert "Running 6" in told
    assert "Failures 6" in told
    assert "Failures 6" in plain(site, "--filter", "error:timeout queue:billing")


def test_a_wrong_filter_is_refused(site):
    """Before anything is drawn."""
    assert "There is no field 'kolor'" in plain(site, "--filter", "kolor:red", code=2)


def test_the_command_line_does_not_wait_for_it():
    """Rich and the screen are imported when `top` runs, and not by other commands."""
    code = "import sys, lateshift.cli; print([name for name in sys.modules if name in ('rich', 'lateshift.top')])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
