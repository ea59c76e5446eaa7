"""`lateshift demo`: the whole path of a job on real input, with nothing started by hand.

Each source file of a folder becomes a job; a runner that starts by itself does them while the terminal shows how far
they are. `jobs` has the jobs, `sources` finds the files, `run` enqueues or carries on, `show` is what one sees. With a
dashboard (`served`) there are those of a `shop` as well, which `feed` enqueues.
"""

from __future__ import annotations

from pathlib import Path


def run_demo(folder: Path | None = None, *, plain: bool = False, dashboard: bool = False, open_it: bool = False) -> int:
    """Run the demo on the *.py files of a folder (default: Python's own library); returns the exit code.

    0: everything that should complete did; 1: something else failed; 2: refused; 130: interrupted by Ctrl-C. `plain`
    prints lines instead of a moving display, as happens anyway where standard output is no terminal. With `dashboard`
    that is served meanwhile, and until Ctrl-C; `open_it` opens it in a browser.
    """
    from lateshift.demo.stage import perform  # the runner imports this package for its jobs, and needs no display

    return perform(folder, plain=plain, dashboard=dashboard, open_it=open_it)
