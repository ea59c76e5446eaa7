"""Signed values for cookies: who has logged in, and until when. Nothing is kept on the server."""

from __future__ import annotations

import hashlib
import hmac
import math
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import deque
from typing import Any, Final

import msgspec

LIFETIME: Final = 12 * 3600
"""Seconds for which a login lasts: a working day."""


class Signer:
    """Makes and reads signed values. The key comes from the secrets of the settings: changing one ends all sessions."""

    def __init__(self, *secrets: str) -> None:
        self._key = hashlib.sha256("\0".join(("lateshift dashboard", *secrets)).encode()).digest()

    def sign(self, value: Any, lifetime: float = LIFETIME) -> str:
        """A value as text that only this key can have made."""
        text = urlsafe_b64encode(msgspec.json.encode([value, int(time.time() + lifetime)])).decode()
        return f"{text}.{self._signature(text)}"

    def read(self, signed: str) -> Any:
        """The value behind a signed text; None if it is not ours, or too old."""
        text, _, signature = signed.rpartition(".")
        if not hmac.compare_digest(self._signature(text).encode(), signature.encode()):
            return None
        value, until = msgspec.json.decode(urlsafe_b64decode(text))
        return value if until > time.time() else None

    def mark(self, text: str) -> str:
        """A few characters that differ by the key and by the text."""
        return self._signature(text)[:8]

    def _signature(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


class TooManyAttempts(Exception):
    """Somebody has to wait before another login is looked at, for so many `seconds`."""

    def __init__(self, seconds: float) -> None:
        minutes = math.ceil(seconds / 60)
        super().__init__(f"Too many logins have failed. None is looked at for {minutes} min, not even a right one.")
        self.headers = {"retry-after": str(math.ceil(seconds))}


class Limiter:
    """Holds back those who guess: `most` failures within `seconds` for each address, and ten times that in all."""

    def __init__(self, most: int = 10, seconds: float = 300.0) -> None:
        self._most, self._seconds = most, seconds
        self._failures: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def take(self, address: str) -> None:
        """Count an attempt, before it is looked at: many at once are as many. Raises TooManyAttempts."""
        with self._lock:
            wait = max(self._wait(address, self._most), self._wait("", 10 * self._most))
            if wait:
                raise TooManyAttempts(wait)
            now = time.monotonic()
            for key in (address, ""):
                self._failures.setdefault(key, deque(maxlen=10 * self._most)).append(now)
            if len(self._failures) > 1000:  # whoever has many addresses must not fill the memory
                kept = self._failures.items()
                self._failures = {key: times for key, times in kept if times and now - times[-1] < self._seconds}

    def give_back(self, address: str) -> None:
        """The attempt was a right one, so it does not count."""
        with self._lock:
            for key in (address, ""):
                if times := self._failures.get(key):
                    times.pop()

    def _wait(self, key: str, most: int) -> float:
        times = self._failures.get(key, deque())
        now = time.monotonic()
        recent = [then for then in times if now - then < self._seconds]
        return self._seconds - (now - recent[-most]) if len(recent) >= most else 0.0
