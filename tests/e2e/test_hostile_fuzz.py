"""Whatever stands in whatever column of a job's row: nothing unlisted is imported or run, and the worker lives on."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from project import Project, finished

from lateshift.errors import LateshiftError, StorageError
from lateshift.explain import explain

EVIL = "from pathlib import Path\nPath('evil').touch()\n\n\ndef run(label=''):\n    Path('evil').touch()\n"
"""A module beside the project's, which is on its path and not on its list; importing it leaves a file."""

COLUMNS = """
name executor priority status run_at lease attempts crashes max_retries worker enqueued_at started_at finished_at
cancel_requested progress progress_message error_type error_message result options parameters
""".split()  # noqa: SIM905

OPTIONS = st.dictionaries(
    st.sampled_from(["retry", "timeout", "isolation", "max_memory", "transactional", "method", "kind"]),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.just({"kind": "evil.run"})),
)
WORDS = """
evil evil.run evil:run app.evil app.jobs.os.system app.jobs.evil os.system builtins.eval subprocess.run process thread
loop running pending pending_retry completed {} [] null [[] {"label":1} {"__class__":"evil"}
""".split()  # noqa: SIM905
TEXTS = st.one_of(
    st.sampled_from(WORDS), st.text(max_size=60), OPTIONS.map(lambda options: repr(options).replace("'", '"'))
)
VALUES = st.one_of(TEXTS, st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary(max_size=20), st.none())


def work_on(project: Project, examples: int) -> None:
    """A worker process, and rows one after the other that have a hostile value in a column, each with a good one."""
    (project.folder / "evil.py").write_text(EVIL)
    long_due = datetime.now(UTC)  # older than the worker, which would be replaced for a younger job without code
    worker = project.worker()
    app = project.app()

    # Nothing is made smaller: whatever has harmed the worker harms all that comes after it.
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), phases=(Phase.reuse, Phase.generate))
    @given(st.dictionaries(st.sampled_from(COLUMNS), VALUES, min_size=1, max_size=3))
    def try_it(values: dict[str, object]) -> None:
        app.pause_queue("bad")
        bad = app.run_background_job("app.jobs.note", parameters={"label": "bad"}, queue="bad", run_at=long_due)
        for column, value in values.items():
            with contextlib.suppress(StorageError):  # this database does not take it
                app.database.execute(
                    f"update lateshift_jobs set {column} = :value where id = :id", {"value": value, "id": bad}
                )
        app.resume_queue("bad")
        good = app.run_background_job("app.jobs.add", parameters={"a": 1}, queue="good")
        assert finished(app, good).status == "completed"
        assert worker.process.poll() is None
        for read in (app.get_job, lambda job_id: explain(app, job_id), lambda _: app.list_jobs(limit=10)):
            with contextlib.suppress(LateshiftError):
                read(bad)
        app.database.execute("delete from lateshift_jobs where id = :id", {"id": bad})

    try_it()
    app.close()
    worker.say("stop")
    assert worker.ended() == 0
    assert not (project.folder / "evil").exists()


def test_any_value_in_any_column_of_sqlite(project):
    """Which takes values of every type in every column."""
    work_on(project, 150)


@pytest.mark.parametrize("server", ["postgres", "mariadb"], indirect=True)
def test_any_value_in_any_column_of_a_server(served):
    """Which refuses most of them."""
    work_on(served, 40)
