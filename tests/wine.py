"""Whether this is Windows as Wine has it. What only Wine lacks is tested on a real Windows."""

import ctypes
import sys

UNDER_WINE = sys.platform == "win32" and hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")
