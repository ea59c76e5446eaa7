"""`/metrics` as Prometheus reads it: well-formed, bounded, and with counters that only grow."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lateshift import Lateshift
from lateshift.dashboard.api.operations import OPERATIONS
from lateshift.job import moment, to_microseconds
from lateshift.storage import counting, migrations, open_database, tallies, workers

TOKEN = "a-token-of-many-characters"


def families(client):
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def values(family, **labels):
    """The samples of a family that have these labels, by name and the other labels."""
    return {
        (sample.name, *(value for name, value in sorted(sample.labels.items()) if name not in labels)): sample.value
        for sample in family.samples
        if labels.items() <= sample.labels.items()
    }


def add(site, part, queue="mail", minute=None, **counts):
    sums = tallies.Sums(**counts)
    sums.runs[3] = sums.waits[27] = sums.count
    minute = site.app.database.now() // 60_000_000 if minute is None else minute
    tallies.add(site.app.database, "w-7f3a90", part, [((minute, queue, "shop.a"), sums)])


def attempts(site, queue="mail"):
    return values(families(site.client())["lateshift_attempts"], queue=queue)


def test_everything_is_there(site, client):
    """Each family has a type and a sentence; the numbers are those of the pages."""
    found = families(client)
    assert {name: family.type for name, family in found.items()} == {
        "lateshift_info": "gauge",
        "lateshift_jobs": "gauge",
        "lateshift_queue_jobs": "gauge",
        "lateshift_queue_oldest_seconds": "gauge",
        "lateshift_queue_paused": "gauge",
        "lateshift_attempts": "counter",
        "lateshift_attempt_wait_seconds": "histogram",
        "lateshift_attempt_run_seconds": "histogram",
        "lateshift_workers": "gauge",
        "lateshift_slots": "gauge",
    }
    assert all(family.documentation.endswith(".") for family in found.values())
    assert values(found["lateshift_jobs"], status="failed") == {("lateshift_jobs",): 6}
    assert values(found["lateshift_queue_paused"], queue="partners") == {("lateshift_queue_paused",): 1}
    assert values(found["lateshift_queue_oldest_seconds"], queue="partners")[("lateshift_queue_oldest_seconds",)] > 60
    assert values(found["lateshift_workers"]) == {("lateshift_workers", "alive"): 2, ("lateshift_workers", "dead"): 1}


def test_histograms_are_cumulative(make_site):
    """Each bucket holds those below; the last is the count, also of what is beyond every bound."""
    site = make_site(filled=False)
    add(site, 1, completed=3, failed=1, run_time=8_000_000)
    found = families(site.client())
    for name, first in (("run", "0.008192"), ("wait", "+Inf")):
        family = found[f"lateshift_attempt_{name}_seconds"]
        buckets = [(s.labels["le"], s.value) for s in family.samples if s.name.endswith("_bucket")]
        assert [le for le, value in buckets if value] == [le for le, _ in buckets][
            [le for le, _ in buckets].index(first) :
        ]
        assert [value for _, value in buckets] == sorted(value for _, value in buckets)
        assert [float(le) for le, _ in buckets] == sorted(float(le) for le, _ in buckets)
        assert buckets[-1] == ("+Inf", 4)
    assert values(found["lateshift_attempt_run_seconds"])[("lateshift_attempt_run_seconds_sum", "mail")] == 8


def test_counters_are_the_same_before_and_after_folding(make_site):
    """What a worker has just written counts, and counts once when it has become history."""
    site = make_site(filled=False)
    add(site, 1, completed=3, retried=2)
    add(site, 2, completed=4, cancelled=1)
    before = attempts(site)
    assert before == {
        ("lateshift_attempts_total", "completed"): 7,
        ("lateshift_attempts_total", "failed"): 0,
        ("lateshift_attempts_total", "retried"): 2,
        ("lateshift_attempts_total", "cancelled"): 1,
    }
    tallies.fold(site.app.database)
    site.desk.forget()
    assert attempts(site) == before
    add(site, 3, completed=1)
    site.desk.forget()
    assert attempts(site)[("lateshift_attempts_total", "completed")] == 8


def test_counters_begin_anew_with_the_month(make_site):
    """What was counted last month does not count, folded or not: so all processes begin again at the same time."""
    site = make_site(filled=False)
    now = site.app.database.now()
    month = to_microseconds(moment(now).replace(day=1, hour=0, minute=0, second=0, microsecond=0)) // 60_000_000
    add(site, 1, minute=month - 1, completed=5)
    tallies.fold(site.app.database)
    add(site, 2, minute=month - 1, completed=5)
    add(site, 3, minute=month, completed=1)
    assert attempts(site)[("lateshift_attempts_total", "completed")] == 1


@pytest.mark.parametrize("name", ['with "quotes"', "back\\slash", "\\n no line", "ünï"])
def test_labels_are_escaped(make_site, name):
    """A queue may be called anything: it comes out as it is."""
    site = make_site(filled=False)
    site.app.pause_queue(name)
    assert values(families(site.client())["lateshift_queue_paused"], queue=name) == {("lateshift_queue_paused",): 1}


def test_slots_are_those_of_the_living(make_site):
    """By kind of executor, over all workers that are alive."""
    site = make_site(filled=False)
    now = site.app.database.now()
    for name, beat in (("a", now), ("b", now), ("dead", now - 900_000_000)):
        slots = {"thread": 8, "process": 2}
        worker = workers.NewWorker(name, "worker", "elsewhere", 1, "/srv", (), "0.1.0", "0.1.0", slots)
        workers.register_worker(site.app.database, worker, beat)
    assert values(families(site.client())["lateshift_slots"]) == {
        ("lateshift_slots", "process"): 4,
        ("lateshift_slots", "thread"): 16,
    }


def test_counts_stop(make_site, monkeypatch):
    """A full queue is told as 10,000, never counted to its end."""
    monkeypatch.setattr(counting, "COUNT_LIMIT", 3)
    found = families(make_site().client())
    assert values(found["lateshift_jobs"], status="failed") == {("lateshift_jobs",): 3}
    assert values(found["lateshift_queue_jobs"], queue="billing", state="waiting") == {("lateshift_queue_jobs",): 3}


def test_metrics_are_for_who_may_read(make_site):
    """A token is asked for as everywhere, and a viewer may."""
    client = make_site(dashboard_token=TOKEN).client()
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert make_site(authorize=lambda _: "viewer").client().get("/metrics").status_code == 200


@pytest.mark.parametrize("server", ["postgres_url", "mariadb_url"])
def test_the_api_on_a_server(make_site, request, server):
    """Every read, a bulk action, and the metrics are written for all databases."""
    app = Lateshift(database_url=request.getfixturevalue(server), spawn="never")
    database = open_database(app.settings, as_is=True)
    migrations.migrate(database)
    database.close()
    app.close()
    site = make_site(database_url=app.settings.database_url)
    client = site.client()
    for operation in OPERATIONS:
        if not operation.change and "{" not in operation.path:
            assert client.get(f"/api{operation.path}").status_code == 200, operation.path
    add(site, 9, completed=1)
    assert attempts(site)[("lateshift_attempts_total", "completed")] > 1
    assert client.post("/api/bulk", json={"action": "retry", "q": "status:failed"}).json()["changed"] == 6
