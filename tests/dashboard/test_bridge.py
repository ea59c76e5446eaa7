"""The bridge from WSGI to the dashboard: what servers send, and how an answer ends."""

import io
import os
import signal
import threading
import time

import pytest
from wsgi_requests import ask

from lateshift.contrib.web import Bridge, wsgi_mount


def test_an_error_reaches_the_wsgi_server():
    """What an application raises before it answers is raised to the server, which logs it."""

    async def broken(scope, receive, send):
        raise KeyError("oh")

    application = wsgi_mount(lambda *_: [], "/jobs", broken)
    with pytest.raises(KeyError):
        ask(application, "/jobs/")


def test_an_error_behind_an_answer_is_logged(make_site, caplog):
    """The browser is told of a 500, and whoever looks after the server of the reason: there was no trace of it."""
    application = wsgi_mount(lambda *_: [], "/jobs", make_site(authorize=lambda _: "boss").made)
    assert ask(application, "/jobs/")[0] == "500 Internal Server Error"
    while not (told := [record for record in caplog.records if record.name == "lateshift.dashboard"]):
        time.sleep(0.01)  # the thread of the event loop writes it
    assert "GET /jobs/" in told[0].getMessage()
    assert "authorize= returned 'boss'" in str(told[0].exc_info[1])


def test_an_old_http_is_told_on(site):
    """By which a proxy on this machine, that says nothing of itself, is not taken for this machine."""
    application = wsgi_mount(lambda *_: [], "/jobs", site.made)
    assert ask(application, "/jobs/", SERVER_PROTOCOL="HTTP/1.0")[0] == "403 Forbidden"


def test_head_is_answered_without_a_body(site):
    """The headers are those of GET, and nothing follows, also where the server would pass it on."""
    application = wsgi_mount(lambda *_: [], "/jobs", site.made)
    status, headers, text = ask(application, "/jobs/", "HEAD")
    assert (status, text) == ("200 OK", "")
    assert int(headers["content-length"]) > 1000


def test_bodies_without_a_length(site):
    """A chunked body is read where the server says that it ends, and else refused: it was taken for an empty one."""
    application = wsgi_mount(lambda *_: [], "/jobs", site.made)
    sent = {"CONTENT_TYPE": "application/json", "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    body = b'{"action": "retry", "q": "status:failed", "dry_run": true}' + b" " * 200_000
    status, _, text = ask(application, "/jobs/api/bulk", "POST", body, **sent, **{"wsgi.input_terminated": True})
    assert (status, '"state":"counted"' in text) == ("200 OK", True)
    assert ask(application, "/jobs/api/bulk", "POST", body, **sent)[0] == "411 Length Required"


@pytest.mark.parametrize("port", ["None", "", 40000])
def test_ports_as_servers_have_them(site, port):
    """On a unix socket ports are empty, or the word None, and with `flask run` a number; a length may be none."""
    application = wsgi_mount(lambda *_: [], "/jobs", site.made)
    odd = {"REMOTE_PORT": port, "SERVER_PORT": "", "CONTENT_LENGTH": "abc"}
    told = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/jobs/healthz", "SERVER_NAME": "x", "wsgi.input": io.BytesIO()}
    assert b"".join(application(environ | odd, lambda *start: told.append(start[0])))
    assert told == ["200 OK"]


def test_a_mount_point_may_have_any_letters(site):
    """WSGI has the bytes of a path as if they were latin-1."""
    application = wsgi_mount(lambda *_: [], "/störungen", site.made)
    path = "/störungen/queues".encode().decode("latin-1")
    assert ask(application, path)[0] == "200 OK"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_server_that_forks_after_a_request_goes_on_answering(site):
    """The copy had the event loop without the thread that runs it: a request there waited for ever."""
    application = wsgi_mount(lambda *_: [], "/jobs", site.made)
    assert ask(application, "/jobs/")[0] == "200 OK"
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        os._exit(0 if ask(application, "/jobs/queues")[0] == "200 OK" else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert ask(application, "/jobs/queues")[0] == "200 OK"


def test_first_requests_share_an_event_loop():
    """The second came before it had begun to run, and made another one."""
    for _ in range(50):
        bridge = Bridge(None)
        first, second = bridge._running(), bridge._running()
        assert first is second
        first.call_soon_threadsafe(first.stop)
        bridge._thread.join()
        first.close()


def test_green_threads_are_refused(site, monkeypatch):
    """After one visit of the dashboard under gunicorn -k gevent each query of Django failed in that process."""
    monkeypatch.setattr(threading, "get_native_id", lambda: 1)
    status, _, text = ask(wsgi_mount(lambda *_: [], "/jobs", site.made), "/jobs/")
    assert status.startswith("501")
    assert "green threads" in text


def test_a_stream_ends_when_the_server_lets_go():
    """A WSGI server that closes the answer ends what still runs behind it."""
    ended = threading.Event()

    async def endless(scope, receive, send):
        import asyncio

        await send({"type": "http.response.start", "status": 299, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                await asyncio.sleep(0.001)
        finally:
            ended.set()

    environ = {
        "PATH_INFO": "/j/",
        "REQUEST_METHOD": "GET",
        "SERVER_NAME": "x",
        "SERVER_PORT": "1",
        "wsgi.input": io.BytesIO(),
    }
    told = []
    answer = wsgi_mount(None, "/j", endless)(environ, lambda *start: told.append(start))
    assert next(answer) == b"x"
    assert told[0][0] == "299 Unknown"
    answer.close()
    assert ended.wait(5)
