"""`cancel`, `retry` and `delete` of all jobs that a filter chooses."""

import contextlib

import pytest


@pytest.fixture
def shop(project):
    """Jobs of several callables: two that failed, one that completed, three that wait in another queue."""
    for message in ("no luck", "again"):
        job_id = project.invoke(
            "enqueue", "app.jobs.fail", "--params", f'{{"message": "{message}"}}', "--max-retries", "0"
        )
        project.invoke("run", job_id.stdout.strip(), code=1)
    project.done("quick")
    for order_id in range(3):
        project.enqueue("ProcessOrder", order_id=order_id)
    return project


def statuses(project, *filters):
    return [job["status"] for job in project.invoke_json("list", *filters)]


def test_retry_of_all_that_failed(shop):
    """By status and name, as `list` takes them: only said first, then done; other jobs stay as they are."""
    chosen = ("--status", "failed", "--name", "fail")
    assert shop.invoke("retry", *chosen, "--dry-run").stdout == "2 jobs are to be retried.\n"
    assert shop.invoke_json("retry", *chosen, "--dry-run", "--yes") == {"matching": 2, "changed": 0}
    assert statuses(shop, "--name", "fail") == ["failed"] * 2
    assert shop.invoke("retry", *chosen, "--yes").stdout == "2 jobs retried.\n"
    assert statuses(shop, "--name", "fail") == ["pending_retry"] * 2
    assert shop.invoke_json("retry", *chosen, "--yes") == {"matching": 0, "changed": 0}
    assert statuses(shop, "--name", "quick") == ["completed"]


def test_cancel_and_delete_by_queue_and_name(shop):
    """A part of a name is whole segments, as for `list`: no job is taken that it would not show."""
    assert shop.invoke("cancel", "--name", "Order", "--yes").stdout == "0 jobs cancelled, or asked to stop.\n"
    assert shop.invoke("cancel", "--queue", "orders", "--yes").stdout == "3 jobs cancelled, or asked to stop.\n"
    assert statuses(shop, "--queue", "orders") == ["cancelled"] * 3
    assert shop.invoke_json("delete", "--name", "ProcessOrder", "--yes") == {"matching": 3, "changed": 3}
    assert len(statuses(shop)) == 3


def test_a_retry_starts_a_runner(shop):
    """As that of one job does: what is due is not to wait for the next enqueue."""
    shop.invoke("cancel", "--queue", "orders", "--yes")
    shop.run("retry", "--queue", "orders", "--yes", env={"LATESHIFT_SPAWN": "auto"})
    with contextlib.closing(shop.app()) as app:
        for job in app.list_jobs(queue="orders"):
            app.wait_for_job(job.id, timeout=30, check=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["retry"], "Name jobs by their ids, or choose them by --status"),
        (["retry", "--yes"], "Name jobs by their ids"),
        (["delete", "some-id", "--queue", "mail"], "Name jobs by their ids, or"),
        (["delete", "some-id", "--dry-run"], "Name jobs by their ids, or"),
        (["cancel", "--status", "failed"], "'pending', 'pending_retry', 'running'"),
        (["delete", "--status", "pending"], "'pending' jobs have not finished: `lateshift cancel` them first"),
        (["delete", "--name", ""], "--name is empty"),
        (["delete", "--status", "failed"], "--yes does it, --dry-run says how many"),
    ],
)
def test_refusals(shop, arguments, said):
    """Ids or filters, not both; only statuses that can be acted on; and nothing unasked where nobody can be asked."""
    assert said in shop.invoke(*arguments, code=2).stderr
    assert len(statuses(shop)) == 6
