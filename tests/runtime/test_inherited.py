"""What a job's process passes on to what it starts, and what not."""

from __future__ import annotations

import subprocess
import sys

import pytest

WALLED = """
import resource, subprocess, sys
from lateshift.runtime import wall
outside = (10**9, resource.getrlimit(resource.RLIMIT_DATA)[1])
resource.setrlimit(resource.RLIMIT_DATA, outside)
wall.build(100_000_000)
assert resource.getrlimit(resource.RLIMIT_DATA)[0] == 200_000_000
started = '''
import os, resource
from lateshift.runtime.process import _undo_inherited
_undo_inherited()
print(*resource.getrlimit(resource.RLIMIT_DATA), [name for name in os.environ if "WALL" in name])
'''
told = subprocess.run([sys.executable, "-c", started], capture_output=True, text=True, check=True).stdout
assert told.split() == [*map(str, outside), "[]"], told
"""

FORKED = """
import os
from lateshift.runtime.parent import take_standard_input
number = take_standard_input().fileno()
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
mine = os.open(os.devnull, os.O_RDONLY)
assert mine == number
if os.fork():
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
os.fstat(mine)
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA")
def test_a_runner_started_by_a_job_with_max_memory_has_not_its_limit():
    """It had, for ever, with all its workers and jobs; and a limit that others have set is left as it was."""
    subprocess.run([sys.executable, "-c", WALLED], check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="fork")
def test_a_fork_of_a_fork_keeps_its_files():
    """The first one closes what is not for it; the number that becomes free is a file of the job in the second."""
    subprocess.run([sys.executable, "-c", f"import sys{FORKED}"], stdin=subprocess.DEVNULL, check=True)
