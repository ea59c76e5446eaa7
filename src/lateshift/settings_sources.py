"""Where settings are found: the environment, and `.env` and `pyproject.toml` of the nearest folder that has some."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from lateshift.errors import SettingsError
from lateshift.settings_values import expanded
from lateshift.texts import shown

PREFIX: Final = "LATESHIFT_"
IGNORED: Final = "LATESHIFT_TEST_"
"""Names that start so belong to test suites, ours and others'."""

KUBERNETES: Final = re.compile(
    PREFIX + r"(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)", re.ASCII
)
"""What Kubernetes sets in every container beside a Service that is called `lateshift` or `lateshift-dashboard`."""

_IN_DOTENV: Final = re.compile(rf"^\s*(?:export\s+)?['\"]?({PREFIX}(?!TEST_)[\w.-]*)", re.MULTILINE)
_TOML_ORIGIN: Final = "pyproject.toml [tool.lateshift]"


class Found(NamedTuple):
    """A value as a source has it, and the words for that source."""

    value: Any
    origin: str


def env_name(name: str) -> str:
    """The environment's name of a setting."""
    return PREFIX + name.upper()


def gather(given: Mapping[str, Found], names: Sequence[str]) -> dict[str, Found]:
    """What is known of each setting, the strongest source winning; `given` comes from code."""
    found = _from_environment(names) | dict(given)
    if len(found) == len(names):
        return found  # as in a process that we started ourselves: no file could add anything
    if "root" in found:
        root = _as_folder(found["root"])
    else:
        root = find_root()
        found["root"] = Found(root, "found from the current folder")
    return _from_pyproject(root, names) | _from_dotenv(root, names) | found


def find_root() -> Path:
    """The nearest folder upwards with a `.env` or a `pyproject.toml` with settings of ours, else the current one."""
    try:
        here = Path.cwd()
    except OSError as error:
        raise SettingsError(
            f"The current folder is gone or cannot be read ({error}). Change into another, or set LATESHIFT_ROOT."
        ) from None
    for folder in (here, *here.parents):
        try:
            if _IN_DOTENV.search(_text(folder / ".env")) or _tables(folder / "pyproject.toml") is not None:
                return folder
        except OSError as error:
            if folder == here:
                raise _unreadable(error) from None
            _warn_once(str(folder), str(error))
    return here


@cache
def _warn_once(folder: str, error: str) -> None:
    import logging  # 4 ms that only this warning is worth

    logging.getLogger(__name__).warning("No settings are looked for in %s: %s.", folder, error)


def unknown_name(name: str, known: Sequence[str], origin: str) -> SettingsError:
    """The error for a name that is no setting; it proposes the nearest."""
    import difflib  # only an error needs it

    short = {key.removeprefix(PREFIX).upper(): key for key in known}
    near = difflib.get_close_matches(name.upper().replace("-", "_").removeprefix(PREFIX), short, 1)
    advice = f"did you mean {short[near[0]]}?" if near else f"known are {', '.join(known)}."
    return SettingsError(f"There is no setting {name} ({origin}): {advice}")


def _from_environment(names: Sequence[str]) -> dict[str, Found]:
    ours = {key: value for key, value in os.environ.items() if key.startswith(PREFIX)}
    ours = {key: value for key, value in ours.items() if not KUBERNETES.fullmatch(key)}
    return _by_name(ours, names, lambda _: "environment")


def _from_dotenv(root: Path, names: Sequence[str]) -> dict[str, Found]:
    path = root / ".env"
    text = _text_or_refusal(path)
    if not _IN_DOTENV.search(text):
        return {}
    import io  # with dotenv, which costs 15 ms that a program without a .env need not pay

    from dotenv.main import resolve_variables
    from dotenv.parser import parse_stream

    read = [(line.key, line.value) for line in parse_stream(io.StringIO(text)) if line.key is not None]
    _refuse_unread(path, text, [key for key, _ in read])
    values = resolve_variables(read, override=True)
    ours = {key: value or "" for key, value in values.items() if key.startswith(PREFIX)}
    if env_name("root") in ours:
        raise _root_in(path)
    return _by_name(ours, names, lambda key: f"{path} line {_line(text, key)}")


