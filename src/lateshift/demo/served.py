"""The dashboard beside the demo: in a thread of its own, with the jobs of a shop to show."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lateshift.app import Lateshift
from lateshift.demo.feed import Feed
from lateshift.demo.run import DemoRefused

if TYPE_CHECKING:
    from rich.console import Console


class Served:
    """Serves from its beginning to its end. Raises DemoRefused where there is no dashboard to be had."""

    def __init__(self, app: Lateshift, console: Console, *, open_it: bool) -> None:
        try:
            from lateshift.dashboard.serving import Serving
        except ImportError as error:
            raise DemoRefused(
                f"The dashboard cannot be served: {error.name} is not installed. Install Lateshift anew, with what it "
                "depends on (`pip install lateshift`), or leave --dashboard out."
            ) from error
        self._console, self._open_it = console, open_it
        self._serving = Serving(app, "127.0.0.1", None, read_only=False)
        self._thread = threading.Thread(target=self._serving.run, name="lateshift-dashboard", daemon=True)
        self._feed = Feed(app)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._feed.close()
        self._serving.stop()
        self._thread.join()

    def begin(self) -> None:
        """Say where it is, and give it something to show."""
        link = self._serving.link
        self._console.print(f"\nThe dashboard is at {link}, with the jobs of a shop as well.", style="bold")
        self._feed.open()
        if self._open_it:
            import webbrowser

            webbrowser.open(link)

    def go_on(self, program: str) -> None:
        """Until Ctrl-C; `program` is how to call Lateshift again."""
        self._console.print(f"The dashboard goes on at {self._serving.link}, and so does the shop. Ctrl-C ends both.\n")
        try:
            self._feed.run()
        except KeyboardInterrupt:
            self._console.print("\nThe dashboard has ended. This serves it again, without the shop:")
            self._console.print(f"\n  {program} dashboard\n", style="cyan", soft_wrap=True)
