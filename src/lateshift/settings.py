"""The settings: one frozen value, put together from code, the environment, `.env`, `pyproject.toml` and defaults."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec.structs import force_setattr

from lateshift import settings_values as kinds
from lateshift.durations import LONGEST
from lateshift.errors import SettingsError
from lateshift.settings_sources import Found, env_name, gather, unknown_name
from lateshift.texts import shown

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


def cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """How many cores this process may use; with a limit of CPU time, as a container has, how many that keeps busy."""
    affinity = getattr(os, "sched_getaffinity", None)
    most = len(affinity(0)) if affinity else os.cpu_count() or 1
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        with suppress(OSError, ValueError):  # there is no such file, or no limit: "max"
            quota, period = map(int, " ".join((cgroup / name).read_text() for name in names).split())
            most = math.ceil(min(most, quota / period)) if quota > 0 else most
    return most


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, checked and with absolute paths. `load_settings` looks them up; made by hand, the rest is default.

    Durations are in seconds unless the name says days; sizes are in bytes of JSON. Raises SettingsError.
    """

    root: Path = msgspec.field(default_factory=Path.cwd)
    """The folder that relative paths are against."""
    database_url: str = "sqlite:///storage/lateshift.db"
    """Where the jobs are stored."""
    allowed: tuple[str, ...] = ("app.jobs", "app.services")
    """Packages, modules or classes whose callables may run."""
    release: str | None = None
    """What the dashboard calls this version of your program, such as its tag; charts mark when a new one starts."""
    max_retries: int = 3
    """How often a failed job is tried again, unless the job says otherwise."""
    retry_delay: float = 5.0
    """Seconds before a retry, unless the job says otherwise."""
    timeout: float | None = None
    """Seconds an attempt may take, unless the job says otherwise; None for no limit."""
    storage_dir: Path = Path("storage")
    """The folder of the logs and of what workers of this machine know of each other."""
    log_level: LogLevel = "INFO"
    """The least level that goes to the log files."""
    log_days: int = 14
    """How many days the log files are kept."""
    log_format: Literal["text", "json"] = "text"
    """Whether a log line is for people or one JSON object."""
    spawn: Literal["auto", "never"] = "auto"
    """Whether enqueuing starts a runner when no worker is there."""
    idle_exit: float = 30.0
    """Seconds without work after which a runner ends."""
    sqlite_durability: Literal["full", "normal"] = "full"
    """Whether SQLite waits for the disk at each commit; with `normal` a power cut may lose the last moments."""
    busy_timeout: float = 30.0
    """Seconds to wait for an SQLite file that others have locked."""
    database_timeout: float = 10.0
    """Seconds to wait for a database server: for a connection, for an answer, and for its return after an outage."""
    schema: str = "lateshift"
    """The schema of the tables on PostgreSQL."""
    table_prefix: str = "lateshift_"
    """What the names of the tables begin with on SQLite, MySQL and MariaDB."""
    prepare: Literal["auto", "off"] = "auto"
    """Whether PostgreSQL statements are prepared; `auto` notices a pooler in between, with which they must not be."""
    pool: int = 10
    """The most connections to a database server that one process opens."""
    max_parameters: int = 1_048_576
    """The most that a job's parameters may take."""
    max_result: int = 1_048_576
    """The most that a job's result may take."""
    keep_days: float = 7.0
    """How many days finished jobs are kept."""
    grace: float = 30.0
    """Seconds that running jobs get when their worker stops."""
    threads: int = 8
    """Sync jobs at once in each worker process."""
    coroutines: int = 200
    """Async jobs at once in each worker process."""
    children: int = msgspec.field(default_factory=cores)
    """Jobs with `isolation="process"` at once in each worker process."""
    redact: tuple[str, ...] = ("*password*", "*secret*", "*token*", "api_key", "authorization")
    """Names of parameters whose values the dashboard shows to operators only; `*` stands for anything."""
    dashboard_token: str | None = None
    """A secret that opens the dashboard to whoever has it, as an admin."""
    dashboard_users: str | None = None
    """Who may log in to the dashboard: `name:role:hash` of each, or `@file` with one a line."""
    dashboard_proxies: tuple[str, ...] = ()
    """Addresses of reverse proxies whose word on the browser's address and on https the dashboard takes."""
    dashboard_proxy_header: str | None = None
    """The header in which such a proxy names the user, if it does."""
    dashboard_read_only: bool = False
    """Whether the dashboard only shows, and changes nothing."""

    def __post_init__(self) -> None:
        for name in NAMES:
            force_setattr(self, name, _checked(name, Found(getattr(self, name), "code")))
        root = Path(os.path.abspath(self.root))  # resolve() would follow links, to paths nobody wrote
        force_setattr(self, "root", root)
        force_setattr(self, "storage_dir", kinds.absolute(self.storage_dir, root))
        url = kinds.absolute_url(self.database_url, root)
        if url.startswith("sqlite:") and "?" in url:  # which no worker would take, when it is told of it
            raise SettingsError(
                f"database_url would be {url!r}, and an SQLite URL has no ? in a name: give the folder another "
                "name, or set LATESHIFT_DATABASE_URL to an absolute path elsewhere."
            )
        force_setattr(self, "database_url", url)


