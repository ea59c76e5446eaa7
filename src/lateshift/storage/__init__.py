"""The database: all SQL lives in this package, one function for each verb."""

from __future__ import annotations

from lateshift.clock import Clock
from lateshift.errors import SettingsError
from lateshift.settings import Settings
from lateshift.storage.sqlite import SqliteDatabase


def open_database(settings: Settings, clock: Clock | None = None) -> SqliteDatabase:
    """The database that LATESHIFT_DATABASE_URL names; it is connected to at the first use.

    Raises SettingsError for a scheme that is not known.
    """
    scheme, _, rest = settings.database_url.partition("://")
    if scheme != "sqlite":
        raise SettingsError(
            f"LATESHIFT_DATABASE_URL has the scheme {scheme!r}, known is sqlite. Write sqlite:///storage/lateshift.db."
        )
    return SqliteDatabase(
        rest.removeprefix("/"),
        durability=settings.sqlite_durability,
        busy_timeout=settings.busy_timeout,
        clock=clock,
    )
