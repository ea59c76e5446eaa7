"""Checks of the project: its settings, its Python, what it allows to run."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from lateshift.allowlist import AllowList
from lateshift.doctor.place import Check, Level, Place
from lateshift.errors import CallableNotFound, InvalidJob, SettingsError
from lateshift.settings import Explained
from lateshift.settings_sources import env_name
from lateshift.target import resolve
from lateshift.target_advice import import_hint, own_path
from lateshift.wording import as_sentence

ALWAYS_SHOWN: Final = ("root", "database_url", "allowed", "storage_dir")
NOT_THERE: Final = "is not there"


def settings(place: Place) -> Iterator[Check]:
    """Each setting that matters or was set, with where it comes from; then all the others."""
    shown = [item for item in place.explained if item.origin != "default" or item.name in ALWAYS_SHOWN]
    for item in shown:
        level, fault = _users(place) if item.name == "dashboard_users" else ("ok", "")
        yield Check(env_name(item.name), level, f"{item.value} ({item.origin})" + (f": {fault}" if fault else ""))
    rest = [f"{item.name}={item.value}" for item in place.explained if item not in shown]
    if rest:
        yield Check("other settings", "ok", f"at their defaults: {', '.join(rest)}")


def _users(place: Place) -> tuple[Level, str]:
    """Why `lateshift dashboard` refuses its users, or some of them cannot log in."""
    from lateshift.accounts import NO_HASH, locked_out, read_accounts  # with its hashes, which nobody else needs

    try:
        accounts = read_accounts(place.settings.dashboard_users, place.settings.root)
    except SettingsError as error:
        return "error", str(error)
    names = locked_out(accounts, place.settings)
    return ("warning", f"nobody can log in as {', '.join(names)}: {NO_HASH}") if names else ("ok", "")


def python(_: Place) -> Iterator[Check]:
    """Which Python, which Lateshift, and where modules are looked for."""
    version = ".".join(map(str, sys.version_info[:3]))
    ours = sys.modules["lateshift"]
    folder = os.path.dirname(str(ours.__file__))
    yield Check("python", "ok", f"Python {version} at {sys.executable}, Lateshift {ours.__version__} in {folder}")
    yield Check("python path", "ok", own_path())


def allowed(place: Place) -> Iterator[Check]:
    """Whether each entry of the allow-list can be imported."""
    yield from try_entries(place.settings.allowed, place.explained)


def try_entries(entries: Iterable[str], explained: Iterable[Explained]) -> Iterator[Check]:
    """The same, of the entries of settings that are `explained`."""
    origin = next(item.origin for item in explained if item.name == "allowed")
    faults = {entry: _import(entry) for entry in entries}
    if origin == "default" and all(fault == NOT_THERE for fault in faults.values()):
        remedy = "`lateshift init` makes app/jobs.py; or set LATESHIFT_ALLOWED to the package of your jobs."
        yield Check("allow-list", "warning", f"Neither {' nor '.join(faults)} exists, so no job can run.", remedy)
        return
    for entry, fault in faults.items():
        yield _entry(entry, fault, origin)


def _entry(entry: str, fault: str, origin: str) -> Check:
    if not fault:
        return Check("allow-list", "ok", f"{entry} can be imported")
    if fault != NOT_THERE:
        remedy = f"Correct that module; `python -c 'import {entry}'` shows the traceback."
        return Check("allow-list", "error", as_sentence(f"Importing {entry} fails: {fault}"), remedy)
    if origin == "default":
        return Check("allow-list", "ok", f"{entry} does not exist; it is a default and need not")
    folder = f"the folder that holds {entry.partition('.')[0]}"
    remedy = f"Run this in the project's folder, put {folder} on PYTHONPATH, or correct LATESHIFT_ALLOWED."
    return Check("allow-list", "error", f"{entry} is not on the Python path (allowed by {origin}).", remedy)


def _import(entry: str) -> str:
    """Import an entry of the allow-list as a worker would; what is wrong with it, or nothing."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what a module prints is no part of the diagnosis
            resolve(f"{entry}.lateshift_doctor", AllowList([entry]))
    except CallableNotFound as error:
        if error.__cause__ is not None:
            return f"{type(error.__cause__).__name__}: {error.__cause__}{import_hint(error.__cause__)}"
    except InvalidJob:  # something has that name; so the entry was imported
        return ""
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of the module's own making; a worker takes it for the failure of a job
        return f"{type(error).__name__}: {error}"
    holder, _, name = entry.rpartition(".")
    return "" if entry in sys.modules or hasattr(sys.modules.get(holder), name) else NOT_THERE
