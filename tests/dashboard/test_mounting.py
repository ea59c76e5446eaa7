"""The dashboard inside other applications, each by the two lines that the documentation gives."""

import re
import socket
import threading
from contextlib import nullcontext
from urllib.request import urlopen
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import uvicorn
from django.conf import settings as django_settings
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from wsgi_requests import ask

from lateshift import configure, default, run_background_job
from lateshift.contrib.web import asgi_mount, wsgi_mount
from lateshift.dashboard import create_dashboard
from lateshift.testing import isolated

LOCAL = {"base_url": "http://localhost", "client": ("127.0.0.1", 1), "headers": {"accept": "text/html"}}


def by_hand() -> None:
    """A job."""


@pytest.fixture
def flask_app(site):
    import flask

    app = flask.Flask("shop")
    app.route("/")(lambda: "the shop")
    app.wsgi_app = wsgi_mount(app.wsgi_app, "/jobs", site.made)
    return app


@pytest.fixture(scope="module")
def django():
    """Django with one view; set up once in a process."""
    import django
    from django.http import HttpResponse
    from django.urls import path

    if not django_settings.configured:
        django_settings.configure()
        django.setup()
    from django.test.utils import override_settings

    with override_settings(ROOT_URLCONF=(path("", lambda _: HttpResponse("the shop")),), ALLOWED_HOSTS=["*"]):
        yield django


def test_in_flask(site, flask_app):
    """Pages, links and forms work below the path, and the application's own pages are still there."""
    assert ask(flask_app, "/")[2] == "the shop"
    for path in ("/jobs", "/jobs/", "/jobs/jobs", "/jobs/queues"):
        status, headers, text = ask(flask_app, path)
        assert status == "200 OK"
        assert "default-src 'none'" in headers["content-security-policy"]
        links = re.findall(r'(?:href|src|action|hx-get)="(.*?)"', text)
        assert [link for link in links if not link.startswith(("/jobs/", "#"))] == []
    assert "data-polling" in ask(flask_app, "/jobs/")[2]
    assert ask(flask_app, "/jobsearch")[0] == "404 NOT FOUND"
    status, headers, _ = ask(flask_app, "/jobs/queues/mail/pause", "POST", b"x=1", HTTP_SEC_FETCH_SITE="same-origin")
    assert (status, headers["location"]) == ("303 See Other", "/jobs/queues")
    assert "/jobs/queues/mail/resume" in ask(flask_app, "/jobs/queues")[2]


def test_the_api_in_flask(site, flask_app):
    """Below the path too: a document that knows where it is, actions by JSON, large bodies, metrics."""
    sent = {"CONTENT_TYPE": "application/json", "HTTP_ACCEPT": "*/*"}
    assert '"url":"/jobs/api"' in ask(flask_app, "/jobs/api/openapi.json")[2]
    assert ask(flask_app, "/jobs/api/queues/mail/pause", "POST", b"{}", **sent)[0] == "200 OK"
    job = site.app.list_jobs(status="failed", limit=1)[0]
    assert ask(flask_app, f"/jobs/api/jobs/{job.id}", "DELETE", b"{}", **sent)[0] == "200 OK"
    large = b'{"name": "shop.a", "parameters": {"text": "%s"}}' % (b"x" * 2_000_000)
    status, headers, text = ask(flask_app, "/jobs/api/jobs", "POST", large, **sent)
    assert (status[:3], headers["content-type"]) == ("422", "application/problem+json")
    assert "shop" in text
    assert "lateshift_jobs{" in ask(flask_app, "/jobs/metrics")[2]


def test_in_django_with_wsgi(site, django):
    """The same in Django's wsgi.py."""
    from django.core.wsgi import get_wsgi_application

    application = wsgi_mount(get_wsgi_application(), "/ops/jobs", site.made)
    assert ask(application, "/")[2] == "the shop"
    assert "Overview" in ask(application, "/ops/jobs/")[2]


