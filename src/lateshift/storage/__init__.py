"""The database: all SQL lives in this package, one function for each verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lateshift.clock import Clock
from lateshift.errors import SettingsError
from lateshift.settings import Settings
from lateshift.storage.database import Database, undivided

Opener = Callable[..., Database]


def open_database(
    settings: Settings,
    clock: Clock | None = None,
    *,
    timeout: float | None = None,
    patience: float | None = None,
    as_is: bool = False,
) -> Database:
    """The database that LATESHIFT_DATABASE_URL names; it is connected to at the first use.

    `timeout` is how many seconds to wait for a server, instead of LATESHIFT_DATABASE_TIMEOUT, and `patience` how many
    for an answer, if not the same: a migration may take its time. `as_is` takes any schema, to look at it or to migrate
    it. Raises SettingsError for a scheme that is not known, StorageError for a driver that
    is not there.
    """
    scheme = settings.database_url.partition("://")[0]
    if scheme not in SCHEMES:
        plain = scheme.partition("+")[0]  # SQLAlchemy's have the driver behind it
        like = f"{plain}://USER:PASSWORD@HOST/DATABASE" if plain in SCHEMES else "sqlite:///storage/lateshift.db"
        raise SettingsError(
            f"LATESHIFT_DATABASE_URL has the scheme {scheme!r}, known are {', '.join(SCHEMES)}. "
            f"Write for example {like}."
        )
    wait = settings.database_timeout if timeout is None else timeout
    with undivided():
        return SCHEMES[scheme](settings, clock=clock, timeout=wait, patience=patience, as_is=as_is)


def _sqlite(settings: Settings, *, timeout: float, patience: float | None, **options: Any) -> Database:  # noqa: ARG001 - it has its own, busy_timeout
    from lateshift.storage.sqlite import SqliteDatabase

    return SqliteDatabase(
        settings.database_url.partition("://")[2].removeprefix("/"),
        prefix=settings.table_prefix,
        durability=settings.sqlite_durability,
        busy_timeout=settings.busy_timeout,
        **options,
    )


def _postgres(settings: Settings, **options: Any) -> Database:
    from lateshift.storage.postgres import PostgresDatabase

    return PostgresDatabase(
        settings.database_url, schema=settings.schema, prepare=settings.prepare, pool=settings.pool, **options
    )


def _mysql(settings: Settings, **options: Any) -> Database:
    from lateshift.storage.mysql import MysqlDatabase

    return MysqlDatabase(settings.database_url, prefix=settings.table_prefix, pool=settings.pool, **options)


SCHEMES: Final[dict[str, Opener]] = {
    "sqlite": _sqlite,
    "postgresql": _postgres,
    "postgres": _postgres,
    "mysql": _mysql,
    "mariadb": _mysql,
    "mysql+pymysql": _mysql,
    "mysql+mysqldb": _mysql,
}