_KINDS: Final[dict[str, kinds.Kind]] = {
    "root": kinds.path,
    "database_url": kinds.url,
    "allowed": kinds.packages,
    "release": kinds.or_none(kinds.label),
    "max_retries": kinds.whole(0, 10_000),
    "retry_delay": kinds.number(0, LONGEST),
    "timeout": kinds.or_none(kinds.number(0.001, LONGEST)),
    "storage_dir": kinds.path,
    "log_level": kinds.one_of("DEBUG", "INFO", "WARNING", "ERROR"),
    "log_days": kinds.whole(1, 36_500),
    "log_format": kinds.one_of("text", "json"),
    "spawn": kinds.one_of("auto", "never"),
    "idle_exit": kinds.number(0, LONGEST),
    "sqlite_durability": kinds.one_of("full", "normal"),
    "busy_timeout": kinds.number(0, 86_400),
    "database_timeout": kinds.number(0.1, 86_400),
    "schema": kinds.identifier,
    "table_prefix": kinds.identifier,
    "prepare": kinds.one_of("auto", "off"),
    "pool": kinds.whole(1, 1_000),
    "max_parameters": kinds.whole(2, 1 << 30),
    "max_result": kinds.whole(4, 1 << 30),
    "keep_days": kinds.number(0, 36_500, unit=86_400),
    "grace": kinds.number(0, 86_400),
    "threads": kinds.whole(1, 1_000),
    "coroutines": kinds.whole(1, 100_000),
    "children": kinds.whole(1, 1_000),
    "redact": kinds.patterns,
    "dashboard_token": kinds.or_none(kinds.secret),
    "dashboard_users": kinds.or_none(kinds.text),
    "dashboard_proxies": kinds.addresses,
    "dashboard_proxy_header": kinds.or_none(kinds.header),
    "dashboard_read_only": kinds.flag,
}

NAMES: Final = Settings.__struct_fields__
"""The settings' names, as they are written in code and in pyproject.toml."""


_PASSWORD: Final = re.compile(
    r"""(?s)(?!(?<=sqlite):///)  # a file's name
    (://[^:]*:)                   # the user, in whose name @ and / may stand as they are
    (.*(?=@)                      # the password: rather too much than too little
    |(?<!\[:)(?!\d*([/?,#]|$)).*)  # or half of one, from a .env in which " #" begins a comment; but no port""",
    re.VERBOSE,
)
_IN_QUERY: Final = re.compile(r"([?&][^=&#]*=)([^&#]*)")
_SECRET_NAME: Final = re.compile(r"(?i)passw|pwd|secret|token")

SECRET: Final = ("dashboard_token", "dashboard_users")
"""What is shown to nobody, and not handed on to a runner, in whose environment every job could read it."""


class Explained(NamedTuple):
    """One setting for `lateshift doctor`: passwords are masked; `origin` says where the value comes from."""

    name: str
    value: str
    origin: str


def settings_of(given: object, code: Mapping[str, Any]) -> Settings:
    """Settings given as an object, or by name. Raises SettingsError for both at once, and for another object."""
    if given is None:
        return load_settings(**code)
    if code or not isinstance(given, Settings):
        raise SettingsError("Lateshift takes a Settings object, or settings by name: Lateshift(allowed=['app.jobs']).")
    return given


def load_settings(**code: Any) -> Settings:
    """The settings in force: code > environment > `.env` > `[tool.lateshift]` in pyproject.toml > default.

    The two files are those of the nearest folder upwards that has one of them with settings of ours in it; that folder
    is also the root of relative paths. None in code means "not given", but for `timeout`. Raises SettingsError.
    """
    return _settings(_gather(code))


