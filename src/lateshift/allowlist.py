"""The allow-list: which dotted names may run at all, judged by the name alone, before anything is imported."""

from __future__ import annotations

from collections.abc import Iterable

from lateshift.errors import CallableNotAllowed


class AllowList:
    """The packages, modules and classes whose callables may run. Raises ValueError for an entry that is none."""

    def __init__(self, entries: Iterable[str]) -> None:
        self.entries = tuple(entries)
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
        """How to permit a module that is not on the list."""
        return f"To allow it, set LATESHIFT_ALLOWED={','.join((*self.entries, module))}"

    def _objection(self, path: str) -> str | None:
        segments = path.split(".")
        if not all(segment.isidentifier() for segment in segments):
            return "it is no dotted name. Write it as app.jobs.ProcessOrder or app.jobs.send_receipt."
        if path in self.entries:
            return "it is what LATESHIFT_ALLOWED has, and not a callable inside of it. Write the whole name."
        inside = [prefix for prefix in self._prefixes if path.startswith(prefix)]
        if not inside:
            listed = f"LATESHIFT_ALLOWED has {','.join(self.entries) or 'no entry'}. "
            return f"{listed}{self.advice(_module_part(segments))}"
        beyond = path.removeprefix(max(inside, key=len)).split(".")
        private = next((segment for segment in beyond if segment.startswith("_")), None)
        if private is None:
            return None
        return f"{private!r} is private. Give the callable a public name and use that one."


def check_entry(entry: object) -> None:
    """Raise ValueError unless an entry is a dotted name of identifiers."""
    if not isinstance(entry, str) or not all(segment.isidentifier() for segment in entry.split(".")):
        raise ValueError(
            f"{entry!r} is no dotted name. Write packages, modules or classes such as app.jobs, without * or paths"
        )


def _module_part(segments: list[str]) -> str:
    """A guess at the module in a dotted name: what stands before the first class, or before the last segment."""
    for position, segment in enumerate(segments[1:], 1):
        if segment[0].isupper():
            return ".".join(segments[:position])
    return ".".join(segments[:-1]) or segments[0]
