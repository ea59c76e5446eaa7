"""The jobs of a shop that never closes, for `lateshift demo --dashboard`: some of each kind that a page can show.

What becomes of a job is decided by its number, so that a retry by hand ends as one would expect.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from lateshift.context import current_job

log = logging.getLogger(__name__)

COLOURS: Final = ("red", "green", "blue")


class GatewayTimeout(Exception):
    """The bank did not answer; later it will."""


class CardDeclined(Exception):
    """The bank said no, and will again."""


class ChargeCard:
    """Charges an order: every fifth needs a second attempt, every seventeenth is declined."""

    max_retries = 2
    retry_delay = 6.0

    async def handle(self, order_id: int, amount: str) -> str:
        """Ask the bank for the money."""
        import asyncio

        log.info("Charging %s for order %d", amount, order_id)
        await asyncio.sleep(0.2 + order_id % 7 / 5)
        if order_id % 17 == 0:
            raise CardDeclined(f"the bank declines order {order_id}")
        if order_id % 5 == 0 and current_job().attempt == 1:
            log.warning("No answer from the bank; another attempt follows")
            raise GatewayTimeout(f"no answer for order {order_id} within 1.5 s")
        return f"charged {amount}"


class SendReceipt:
    """Sends a mail; one address in forty is none."""

    max_retries = 0

    async def handle(self, order_id: int, to: str) -> None:
        """Hand the mail over."""
        import asyncio

        await asyncio.sleep(0.05 + order_id % 4 / 20)
        if "@" not in to:
            raise ValueError(f"{to!r} is no address")


class MakeThumbnails:
    """Takes a few seconds of a thread, and tells how far it is."""

    max_retries = 1
    retry_delay = 10.0

    def handle(self, picture: int) -> list[str]:
        """Make three sizes of a picture."""
        for number, size in enumerate(("small", "medium", "large")):
            current_job().progress(number / 3, size)
            time.sleep(0.4 + picture % 5 / 4)
        if picture % 23 == 0:
            raise KeyError("width")
        return [f"{picture}-{size}.webp" for size in ("small", "medium", "large")]


class ReindexProduct:
    """Is done in no time."""

    async def handle(self, product: int) -> str:
        """Look at a product."""
        import asyncio

        await asyncio.sleep(0.02)
        return COLOURS[product % len(COLOURS)]


class MonthlyReport:
    """Goes on for a minute or more, and logs; like every coroutine it is stopped when somebody cancels it."""

    max_retries = 1

    async def handle(self, month: str, pages: int) -> int:
        """Write a page a second."""
        import asyncio

        for page in range(pages):
            current_job().progress(page / pages, f"page {page + 1} of {pages}")
            log.info("%s: page %d is written", month, page + 1)
            await asyncio.sleep(1)
        return pages


class SyncStock:
    """Waits in a queue that is paused, until somebody resumes it."""

    async def handle(self, partner: str) -> str:
        """Ask a partner."""
        import asyncio

        await asyncio.sleep(0.3)
        return f"{partner} has everything"