def explain_settings(**code: Any) -> list[Explained]:
    """Each setting with its value as text and its origin, in the order of `Settings`. Raises SettingsError."""
    found = _gather(code)
    values = to_text(_settings(found))
    return [_explained(name, values, found[name].origin if name in found else "default") for name in NAMES]


def explain_in_force(settings: Settings) -> list[Explained]:
    """As `explain_settings`, for settings that a program uses already: the origin is the source that says the same now.

    What neither a source nor the default says comes from code, or from a source that was changed since.
    """
    try:
        found = _gather({})
        if _settings(found).root != settings.root:
            found = _gather({"root": settings.root})
        told = to_text(_settings(found))
    except SettingsError:  # a source was spoilt since
        found, told = {}, {}
    values, defaults = to_text(settings), to_text(Settings(root=settings.root))

    def origin(name: str) -> str:
        if name in found and told[name] == values[name]:
            return found[name].origin
        return "default" if values[name] == defaults[name] else "code"

    return [_explained(name, values, origin(name)) for name in NAMES]


def to_environment(settings: Settings) -> dict[str, str]:
    """All settings as LATESHIFT_ variables: a process that is started with them reads the same, but for the secrets."""
    return {env_name(name): "none" if name in SECRET else text for name, text in to_text(settings).items()}


def to_text(settings: Settings) -> dict[str, str]:
    """All settings by name, each as text that reads back as the same value."""
    return {name: _as_text(getattr(settings, name)) for name in NAMES}


def mask_url(url: str) -> str:
    """A database URL fit for logs and screens: its password, and what looks like a secret in its query, become `***`.

    >>> mask_url("postgresql://app:secret@db/jobs")
    'postgresql://app:***@db/jobs'
    """
    return _IN_QUERY.sub(lambda found: f"{found[1]}***" if _hides(found) else found[0], _PASSWORD.sub(r"\1***", url))


def _hides(found: re.Match[str]) -> bool:
    """Whether a part of a query is a secret, by its name, which libpq takes in percents as well."""
    from urllib.parse import unquote

    return _SECRET_NAME.search(unquote(found[1])) is not None


def mask_secrets(text: str, url: str) -> str:
    """What a driver says about a connection, fit for logs and screens: the secrets of its URL become `***`.

    >>> mask_secrets('invalid token: "s%zz"', "postgresql://app:s%zz@db/jobs")
    'invalid token: "***"'

    A password that is the name of the user or the database as well is one in some places only.

    >>> mask_secrets('permission denied for database shop', "postgresql://shop:shop@db/shop")
    'permission denied for database shop'
    """
    from urllib.parse import unquote, unquote_plus

    written = [found[2] for found in _PASSWORD.finditer(url)]
    written += [found[2] for found in _IN_QUERY.finditer(url) if _hides(found)]
    secrets = {form for secret in written for form in (secret, unquote(secret), unquote_plus(secret)) if form}
    for secret in sorted(secrets, key=len, reverse=True):
        word = rf"(?<!\w){re.escape(secret)}(?!\w)"
        where = r"(:|(?i:password)\W{1,3})" if re.search(word, mask_url(url)) else "()"
        text = re.sub(where + word, r"\1***", text)
    return text


def _explained(name: str, values: Mapping[str, str], origin: str) -> Explained:
    hidden = name in SECRET and values[name] != "none"
    return Explained(name, "***" if hidden else mask_url(values[name]), origin)


def _gather(code: dict[str, Any]) -> dict[str, Found]:
    for name in code:
        if name not in _KINDS:
            raise unknown_name(name, NAMES, "code")
    given = {name: Found(value, "code") for name, value in code.items() if value is not None or name == "timeout"}
    return gather(given, NAMES)


def _settings(found: dict[str, Found]) -> Settings:
    return Settings(**{name: _checked(name, item) for name, item in found.items()})


def _checked(name: str, found: Found) -> Any:
    try:
        return _KINDS[name](found.value)
    except ValueError as error:
        label = name if found.origin == "code" or "toml" in found.origin else env_name(name)
        raise SettingsError(f"{label} is {_shown(name, found.value)} ({found.origin}): {error}.") from None


def _shown(name: str, value: object) -> str:
    """A refused value for a message, shortened, and without a secret: also of a URL in which none can be found."""
    url = value if isinstance(value, str) else ""
    hidden = name in SECRET or (name == "database_url" and "@" in url and "://" not in url)
    return "'***'" if hidden else shown(mask_url(url) or value)


def _as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
