"""The dashboard inside applications that cannot mount an ASGI application: Flask, and Django in either way.

    app.wsgi_app = wsgi_mount(app.wsgi_app, "/jobs", create_dashboard())                 # Flask
    application = wsgi_mount(get_wsgi_application(), "/jobs", create_dashboard())        # Django, wsgi.py
    application = asgi_mount(get_asgi_application(), "/jobs", create_dashboard())        # Django, asgi.py

Under WSGI an open stream would hold a thread of the server for each open page, so there the pages ask every few
seconds instead.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Final

__all__ = ["asgi_mount", "wsgi_mount"]

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WSGI = Callable[[Environ, StartResponse], Iterable[bytes]]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
ASGI = Callable[[Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

PART: Final = 1 << 16
"""Bytes of a request's body that are read at once."""

GREEN: Final = (
    "This server runs on green threads, those of gevent or eventlet, and the dashboard needs real ones. Serve it by "
    "`lateshift dashboard`, or the application by threads: gunicorn --threads 8.\n"
)

_logger = logging.getLogger("lateshift.dashboard")


def asgi_mount(host: ASGI, path: str, dashboard: ASGI) -> ASGI:
    """The ASGI application `host`, with the dashboard at `path` and below."""
    prefix = _prefix(path)

    async def application(scope: Scope, receive: Any, send: Any) -> None:
        root = scope.get("root_path", "")
        if scope["type"] == "http" and (rest := _rest(prefix, _below(root, scope["path"]))) is not None:
            root += prefix
            await dashboard({**scope, "root_path": root, "path": root + rest}, receive, send)
        else:
            await host(scope, receive, send)

    return application


def wsgi_mount(host: WSGI, path: str, dashboard: ASGI) -> WSGI:
    """The WSGI application `host`, with the dashboard at `path`; `authorize=` finds `request.scope["wsgi_environ"]`."""
    prefix, bridge = _prefix(path).encode().decode("latin-1"), Bridge(dashboard)  # as PATH_INFO has it (PEP 3333)

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        rest = _rest(prefix, environ.get("PATH_INFO", ""))
        if rest is None:
            return host(environ, start_response)
        moved = {"SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + prefix, "PATH_INFO": rest}
        return bridge({**environ, **moved}, start_response)

    return application


class Bridge:
    """Answers WSGI requests with an ASGI application, on one event loop in a thread that is started when needed."""

    def __init__(self, app: ASGI) -> None:
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """One request."""
        body = Body(environ)
        if body.is_endless:
            start_response(_status(411), [("content-type", "text/plain")])
            return [b"Send the body with a Content-Length: this server does not tell where it ends.\n"]
        loop = self._running()
        if loop is None:
            start_response(_status(501), [("content-type", "text/plain")])
            return [GREEN.encode()]
        messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        task = asyncio.run_coroutine_threadsafe(self._answer(_scope(environ), body, messages), loop)
        first = _next(messages)
        if not isinstance(first, dict):
            raise first if isinstance(first, BaseException) else RuntimeError("The dashboard gave no answer.")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in first["headers"]]
        if not any(name == "content-type" for name, _ in headers):  # which WSGI asks for, also where nothing follows
            headers.append(("content-type", "text/plain"))
        start_response(_status(first["status"]), headers)
        if environ["REQUEST_METHOD"] == "HEAD":  # not every server leaves out what follows
            task.cancel()
            return []
        return _chunks(messages, task.cancel)

    async def _answer(self, scope: Scope, body: Body, messages: queue.SimpleQueue[Any]) -> None:
        loop, gone, answered = asyncio.get_running_loop(), asyncio.Event(), False

        async def receive() -> Message:
            if body.is_over:
                await gone.wait()
                return {"type": "http.disconnect"}
            part: asyncio.Future[Message] = loop.create_future()
            messages.put(lambda: loop.call_soon_threadsafe(_set, part, body.read()))
            return await part

        async def send(message: Message) -> None:
            nonlocal answered
            answered = message["type"] == "http.response.body" and not message.get("more_body")
            messages.put(dict(message))

        try:
            await self._app(scope, receive, send)
            messages.put(None)
        except BaseException as error:
            if answered and isinstance(error, Exception):  # nobody reads on
                _logger.exception("A request to the dashboard failed: %s %s", scope["method"], scope["path"])
            messages.put(error)
            if isinstance(error, asyncio.CancelledError):
                raise

    def _running(self) -> asyncio.AbstractEventLoop | None:
        """The loop, for which the thread counts: in a forked child the loop itself still says that it runs.

        None where threads are green: the server's own thread would count as one in which a loop runs, and whatever asks
        for that fails there from then on, as Django does with each query.
        """
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                if _threads_are_green():
                    return None
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="lateshift-dashboard", daemon=True)
                self._thread.start()
            return self._loop


