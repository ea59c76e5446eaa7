"""The jobs of the demo: one that looks at a source file, one that needs three attempts, one that never succeeds."""

from __future__ import annotations

import hashlib
import keyword
import logging
import re
from collections import Counter
from pathlib import Path
from typing import Final, TypedDict

from lateshift.context import current_job

log = logging.getLogger(__name__)

# Comments and strings are matched so as to be skipped; what is left over and looks like a name is one.
_TOKEN: Final = re.compile(
    rb"#[^\n]*"
    rb'|[A-Za-z]{0,2}"""(?:[^"\\]|\\.|"(?!""))*"""'
    rb"|[A-Za-z]{0,2}'''(?:[^'\\]|\\.|'(?!''))*'''"
    rb'|[A-Za-z]{0,2}"(?:[^"\\\n]|\\.)*"'
    rb"|[A-Za-z]{0,2}'(?:[^'\\\n]|\\.)*'"
    rb"|\b([A-Za-z_]\w*)",
    re.DOTALL,
)
_EVERYWHERE: Final = frozenset(word.encode() for word in (*keyword.kwlist, "self", "cls"))


class FileFacts(TypedDict):
    """What there is to know about a source file; `identifier` is the most frequent but self, or ""."""

    digest: str
    bytes: int
    lines: int
    words: int
    identifier: str
    occurrences: int


class AnalyseFile:
    """Looks at one source file."""

    max_retries = 1
    retry_delay = 1.0

    def handle(self, path: Path, run: str) -> FileFacts:
        """Read a file and count what is in it. `run` tells the jobs of one demo from those of another."""
        text = path.read_bytes()
        names = Counter(_TOKEN.findall(text))
        for word in (b"", *_EVERYWHERE):
            names.pop(word, None)
        # Of equally frequent names the first in the alphabet, so that each attempt has the same result.
        name, occurrences = min(names.items(), key=lambda item: (-item[1], item[0]), default=(b"", 0))
        lines, words = text.count(b"\n"), len(text.split())
        log.debug("%s has %d lines (demo %s)", path, lines, run)
        digest = hashlib.sha256(text).hexdigest()
        return FileFacts(
            digest=digest, bytes=len(text), lines=lines, words=words, identifier=name.decode(), occurrences=occurrences
        )


class UnsteadyService:
    """Fails twice, as a service that is just being restarted does, and then succeeds."""

    max_retries = 3
    retry_delay = 1.0

    def handle(self, run: str) -> str:
        """Ask the service, which answers at the third attempt."""
        attempt = current_job().attempt
        log.info("Asking the service for the demo %s, attempt %d", run, attempt)
        if attempt < 3:
            log.warning("No answer; Lateshift will ask again in a second")
            raise ConnectionError(f"the service does not answer (attempt {attempt})")
        return f"the service answered at attempt {attempt}"


class AlwaysFails:
    """Fails at each attempt."""

    max_retries = 1
    retry_delay = 1.0

    def handle(self, run: str) -> None:
        """Fail."""
        raise ValueError(f"this job of the demo {run} fails on purpose")


class Ready:
    """Shows that a worker may run jobs of the demo."""

    def handle(self) -> None:
        """Do nothing."""
