"""The allow-list: which dotted names may run at all, judged by the name alone, before anything is imported."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import PurePath
from typing import Final

from lateshift.errors import CallableNotAllowed

NOBODYS: Final = sys.stdlib_module_names | {"__main__", "?"}
"""Modules that nobody's list is meant to have: as a whole each of them lets anything run, or is never the same, or is
unknown, as that of what `unittest.mock` puts in the place of a method."""


class AllowList:
    """The packages, modules and classes whose callables may run. Raises ValueError for an entry that is none.

    With `of_worker` its refusals are those of a process that does not see when the setting changes.
    """

    def __init__(self, entries: Iterable[str], *, of_worker: bool = False) -> None:
        self.entries = tuple(entries)
        self.of_worker = of_worker
        for entry in self.entries:
            check_entry(entry)
        self._prefixes = tuple(f"{entry}." for entry in self.entries)

    def permits(self, path: str) -> bool:
        """Whether a name is below an entry and each segment beyond the entry is public. Imports nothing."""
        return self._objection(path) is None

    def covers(self, path: str) -> bool:
        """Whether a name is an entry or below one; unlike `permits` it may be private, as where code is defined."""
        return path.startswith(self._prefixes) or path in self.entries

    def check(self, path: str) -> None:
        """Raise CallableNotAllowed for a name that is not permitted, saying how to permit it. Imports nothing."""
        objection = self._objection(path)
        if objection is not None:
            raise CallableNotAllowed(f"{path!r} may not run: {objection}")

    def advice(self, module: str) -> str:
        """How to permit a module that is not on the list; nothing for one that nobody should."""
        if self.of_worker:
            return (
                "If you have changed the setting since, run `lateshift workers stop --here`: the next enqueue, or "
                "`lateshift work`, starts a worker that has the new one. If not, it may be the list of another "
                "script's configure(): one in .env is for all programs and workers"
            )
        if module.partition(".")[0] in NOBODYS:
            return ""
        found = f"If {module.partition('.')[0]} is yours" if _is_installed(module) else "To allow it"
        return f"{found}, set LATESHIFT_ALLOWED={','.join((*self.entries, module))}"

    def with_modules_of(self, paths: Iterable[str]) -> str:
        """The setting that permits these callables too."""
        modules = (_module_part(path.split(".")) for path in paths)
        return f"LATESHIFT_ALLOWED={','.join(dict.fromkeys((*self.entries, *modules)))}"

    def _objection(self, path: str) -> str | None:
        segments = path.split(".")
        if not all(segment.isidentifier() for segment in segments):
            return "it is no dotted name. Write it as app.jobs.ProcessOrder or app.jobs.send_receipt."
        if path in self.entries:
            return f"it is an entry of LATESHIFT_ALLOWED, not a callable in it. Write the whole name: {path}.NAME."
        inside = [prefix for prefix in self._prefixes if path.startswith(prefix)]
        if not inside:
            return self._unlisted(segments)
        beyond = path.removeprefix(max(inside, key=len)).split(".")
        private = next((segment for segment in beyond if segment.startswith("_")), None)
        if private is None:
            return None
        if private == "__main__":
            return "'__main__' is private to a program. Move the callable into a module of its own."
        return f"{private!r} is private. Give the callable a public name and use that one."

    def _unlisted(self, segments: list[str]) -> str:
        listed = ",".join(self.entries) or "no entry"
        module = _module_part(segments)
        if self.of_worker:
            return f"LATESHIFT_ALLOWED is {listed} in this worker. {self.advice(module)}."
        if segments[0] in NOBODYS:
            whose = "the program that was started" if segments[0] == "__main__" else "Python's own"
            advice = f"{segments[0]} is {whose}: name a function of yours, in a module of the list."
        elif meant := self._meant(module, segments):
            advice = f"Did you mean {meant}?" + ("" if len(segments) == 1 else f" If not, add {module} to the setting.")
        elif _is_installed(module):
            advice = f"Write a function in {self.entries[0] if self.entries else 'a module of yours'} that calls it. "
            advice += self.advice(module)
        else:
            advice = self.advice(module)
        return f"LATESHIFT_ALLOWED has {listed}. {advice}"

    def _meant(self, module: str, segments: list[str]) -> str:
        """The names inside the list that a name outside of it may have been meant to be."""
        import difflib  # only an error needs it

        if len(segments) == 1:
            return " or ".join(f"{entry}.{segments[0]}" for entry in self.entries[:3])
        rest = ".".join(segments)[len(module) :]
        parts = [entry for entry in self.entries if entry.endswith(f".{module}") or entry.startswith(f"{module}.")]
        near = difflib.get_close_matches(module, self.entries, 1, 0.8) or parts
        return f"{near[0]}{rest}" if near else ""


def check_entry(entry: object) -> None:
    """Raise ValueError unless an entry is a dotted name of identifiers."""
    if not isinstance(entry, str) or not all(segment.isidentifier() for segment in entry.split(".")):
        is_file = isinstance(entry, str) and entry.replace("-", "_").isidentifier()
        renamed = f" A file {entry}.py has to be renamed." if is_file else ""
        raise ValueError(
            f"{entry!r} is no dotted name.{renamed} Write packages, modules or classes such as app.jobs, without * or "
            "paths"
        )


def _is_installed(module: str) -> bool:
    """Whether a module is known to be of an installed package, most of which are other people's."""
    package = sys.modules.get(module.partition(".")[0])
    return not {"site-packages", "dist-packages"}.isdisjoint(PurePath(str(getattr(package, "__file__", ""))).parts)


def _module_part(segments: list[str]) -> str:
    """A guess at the module in a dotted name: what stands before the first class, or before the last segment."""
    for position, segment in enumerate(segments[1:], 1):
        if segment[0].isupper():
            return ".".join(segments[:position])
    return ".".join(segments[:-1]) or segments[0]
