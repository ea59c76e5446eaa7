"""What to tell about a callable path that leads nowhere: the nearest name, or why a worker does not see it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

DJANGO: Final = ("AppRegistryNotReady", "ImproperlyConfigured")


def no_module(name: str, *, of_worker: bool) -> str:
    """What to tell about a module that is nowhere."""
    if not of_worker:
        return f"there is no module {name!r}. Is its folder on the Python path (the current folder, or PYTHONPATH)?"
    return (
        f"there is no module {name!r} on the Python path of this worker: {own_path()}. A runner has that of the "
        "program that started it. If another program has enqueued this, in another folder, put both folders on "
        "PYTHONPATH for both, and run `lateshift workers stop --here`."
    )


def own_path() -> str:
    """Where modules are looked for first, before the folders of the installation."""
    own = [path or "." for path in sys.path if not path.startswith((sys.prefix, sys.base_prefix))]
    return f"{os.pathsep.join(own) or 'nothing'}, then that of the installation"


def nothing_in_module(module: ModuleType, name: str) -> str:
    """What to tell about a name that a module has not."""
    where = vars(module).get("__name__", "the module")
    if _stands_inside(module, name):
        return (
            f"{where} has no {name!r} at its top level, and workers see nothing else. Move it out of what it stands "
            'in, such as `if __name__ == "__main__":`.'
        )
    return f"{where} has no {name!r}{_nearest(name, vars(module))}"


def nothing_in_class(label: str, tables: Iterable[Mapping[str, Any]], name: str) -> str:
    """What to tell about a name that a class has not, by the tables of it and its bases."""
    names = {item: value for table in tables for item, value in table.items()}
    methods = [item for item, value in names.items() if _is_method(item, value)]
    if name == "handle" and methods:
        others = ", ".join(map(repr, methods[:3]))
        return (
            f"{label} has no 'handle'. It has {others}: name the method, as in "
            f'run_background_job({label}, "{methods[0]}") or `lateshift enqueue ... --method {methods[0]}`.'
        )
    return f"{label} has no {name!r}{_nearest(name, names)}"


def import_hint(error: BaseException) -> str:
    """What to add when a module could not be imported: who looked for it, or that its web framework was not set up."""
    if isinstance(error, ModuleNotFoundError):
        version = ".".join(map(str, sys.version_info[:3]))
        return f" (Python {version} at '{sys.executable}' looked for it)"
    if type(error).__name__ in DJANGO:
        return (
            " Is Django set up in this process? Workers and the command line do so where DJANGO_SETTINGS_MODULE is in "
            "the environment; a program of yours calls django.setup() itself. docs/frameworks.md has more."
        )
    if "application context" in str(error):
        return " Ask for the application inside the job, under `with app.app_context():`; docs/frameworks.md has more."
    return ""


def _stands_inside(module: ModuleType, name: str) -> bool:
    """Whether a module's text defines a function or class of this name, but not at the top level."""
    try:
        source = Path(vars(module)["__file__"]).read_text(encoding="utf-8", errors="replace")
    except (KeyError, TypeError, OSError):  # built in, in a zip, gone
        return False
    return re.search(rf"^[ \t]+(?:async )?(?:def|class) {re.escape(name)}\b", source, re.MULTILINE) is not None


def _is_method(name: str, value: object) -> bool:
    """Whether something in a class may be the method that is meant: not what `@background` has put there, or a hook."""
    kinds = (staticmethod, classmethod)
    ours = str(getattr(value, "__module__", "")).startswith("lateshift.")
    is_callable = isinstance(value, kinds) or (callable(value) and not isinstance(value, type))
    return is_callable and not ours and not name.startswith("_") and name != "failed"


def _nearest(name: str, names: Iterable[str]) -> str:
    import difflib  # only an error needs it

    near = difflib.get_close_matches(name, sorted(item for item in names if not item.startswith("_")), 1)
    return f"; did you mean {near[0]!r}?" if near else "."
