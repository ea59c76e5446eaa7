"""What the shop of the demo has to do: a first lot of jobs, then a few every second, until it closes."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Final

from lateshift.app import Lateshift
from lateshift.demo import shop
from lateshift.enqueuing import Call
from lateshift.errors import LateshiftError

ALLOWED: Final = "lateshift.demo.shop"

BILLING: Final = "demo-billing"
MAIL: Final = "demo-mail"
IMAGES: Final = "demo-images"
SEARCH: Final = "demo-search"
REPORTS: Final = "demo-reports"
PARTNERS: Final = "demo-partners"
QUEUES: Final = (BILLING, MAIL, IMAGES, SEARCH, REPORTS, PARTNERS)

EVERY: Final = 1.0
"""Seconds between two lots."""

BURST: Final = 25
"""Lots after which many pictures come at once, and wait for a while."""

REPORT: Final = 40
"""Lots after which another report begins."""

MOST: Final = 3600
"""Lots in all: somebody who forgets the demo is not to find millions of jobs."""


class Feed:
    """Enqueues the shop's jobs."""

    def __init__(self, app: Lateshift) -> None:
        self._app = app
        self._dice = random.Random()
        self._number = 1000
        self._lots = 0

    def open(self) -> None:
        """The first lot: nothing in it needs a thread, which the demo's own jobs run in."""
        self._app.pause_queue(PARTNERS)
        calls = [self._charge() for _ in range(25)] + [self._receipt() for _ in range(40)]
        calls += [self._report(pages) for pages in (75, 140)]
        calls += [Call(shop.ReindexProduct, parameters={"product": n}, priority=3, queue=SEARCH) for n in range(60)]
        calls += [Call(shop.SyncStock, parameters={"partner": name}, queue=PARTNERS) for name in ("Acme", "Globex")]
        calls += [self._receipt(delay) for delay in (45, 90, 180, 600, 1200)]
        self._app.enqueue_many(calls)

    def tick(self) -> float:
        """Another lot; returns the seconds until the next. One that cannot be stored is left out."""
        self._lots += 1
        if self._lots <= MOST:
            try:
                self._app.enqueue_many([*self._lot()])
            except LateshiftError:  # the pages tell what is wrong, and there will be another
                pass
        return EVERY

    def close(self) -> None:
        """Cancel what is left, so that no runner stays for the sake of a demo that is over."""
        for queue in QUEUES:
            for status in ("pending", "pending_retry", "running"):
                for job in self._app.list_jobs(status=status, queue=queue, limit=10_000):
                    try:
                        self._app.cancel_job(job.id)
                    except LateshiftError:  # it has just finished
                        pass
        self._app.resume_queue(PARTNERS)

    def run(self) -> None:
        """Go on until Ctrl-C."""
        while True:
            time.sleep(self.tick())

    def _lot(self) -> Iterator[Call]:
        for _ in range(self._dice.randint(0, 3)):
            yield self._charge()
            yield self._receipt(self._dice.choice((0, 0, 0, 0, 20)))
        if self._lots % 3 == 0:
            yield Call(shop.ReindexProduct, parameters={"product": self._next()}, priority=3, queue=SEARCH)
        for _ in range(30 if self._lots % BURST == 1 else self._dice.randint(0, 1)):
            yield Call(shop.MakeThumbnails, parameters={"picture": self._next()}, priority=2, queue=IMAGES)
        if self._lots % REPORT == 0:
            yield self._report(self._dice.randint(45, 90))

    def _charge(self) -> Call:
        number = self._next()
        parameters = {"order_id": number, "amount": f"{number % 90 + 9}.90 EUR"}
        return Call(shop.ChargeCard, parameters=parameters, priority=8, queue=BILLING)

    def _receipt(self, delay: float = 0) -> Call:
        number = self._next()
        to = f"customer{number}@example.com" if number % 40 else "(none)"
        parameters = {"order_id": number, "to": to}
        return Call(shop.SendReceipt, parameters=parameters, priority=5, delay=delay, queue=MAIL)

    def _report(self, pages: int) -> Call:
        parameters = {"month": f"2026-{self._next() % 12 + 1:02d}", "pages": pages}
        return Call(shop.MonthlyReport, parameters=parameters, queue=REPORTS)

    def _next(self) -> int:
        self._number += 1
        return self._number
