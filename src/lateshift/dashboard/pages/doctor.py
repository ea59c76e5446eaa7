"""Doctor: whether Lateshift can work here, and for operators what it works with: settings, database, Python."""

from __future__ import annotations

import os
import platform
import sys
import time

from starlette.responses import Response

import lateshift
from lateshift.dashboard.view import View
from lateshift.errors import StorageError
from lateshift.host.fleet import host_name
from lateshift.settings_sources import env_name
from lateshift.storage import health, migrations
from lateshift.storage.schema import LATEST


def show(view: View) -> Response:
    """The page. It comes without a database, too: then it says why there is none."""
    diagnosis = view.desk.checkup.latest()
    try:
        database = _database(view)
    except StorageError as error:
        view.now = time.time_ns() // 1000  # by this machine's clock, as the database's cannot be read
        database = [("Kind", view.desk.database.dialect.name), ("Trouble", str(error))]
    inside = view.user.may("operator")
    return view.page(
        "doctor.html",
        section="doctor",
        title="Doctor",
        diagnosis=diagnosis,
        light="bad" if diagnosis.number("error") else "warning" if diagnosis.number("warning") else "good",
        inside=inside,
        database=database if inside else [],
        process=_process(view) if inside else [],
        settings=[(env_name(item.name), item) for item in diagnosis.settings] if inside else [],
    )


def _database(view: View) -> list[tuple[str, str]]:
    database = view.desk.database
    if not database.exists():
        return [("Place", database.place), ("Schema", "none yet: the first enqueued job makes it")]
    schema = view.read(migrations.version)
    size = view.read(health.size) if schema else 0
    return [
        ("Kind", view.read(health.product)),
        ("Place", database.place),
        ("Schema", f"{schema}, the current one" if schema == LATEST else f"{schema} of {LATEST}"),
        ("Size", f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.2f} GB"),
    ]


def _process(view: View) -> list[tuple[str, str]]:
    return [
        ("Lateshift", lateshift.__version__),
        ("Python", platform.python_version()),
        ("Executable", sys.executable),
        ("Host", f"{host_name()}, process {os.getpid()}"),
        ("Logs", str(view.desk.settings.storage_dir / "logs")),
    ]
