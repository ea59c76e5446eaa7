"""What the jobs of a process print at the same time."""

import subprocess
import sys

JOBS = """
import sys, threading
from lateshift.runtime.output import flush, prepare


def meanwhile(*what, **how):
    other = threading.Thread(target=print, args=what, kwargs=how)
    other.start()
    other.join()


class Slow:
    def __str__(self):
        meanwhile("other", "line", file=stream)
        meanwhile("begun ", file=stream, end="", flush=True)
        return "ends"


prepare()
for stream in (sys.stdout, sys.stderr):
    print("a line", Slow(), file=stream)
    stream.write("one\\ntw")
    stream.writelines(["o\\n", "50 %\\r"])
    meanwhile("x" * 10_000, file=stream, end="")
    meanwhile("not ended", file=stream, end="")
flush()
"""


def test_lines_of_several_threads_stay_whole():
    """What another thread prints comes before or after a line, not into it; what has no end comes when asked for."""
    done = subprocess.run([sys.executable, "-c", JOBS], capture_output=True, check=True)
    expected = b"other line\nbegun a line ends\none\ntwo\n50 %\r" + b"x" * 10_000 + b"not ended"
    assert (done.stdout.replace(b"\r\n", b"\n"), done.stderr.replace(b"\r\n", b"\n")) == (expected, expected)


def test_what_nobody_reads_fails_no_job():
    """The terminal of a `lateshift work` is gone, or what it was piped into has ended: each `print` raised an error."""
    jobs = "import os, sys; from lateshift.runtime.output import flush, prepare; prepare()\n"
    jobs += "for number in range(3): print('x' * 10_000, flush=True), print('y', end='')\n"
    jobs += "flush(); print('went on', file=sys.stderr); os._exit(0)"
    process = subprocess.Popen([sys.executable, "-c", jobs], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert (process.stderr.read().strip(), process.wait(30)) == (b"went on", 0)
    process.stderr.close()
