"""`python -m lateshift`, the same as `lateshift`."""

import sys

from lateshift.cli import main

sys.exit(main())