def _refuse_unread(path: Path, text: str, read: list[str]) -> None:
    """Raise SettingsError for a line of ours that was not understood: the jobs might go to another database."""
    for found in _IN_DOTENV.finditer(text):
        if found[1] not in read:
            line = text.count("\n", 0, found.start(1)) + 1
            raise SettingsError(
                f"{path} line {line} has {found[1]}, but cannot be read there: write {found[1]}=VALUE on a line of its "
                "own, and look for a quote that is not closed, there or above."
            )
        read.remove(found[1])


def _root_in(path: Path) -> SettingsError:
    name, which = ("LATESHIFT_ROOT", ".env") if path.name == ".env" else ("root", path.name)
    return SettingsError(
        f"{name} stands in {path}, but it is what decides which {which} is read. "
        "Set it in the environment, as LATESHIFT_ROOT."
    )


def _from_pyproject(root: Path, names: Sequence[str]) -> dict[str, Found]:
    path = root / "pyproject.toml"
    try:
        table = _tables(path) or {}
    except OSError as error:
        raise _unreadable(error) from None
    if "root" in table:
        raise _root_in(path)
    for key in table:
        if key not in names:
            raise unknown_name(key, [name for name in names if name != "root"], _TOML_ORIGIN)
    return {key: Found(value, _TOML_ORIGIN) for key, value in table.items() if value != ""}


def _by_name(values: Mapping[str, str], names: Sequence[str], origin: Callable[[str], str]) -> dict[str, Found]:
    """Settings from variables. An empty one counts as not given, as is the custom of shells and .env files."""
    by_key = {env_name(name): name for name in names}
    found = {}
    for key, value in values.items():
        if key.startswith(IGNORED):
            continue
        if key not in by_key:
            raise unknown_name(key, list(by_key), origin(key))
        if value.strip():
            found[by_key[key]] = Found(value.strip(), origin(key))
    return found


def _tables(path: Path) -> dict[str, Any] | None:
    """The table [tool.lateshift] of a pyproject.toml, or None when it has none."""
    text = _text(path)
    if "lateshift" not in text:
        return None
    import tomllib  # 10 ms that only a pyproject with our name in it is worth

    try:
        table = tomllib.loads(text).get("tool", {}).get("lateshift")
    except (tomllib.TOMLDecodeError, AttributeError) as error:
        raise SettingsError(f"{path} cannot be read as TOML: {error}. Correct it, or set LATESHIFT_ROOT.") from None
    if table is not None and not isinstance(table, dict):
        raise SettingsError(
            f"{path} has a tool.lateshift that is no table. Write [tool.lateshift] with settings below."
        )
    return table


def _text(path: Path) -> str:
    """What is in a file, or nothing if it is not there or has nothing to do with us. Raises OSError."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ""
    except OSError:
        if path.is_dir():  # which Windows reports as a lack of permission
            return ""
        raise
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if b"lateshift" not in data.replace(b"\0", b"").lower():  # also in UTF-16, as PowerShell's > writes it
            return ""
        raise SettingsError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8."
        ) from None


def _text_or_refusal(path: Path) -> str:
    try:
        return _text(path)
    except OSError as error:
        raise _unreadable(error) from None


def _unreadable(error: OSError) -> SettingsError:
    """Going on with the defaults would send the jobs to another database."""
    return SettingsError(f"{error.filename} cannot be read: {error.strerror}. Give this user the right to.")


def _line(text: str, key: str) -> int:
    """The line of a name's last appearance, which is the one that counts."""
    lines = text.splitlines()
    wanted = re.compile(rf"\s*(?:export\s+)?['\"]?{re.escape(key)}\b")
    return max((number for number, line in enumerate(lines, 1) if wanted.match(line)), default=1)


def _as_folder(found: Found) -> Path:
    if not isinstance(found.value, str | os.PathLike) or not os.fspath(found.value):
        raise SettingsError(f"root is {shown(found.value)} ({found.origin}): expected a folder.")
    try:
        folder = expanded(Path(found.value))
    except ValueError as error:
        raise SettingsError(f"root is {shown(found.value)} ({found.origin}): {error}.") from None
    if not os.path.isdir(folder):  # made anew, it would be a project without jobs
        raise SettingsError(f"root is {shown(found.value)} ({found.origin}): there is no such folder.")
    return folder