def test_in_django_with_asgi(site, django):
    """The same in Django's asgi.py, where pages are live by streams."""
    from django.core.asgi import get_asgi_application

    client = TestClient(asgi_mount(get_asgi_application(), "/ops/jobs", site.made), **LOCAL)
    assert client.get("/").text == "the shop"
    for path in ("/ops/jobs", "/ops/jobs/", "/ops/jobs/queues"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "data-polling" not in answer.text
        assert 'href="/ops/jobs/queues"' in answer.text


def test_under_a_root_path(site):
    """Some servers begin the path with it, as ASGI says, and some leave it out: the pages are the same."""

    async def shop(scope, receive, send):
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body"})

    client = TestClient(asgi_mount(shop, "/jobs", site.made), root_path="/app", **LOCAL)
    for path in ("/jobs", "/jobs/queues", "/app/jobs", "/app/jobs/queues"):
        answer = client.get(path)
        assert (answer.status_code, 'href="/app/jobs/queues"' in answer.text) == (200, True)
    for path in ("/", "/app", "/app/", "/jobsearch", "/app/jobsearch", "/application/jobs", "/app/app/jobs"):
        assert client.get(path).status_code == 299


@pytest.mark.parametrize(
    ("point", "quoted"), [("/a b", "/a%20b"), ("/störungen", "/st%C3%B6rungen"), ("/@jobs", "/@jobs")]
)
def test_under_a_path_that_has_to_be_quoted(make_site, point, quoted):
    """Links and cookies name the path as browsers do: a cookie for another path is not sent, so nobody came in."""
    site = make_site(dashboard_token="a-token-of-many-characters")
    client = TestClient(Starlette(routes=[Mount(point, site.made)]), **LOCAL, follow_redirects=False)
    headers = {"sec-fetch-site": "same-origin"}
    answer = client.get(f"{quoted}/jobs?status=failed")
    assert answer.headers["location"].startswith(f"{quoted}/login?next=")
    sent = {"password": "a-token-of-many-characters", "next": f"{quoted}/queues"}
    answer = client.post(f"{quoted}/login", data=sent, headers=headers)
    assert answer.headers["location"] == f"{quoted}/queues"
    assert f"Path={quoted};" in answer.headers["set-cookie"]
    text = client.get(f"{quoted}/jobs?status=failed").text
    links = re.findall(r'(?:href|src|action|hx-get)="(.*?)"', text)
    assert [link for link in links if not link.startswith((f"{quoted}/", "#"))] == []
    assert client.get(links[-1]).status_code == 200


def test_a_slash_too_many_leads_within_the_scheme_that_the_browser_speaks(site):
    """The way on has no host, so a proxy that speaks https is not left for http, nor the host for another."""
    client = TestClient(Starlette(routes=[Mount("/ops", site.made)]), **LOCAL, follow_redirects=False)
    assert client.get("/ops/jobs/?q=a%20b").headers["location"] == "/ops/jobs?q=a%20b"
    assert client.get("/ops/jobs/", follow_redirects=True).status_code == 200
    assert client.get("/ops//evil.example/").headers["location"] == "/ops/evil.example"
    root = site.client(follow_redirects=False)
    assert root.get("http://localhost:8642//evil.example/").headers["location"] == "/evil.example"
    assert root.get("/nothing").status_code == 404


@pytest.mark.parametrize("told", [False, True])
def test_a_server_stops_while_a_page_is_open(site, monkeypatch, told):
    """uvicorn waits until no answer is under way: a stream ends at each beat, and soon if it has taken the signals."""
    if not told:
        monkeypatch.setattr("lateshift.dashboard.watcher.BEAT", 0.5)
    app = Starlette(routes=[Mount("/jobs", site.made)])
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        with (
            server.capture_signals() if told else nullcontext(),  # as it does in the main thread
            urlopen(f"http://127.0.0.1:{listening.getsockname()[1]}/jobs/events", timeout=10) as stream,
        ):
            assert stream.readline() == b"retry: 2000\n"
            server.should_exit = True
            thread.join(5)
            assert not thread.is_alive()
    finally:
        server.force_exit = True
        thread.join()


def test_a_wsgi_server_serves_it_to_a_browser(site, flask_app, chromium):
    """Under a real WSGI server the pages ask every few seconds instead of holding its threads."""
    from playwright.sync_api import expect

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_):
            pass

    with make_server("127.0.0.1", 0, flask_app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        page = chromium.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/jobs/jobs")
        site.day.job("completed", 0, ("shop.fresh.Arrived.handle", "fresh", 1, lambda _: {}, 1, 1))
        expect(page.get_by_text("Arrived.handle")).to_be_visible(timeout=8000)
        page.close()
        server.shutdown()
        thread.join()


def test_the_host_knows_its_users(make_site):
    """`authorize=` finds the host's request: under WSGI its environ."""
    site = make_site(authorize=lambda request: request.scope["wsgi_environ"].get("shop.role"))
    application = wsgi_mount(lambda *_: [], "/jobs", site.made)
    assert ask(application, "/jobs/")[0] == "403 Forbidden"
    assert ask(application, "/jobs/", **{"shop.role": "viewer"})[0] == "200 OK"


def test_the_host_may_ask_its_database(make_site, django):
    """A plain `authorize=` may wait: Django's ORM, whose calls are guarded in this way, refuses to on an event loop."""
    from django.utils.asyncio import async_unsafe

    made = make_site(authorize=async_unsafe(lambda request: "viewer")).made
    assert ask(wsgi_mount(lambda *_: [], "/jobs", made), "/jobs/")[0] == "200 OK"
    assert TestClient(asgi_mount(Starlette(), "/jobs", made), **LOCAL).get("/jobs/").status_code == 200


def test_without_an_application_object_it_follows_the_default_one(monkeypatch):
    """A dashboard that was made before `configure`, or outside of a test, has the jobs that are enqueued then."""
    monkeypatch.setattr(default, "_code", {})
    with isolated(allowed=[__name__]):
        client = TestClient(create_dashboard(), base_url="http://localhost", client=("127.0.0.1", 50_000))

        def shown() -> list[str]:
            return [job["id"] for job in client.get("/api/jobs").json()["jobs"]]

        first = run_background_job(by_hand)
        assert shown() == [first]
        with isolated(allowed=[__name__]):
            second = run_background_job(by_hand)
            assert shown() == [second]
        assert shown() == [first]
        configure(dashboard_read_only=True)
        assert client.post(f"/api/jobs/{first}/cancel").status_code == 403


def test_a_mount_needs_a_path():
    """At the root it would hide the application."""
    with pytest.raises(ValueError, match="below a path"):
        wsgi_mount(None, "/", None)
