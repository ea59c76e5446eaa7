import logging
import os
import time
from pathlib import Path

from lateshift import Cancel, current_job

log = logging.getLogger("shop")


class ProcessOrder:
    queue = "orders"

    def handle(self, order_id: int) -> dict[str, int]:
        log.info("order %s", order_id)
        return {"order_id": order_id}

    def refund(self, order_id: int) -> str:
        return f"refunded {order_id}"


def fail(message: str = "no luck") -> None:
    log.warning("about to fail")
    raise ValueError(message)


def quick() -> str:
    return "quick"


def give_up() -> None:
    raise Cancel("not today")


def until_file(name: str) -> str:
    """Runs until the file is there, tells about it in the log."""
    log.warning("started in %s", os.getpid())
    while not Path(name).exists() and not current_job().cancelled:
        time.sleep(0.01)
    return "found"


async def later() -> str:
    return "async"


def loud(text: str) -> str:
    log.warning(text)
    return text


class Slow:
    timeout = 0.2
    max_retries = 0

    def handle(self) -> None:
        while True:
            time.sleep(0.01)


class Isolated:
    isolation = "process"

    def handle(self) -> int:
        return os.getppid()
