"""A web server that enqueues and shows how a job stands: `python web.py`, then open http://127.0.0.1:8000/.

It uses the standard library only; in Django, Flask or FastAPI the two calls are the same.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lateshift import cache, configure, run_background_job

# One list for all the examples: those that run in one folder share a runner, which has the list of whoever started it.
configure(allowed=["orders", "retries", "web"])


def count_words(text: str) -> int:
    """The job."""
    return len(text.split())


class Handler(BaseHTTPRequestHandler):
    """`/` enqueues a job and names its address; `/jobs/ID` shows it."""

    def do_GET(self) -> None:
        """Answer one request."""
        if self.path.startswith("/jobs/"):
            found = cache.get(f"background_job:{self.path.removeprefix('/jobs/')}")
            self._answer(200 if found else 404, found)
        else:
            job_id = run_background_job(count_words, parameters={"text": "one two three"})
            self._answer(202, {"job": f"/jobs/{job_id}"})

    def _answer(self, status: int, body: object) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
