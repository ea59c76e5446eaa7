"""The program that was started, and the names under which other processes can import it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

MAIN: Final = ("__main__", "__mp_main__")
"""What a program that was started calls itself, and what multiprocessing calls it in a child that it spawns."""


def main_name(names: Mapping[str, Any] | None = None) -> str | None:
    """The name under which other processes can import the program that was started, or None if there is none.

    `names` are the globals of something in it: cProfile and trace stay `__main__` themselves, and run it beside that.
    """
    if names is None or "__file__" not in names:
        names = getattr(sys.modules.get("__main__"), "__dict__", {})
    spec = names.get("__spec__")
    if spec is not None and spec.loader is not None:
        # A zipapp, and a folder with a __main__.py, go by a name that each program has. So do consoles, from 3.13 on.
        return None if spec.name in ("__main__", "_pyrepl.__main__") else str(spec.name)
    file = names.get("__file__")
    if not file:
        return None
    stem = str(file).replace("\\", "/").rpartition("/")[2].removesuffix(".py")
    return stem if stem.isidentifier() else None


def program_with(names: Mapping[str, Any] | None) -> ModuleType | None:
    """The program that was started as a module, if `names` are the globals of something in it; see `main_name`."""
    if names is None or names.get("__name__") not in MAIN or "__file__" not in names:
        return None
    main = sys.modules.get("__main__")
    if main is None or vars(main) is not names:  # a profiler runs it in no module: one with its names stands in
        main = ModuleType("__main__")
        vars(main).update(names)
    return main


def would_repeat(main: ModuleType, spec: ModuleSpec | None) -> bool:
    """Whether to import this would run the program a second time."""
    file = getattr(main, "__file__", None)
    return spec is None or not spec.origin or not file or os.path.abspath(spec.origin) == os.path.abspath(file)


def program_as_module() -> tuple[str, Path] | None:
    """The program that was started by its file, as the module of a package that it is, and the folder of that package.

    None if it was started with -m, or is in no package.
    """
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if not file or getattr(main, "__spec__", None) is not None:
        return None
    path = Path(file).absolute()
    names, folder = [path.stem], path.parent
    while (folder / "__init__.py").exists():
        names, folder = [folder.name, *names], folder.parent
    return (".".join(names), folder) if len(names) > 1 else None
