"""What the kernel refuses the process of a job with `max_memory`: for who is faster than the looks at its memory.

A limit passes to whatever a process starts, and a runner that the job's code starts is to work for others.
"""

from __future__ import annotations

import os
import sys
from typing import Final

OUTSIDE: Final = "_LATESHIFT_OUTSIDE_OF_WALL"
"""The environment variable with the limit that there was before."""


def build(limit: int) -> None:
    """Have the kernel refuse this process what goes far beyond the limit.

    Far, since it counts what was asked for, and not what is used: each thread's stack is 8 MB of it.
    """
    if sys.platform == "linux":
        import resource

        before, most = resource.getrlimit(resource.RLIMIT_DATA)
        wall = 2 * limit if most == resource.RLIM_INFINITY else min(2 * limit, most)
        os.environ.setdefault(OUTSIDE, str(before))
        resource.setrlimit(resource.RLIMIT_DATA, (wall, most))


def leave() -> None:
    """Have the limit again that there was outside of the wall, if this process was started from within one."""
    before = os.environ.pop(OUTSIDE, None)
    if sys.platform == "linux" and before is not None:
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (int(before), most))
