"""Frozen programs (PyInstaller, cx_Freeze, Nuitka): no Python is beside them, so they run their jobs themselves."""

from __future__ import annotations

import sys

from lateshift.host.spawn import ROLE_OPTION, is_frozen, offer_program


def freeze_support() -> None:
    """Let this program run its jobs when it is frozen; else do nothing. As `multiprocessing.freeze_support`.

    Call it first of all under `if __name__ == "__main__":`. Whatever runs jobs is then this program, started again: in
    such a process the call does not return.
    """
    if not is_frozen():
        return
    offer_program()
    if sys.argv[1:2] != [ROLE_OPTION]:
        return
    del sys.argv[1]
    # Written out, so that whoever freezes the program finds what it needs.
    if sys.argv[1:] == ["child"]:
        from lateshift.runtime import child

        child.main()
    else:
        from lateshift.runtime import process

        process.main()
