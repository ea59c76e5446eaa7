"""A command in a real pseudo-terminal, and its screen as a person sees it, by pyte.

`python tests/dashboard/terminal_screen.py [COLUMNS LINES] [KEYS...]` prints what `lateshift top` shows of a lively day.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pyte


class Terminal:
    """A terminal of so many columns and lines, in which one command runs."""

    def __init__(self, command, folder, environment, columns=80, lines=24):
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.leader, self.follower = pty.openpty()
        self._set_size(columns, lines)
        self.before = termios.tcgetattr(self.follower)
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color", **environment},
            stdin=self.follower,
            stdout=self.follower,
            stderr=self.follower,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - so that Ctrl-C is a signal
        )

    @property
    def text(self):
        """What is on the screen, without spaces at the ends."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    @property
    def is_as_before(self):
        """Whether the terminal's modes are those that it had, the cursor shows, and the first screen is back."""
        first_screen_back = self.written.rfind(b"\x1b[?1049l") > self.written.rfind(b"\x1b[?1049h")
        cursor_shows = self.written.rfind(b"\x1b[?25h") > self.written.rfind(b"\x1b[?25l")
        return termios.tcgetattr(self.follower) == self.before and cursor_shows and first_screen_back

    def read(self, seconds=0.05):
        """Take what has been written."""
        while select.select([self.leader], [], [], seconds)[0]:
            piece = os.read(self.leader, 65536)
            self.written += piece
            self._stream.feed(piece)
            seconds = 0

    def until(self, *expected, seconds=20):
        """Wait for texts (regular expressions) to be on the screen; returns it."""
        deadline = time.monotonic() + seconds
        while not all(re.search(each, self.text) for each in expected):
            assert time.monotonic() < deadline, f"{expected} is not on the screen:\n{self.text}"
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.text}"
            self.read()
        return self.text

    def press(self, keys):
        os.write(self.leader, keys.encode())

    def resize(self, columns, lines):
        self._set_size(columns, lines)
        self.screen.resize(lines, columns)

    def ended(self, signal_number=None):
        """Wait for its end, after a signal if one is given; returns the exit code."""
        if signal_number is not None:
            self.process.send_signal(signal_number)
        deadline = time.monotonic() + 20
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.text
            self.read()
        self.read()
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        os.close(self.leader)
        os.close(self.follower)

    def _set_size(self, columns, lines):
        fcntl.ioctl(self.follower, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def top(site, *options, columns=80, lines=24, **environment):
    """`lateshift top` on a site's database."""
    settings = site.app.settings
    mine = {"LATESHIFT_DATABASE_URL": settings.database_url, "LATESHIFT_SPAWN": "never", "LATESHIFT_ALLOWED": "shop"}
    command = [sys.executable, "-m", "lateshift", "top", *options]
    return Terminal(command, settings.storage_dir, {**mine, **environment}, columns, lines)


def main():
    import tempfile
    from pathlib import Path

    from dashboard_site import Site

    columns, lines = map(int, sys.argv[1:3] or ("80", "24"))
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        terminal = top(site, columns=columns, lines=lines)
        terminal.until("lateshift top" if columns > 20 else "late")
        for keys in sys.argv[3:]:
            terminal.press(keys.encode().decode("unicode_escape"))
            until = time.monotonic() + 0.7
            while time.monotonic() < until:
                terminal.read()
        print("\n".join(f"|{line}|" for line in terminal.screen.display))
        terminal.press("q")
        terminal.read(0.5)
        terminal.close()
        site.close()


if __name__ == "__main__":
    main()
