"""The static files, each under a name that changes with its content, so that browsers may keep it for ever."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Assets:
    """A folder of files, read once and kept compressed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found = cache(self._read)

    def path(self, name: str) -> str:
        """Where a file is served, below the dashboard's root: `/static/HASH/NAME`."""
        return f"/static/{self._found(name)[0]}/{name}"

    def serve(self, request: Request) -> Response:
        """The file of a request, whatever hash it asks for: after an update the page is newer than the file kept."""
        name = request.path_params["name"]
        kind = KINDS.get(Path(name).suffix)
        if kind is None or name not in self.names():
            return Response("There is no such file.\n", 404, media_type="text/plain")
        digest, plain, packed = self._found(name)
        fits = request.path_params["digest"] == digest
        headers = {
            "cache-control": "public, max-age=31536000, immutable" if fits else "no-cache",
            "vary": "accept-encoding",
        }
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(packed, headers=headers | {"content-encoding": "gzip"}, media_type=kind)
        return Response(plain, headers=headers, media_type=kind)

    @cache  # noqa: B019 - one object for each dashboard
    def names(self) -> frozenset[str]:
        """Every file, by its path below the folder."""
        return frozenset(path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*.*"))

    def _read(self, name: str) -> tuple[str, bytes, bytes]:
        content = (self._folder / name).read_bytes()
        return hashlib.sha256(content).hexdigest()[:10], content, gzip.compress(content, 9, mtime=0)
