"""The audit log: each action with who did it, page by page, by actor, and with a way to what it was done to."""

import re

from test_actions import first, post
from test_hostile import EVIL, assert_harmless

from lateshift.dashboard import create_dashboard
from lateshift.storage import audit


def ids(text):
    return re.findall(r'<tr id="a-(.*?)"', text)


def note(site, number, actor="ada", target="status:failed", details=""):
    """Some actions, a second apart."""
    now = site.app.database.now() - number * 1_000_000
    return [
        audit.append(site.app.database, now + each * 1_000_000, actor, "retry", target, 12_345, details)
        for each in range(number)
    ]


def test_actions_are_listed_with_links(site, client):
    """A job, a queue and an error group are links; what was done, by whom, to how many, and when."""
    job = first(site, "failed")
    key = re.search(r'"/errors/(\w{16})', client.get("/errors").text)[1]
    post(client, f"/jobs/{job.id}/retry")
    post(client, "/queues/billing/pause")
    post(client, f"/errors/{key}/resolve")
    text = client.get("/audit").text
    assert re.findall(r'<td class="tight strong">(.*?)</td>', text) == ["resolve", "pause", "retry"]
    assert text.count(">this machine</a>") == 6  # beside what it was done to, and below it where that is narrow
    for path in (f"/jobs/{job.id}", "/jobs?queue=billing", f"/errors/{key}"):
        assert f'href="{path}"' in text


def test_pages_follow_each_other(site, client):
    """The newest first, fifty on a page, each once."""
    noted = [entry.id for entry in note(site, 120)]
    seen, path = [], "/audit"
    while path:
        text = client.get(path).text
        seen += ids(text)
        found = re.search(r'rel="next" href="(.*?)"', text)
        path = found and found[1].replace("&amp;", "&")
    assert seen == noted[::-1]
    assert "50 actions on this page" in client.get("/audit").text
    assert ids(client.get("/audit?before=nonsense").text) == noted[:-51:-1]


def test_an_actor_is_looked_for(site, client):
    """By the exact name, which stays from page to page."""
    note(site, 60, "ada")
    wanted = note(site, 60, "olga@example.com")
    text = client.get("/audit?actor=olga@example.com").text
    assert ids(text) == [entry.id for entry in wanted[:-51:-1]]
    assert "actor=olga%40example.com" in re.search(r'rel="next" href="(.*?)"', text)[1]
    assert "No such actions" in client.get("/audit?actor=nobody%00").text


def test_a_viewer_is_not_told_what_was_searched(make_site):
    """A search may hold values that are hidden from viewers, and so may details."""
    site = make_site(authorize=lambda _: "viewer")
    note(site, 1, target="parameters.api_key:sk-live-1", details="api_key was sk-live-2")
    text = site.client().get("/audit").text
    assert "12,345" in text
    assert "not shown to viewers" in text
    assert "sk-live" not in text
    other = make_site(authorize=lambda _: "operator")
    note(other, 1, target="parameters.api_key:sk-live-1", details="api_key was sk-live-2")
    text = other.client().get("/audit").text
    assert "sk-live-1" in text
    assert "sk-live-2" in text


def test_a_viewer_is_told_of_what_was_no_search(make_site):
    """Workers, chosen jobs and all jobs hide nothing, and to call them a search would be false."""
    role = ["admin"]
    site = make_site(authorize=lambda _: role[0])
    client = site.client()
    [worker, *_] = [each["id"] for each in client.get("/api/workers").json() if each["alive"] and each["claims"]]
    chosen = [job.id for job in site.app.list_jobs(status="failed")][:2]
    for sent in ({"ids": chosen}, {"q": ""}):
        client.post("/api/bulk", json={"action": "retry", **sent})
    client.post(f"/api/workers/{worker}/drain")
    for role[0] in ("operator", "viewer"):
        targets = re.findall(r'<td class="grow">(.*?)<span class="sub actor">', client.get("/audit").text, re.DOTALL)
        told = [re.sub("<.*?>", "", target).strip() for target in targets]
        assert told == [f"worker {worker}", "all jobs", "2 chosen jobs"]
        assert f'href="/workers/{worker}"' in targets[0]


def test_a_viewer_is_not_told_what_a_purge_searched(make_site):
    """Neither of one by the API nor of one by a form; a purge of a queue has that queue's name, for everybody."""
    role = ["admin"]
    site = make_site(authorize=lambda _: role[0])
    client = site.client()
    client.post("/api/bulk", json={"action": "purge", "q": "parameters.api_key:sk-live-1"})
    post(client, "/bulk/purge/jobs", all="yes", q="parameters.api_key:sk-live-2")
    post(client, "/queues/mail/purge", typed="mail")
    assert [entry.action for entry in audit.page(site.app.database)] == ["purge"] * 3
    for role[0], seen in (("operator", True), ("viewer", False)):
        text = client.get("/audit").text
        assert [f"sk-live-{number}" in text for number in (1, 2)] == [seen, seen]
        assert re.findall(r'<a href="/jobs\?queue=(.*?)"', text) == ["mail"]


def test_a_deletion_can_be_undone_from_the_audit_log(make_site):
    """By an admin, whoever deleted one job or many in which way: the sentence with its button is soon gone."""
    role = ["admin"]
    site = make_site(authorize=lambda _: role[0])
    client = site.client()
    one, other, *_ = site.app.list_jobs(status="failed")
    post(client, f"/jobs/{one.id}/delete", confirmed="yes")
    client.delete(f"/api/jobs/{other.id}")
    post(client, "/bulk/delete/jobs", all="yes", q="status:completed")
    post(client, "/queues/mail/purge", typed="mail")
    before = len(site.app.list_jobs(limit=1000))
    site.made = create_dashboard(site.app, authorize=lambda _: role[0])  # of another process, or after a new start
    client = site.client()
    found = re.findall(r'action="(/bulk/\w{16}/undo)"', client.get("/audit").text)
    assert len(found) == 4
    role[0] = "operator"
    assert "/undo" not in client.get("/audit").text
    role[0] = "admin"
    for path in found:
        post(client, path)
    assert "/undo" not in client.get("/audit").text
    assert len(site.app.list_jobs(limit=1000)) == before + sum(
        entry.number for entry in audit.page(site.app.database)[:4]
    )
    site.made.state.desk.close()


def test_hostile_actions_are_text(site, client):
    """Names, targets and details are written by others."""
    note(site, 1, EVIL, EVIL, EVIL)
    for path in ("/audit", f"/audit?actor={EVIL}"):
        assert_harmless(client.get(path).text)
