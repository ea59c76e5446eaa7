"""Requests to a WSGI application, as a server that keeps to the rules makes them."""

import io
from wsgiref.validate import validator


def ask(application, path, method="GET", body=b"", **environ):
    """What a WSGI application answers: status, headers, text. Both sides are checked to keep to the rules."""
    script, _, query = path.partition("?")
    given = {
        "REQUEST_METHOD": method,
        "PATH_INFO": script,
        "SCRIPT_NAME": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "HTTP_HOST": "localhost",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_ACCEPT": "text/html",
    }
    told = []
    answer = validator(application)(given | environ, lambda *start: told.append(start[:2]))
    text = b"".join(answer).decode()
    answer.close()
    return told[0][0], dict(told[0][1]), text