class Body:
    """What a request brings along, read by the thread that the server calls, as the application asks for it."""

    def __init__(self, environ: Environ) -> None:
        self._input = environ["wsgi.input"]
        length, ends = environ.get("CONTENT_LENGTH"), environ.get("wsgi.input_terminated")
        self._left = None if ends and not length else _number(length)
        self.is_endless = not length and not ends and "HTTP_TRANSFER_ENCODING" in environ
        self.is_over = False

    def read(self) -> Message:
        """The next part as an ASGI message: of a disconnect where less comes than was promised."""
        most = PART if self._left is None else min(PART, self._left)
        try:
            part = self._input.read(most) if most else b""
        except OSError:
            part = b""
        if self._left is not None:
            self._left -= len(part)
        self.is_over = not part or self._left == 0
        if not part and self._left:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": not self.is_over}


def _set(future: asyncio.Future[Message], message: Message) -> None:
    if not future.done():  # cancelled meanwhile
        future.set_result(message)


def _next(messages: queue.SimpleQueue[Any]) -> Any:
    """The next message of the application, to which the parts of the body are handed meanwhile."""
    while callable(message := messages.get()):
        message()
    return message


def _chunks(messages: queue.SimpleQueue[Any], stop: Callable[[], Any]) -> Iterator[bytes]:
    try:
        while isinstance(message := _next(messages), dict):
            yield message.get("body", b"")
            if not message.get("more_body"):
                return
        if isinstance(message, BaseException):
            raise message
    finally:
        stop()


def _scope(environ: Mapping[str, Any]) -> Scope:
    names = {name for name in environ if name.startswith("HTTP_")} | ({"CONTENT_TYPE"} & set(environ))
    headers = [
        (name.removeprefix("HTTP_").replace("_", "-").lower().encode("latin-1"), environ[name].encode("latin-1"))
        for name in names
    ]
    root = environ.get("SCRIPT_NAME", "").encode("latin-1").decode("utf-8", "replace")
    path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").removeprefix("HTTP/"),
        "method": environ["REQUEST_METHOD"],
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": root + path,
        "root_path": root,
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "headers": headers,
        "client": (environ.get("REMOTE_ADDR", ""), _number(environ.get("REMOTE_PORT"))),
        "server": (environ["SERVER_NAME"], _number(environ.get("SERVER_PORT")) or None),
        "lateshift_polling": True,
        "wsgi_environ": environ,
    }


def _threads_are_green() -> bool:
    """Whether threads are gevent's or eventlet's, which are all in one of the system."""
    ids: list[int] = []
    thread = threading.Thread(target=lambda: ids.append(threading.get_native_id()))
    thread.start()
    thread.join()
    return ids == [threading.get_native_id()]


def _number(value: object) -> int:
    """A number of the environ, which Werkzeug's server has as an int; 0 for what is none, as ports of a unix socket."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else 0


def _status(code: int) -> str:
    from http import HTTPStatus  # known to be there: the application has just used it

    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return f"{code} Unknown"


def _prefix(path: str) -> str:
    prefix = "/" + path.strip("/")
    if prefix == "/":
        raise ValueError("Mount the dashboard below a path of its own, such as /jobs; at / it would hide the rest.")
    return prefix


def _below(root: str, path: str) -> str:
    """A path without the root, with which not every server begins it."""
    return path[len(root) :] if root and f"{path}/".startswith(f"{root}/") else path


def _rest(prefix: str, path: str) -> str | None:
    """What a path has below the prefix, at least a slash; None where it leads elsewhere."""
    if path == prefix:
        return "/"
    return path[len(prefix) :] if path.startswith(f"{prefix}/") else None
