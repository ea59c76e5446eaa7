"""The files that `lateshift init` writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from lateshift.allowlist import AllowList
from lateshift.cli.base import PARAMS
from lateshift.settings import load_settings
from lateshift.settings_sources import PREFIX

JOBS: Final = '''\
"""Background jobs. What LATESHIFT_ALLOWED names may run, and nothing else."""

import logging

log = logging.getLogger(__name__)


class ProcessOrder:
    """A job: each attempt makes a new instance and calls `handle` with the parameters, converted by its type hints."""

    queue = "orders"
    max_retries = 3
    retry_delay = 5  # seconds

    def handle(self, order_id: int) -> dict[str, object]:
        log.info("processing order %s", order_id)
        return {"order_id": order_id, "processed": True}
'''

ENV: Final = """\
# Settings of Lateshift; the environment wins over this file. `lateshift doctor` shows what is in force.

# Where the jobs are stored: a file that is made at the first use. The path is relative to this folder. Or a server,
# postgresql://user:password@host/name or mysql://user:password@host/name, where `lateshift migrate` makes the tables.
{database_url}

# Packages and modules whose callables may run as jobs.
{allowed}

# Some others, with their defaults:
# LATESHIFT_MAX_RETRIES=3
# LATESHIFT_RETRY_DELAY=5
# LATESHIFT_LOG_LEVEL=INFO
# LATESHIFT_LOG_DAYS=14
# LATESHIFT_IDLE_EXIT=30
"""

IGNORED: Final = "storage/"

PYDANTIC: Final = (
    'note   pydantic-settings is installed: a class of it with env_file=".env" refuses names that it does not know.\n'
    '       Give it extra="ignore", or move the LATESHIFT_ lines to pyproject.toml, as docs/settings.md says.'
)


@dataclass
class Scaffold:
    """What was done, in lines to print, and the command to try next."""

    lines: list[str] = field(default_factory=list)
    advice: str = ""
    command: str = ""


def scaffold(folder: Path, origins: Mapping[str, str]) -> Scaffold:
    """Write what is missing of a project in this folder; `origins` says where each setting comes from so far."""
    done = Scaffold()
    # A package `app` would hide a program `app.py` from Python, and has no place beside a file `app`.
    if (folder / "app.py").exists() or (folder / "app").is_file():
        module, file = "jobs", folder / "jobs.py"
    else:
        module, file = "app.jobs", folder / "app" / "jobs.py"
        _write(done, folder / "app" / "__init__.py", folder, "")
    package = file.with_suffix("")
    jobs = package if package.is_dir() else file  # Python sees one of the two only
    _write(done, jobs, folder, JOBS)
    _settings(done, folder / ".env", _env(module, origins))
    _ignore(done, folder / ".gitignore")
    if find_spec("pydantic_settings") is not None:
        done.lines.append(PYDANTIC)
    done.command = f"lateshift enqueue {module}.ProcessOrder --params {PARAMS} --wait"
    done.advice = "Now have a first job done, with nothing else to start:"
    allowed = load_settings().allowed
    if not AllowList(allowed).permits(f"{module}.ProcessOrder"):
        whole = ",".join((*allowed, module) if origins["allowed"] != "default" else (module,))
        where = ".env" if origins["allowed"] == "default" else origins["allowed"]
        done.advice = f"Set LATESHIFT_ALLOWED to {whole} ({where}); then have a first job done:"
    if jobs.is_dir() or "class ProcessOrder" not in jobs.read_text(encoding="utf-8", errors="replace"):
        name = _name(jobs, folder)
        done.advice = f"{name} has jobs of its own: name one of them, and its parameters, in place of these:"
    return done


def _env(module: str, origins: Mapping[str, str]) -> str:
    """The text of `.env`, which must not overrule what another source says."""
    lines = {
        "database_url": "LATESHIFT_DATABASE_URL=sqlite:///storage/lateshift.db",
        "allowed": f"LATESHIFT_ALLOWED={module}",
    }
    told = {
        name: line
        if origins[name] == "default"
        else f"# Given by {origins[name]}, which this line would overrule:\n# {line}"
        for name, line in lines.items()
    }
    return ENV.format(**told)


def _write(done: Scaffold, path: Path, folder: Path, text: str) -> None:
    if path.exists():
        done.lines.append(f"kept   {_name(path, folder)}")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    done.lines.append(f"wrote  {_name(path, folder)}")


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() + ("/" if path.is_dir() else "")


def _settings(done: Scaffold, file: Path, text: str) -> None:
    """Write `.env`, or add to one without settings of ours, which would not make the folder a project."""
    if not file.is_file():
        _write(done, file, file.parent, text)
        return
    try:
        present = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        done.lines.append(f"kept   {file.name}, which is not UTF-8 text: save it as such, then init adds the settings")
        return
    if PREFIX in present:
        done.lines.append(f"kept   {file.name}")
        return
    _append(file, present, f"\n{text}" if present else text)
    done.lines.append(f"added  {file.name}: settings of Lateshift")


def _ignore(done: Scaffold, file: Path) -> None:
    """Keep the database and the logs out of version control."""
    present = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    if any(line.strip().strip("/") == IGNORED.strip("/") for line in present.splitlines()):
        done.lines.append(f"kept   {file.name}")
        return
    _append(file, present, f"{IGNORED}\n")
    done.lines.append(f"{'added' if present else 'wrote'}  {file.name}: {IGNORED}")


def _append(file: Path, present: str, text: str) -> None:
    gap = "" if not present or present.endswith("\n") else "\n"
    with file.open("a", encoding="utf-8", newline="\n") as opened:
        opened.write(f"{gap}{text}")
