"""`python -m lateshift`, and what the command `lateshift` runs."""

import sys


def main() -> int:
    """Run the command line; returns the exit code."""
    try:
        from lateshift.cli import main as run
    except KeyboardInterrupt:  # in the quarter of a second that the imports take
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
