"""What LATESHIFT_DATABASE_URL means to the drivers of MySQL and MariaDB: where the server is, and how to log in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from lateshift.errors import SettingsError
from lateshift.settings import mask_url


def split_url(url: str) -> tuple[SplitResult, int]:
    """The parts of a URL, with the port. Raises SettingsError, without the password that may be the reason."""
    try:
        parts = urlsplit(url)
        port = parts.port or 3306
    except ValueError:
        raise SettingsError(
            f"LATESHIFT_DATABASE_URL {mask_url(url)} cannot be read: its host or port is none. Special characters of a "
            "password are written as %XX: %2F for /, %25 for %."
        ) from None
    return parts, port


def arguments_of(
    url: str, timeout: float, patience: float, *, encrypts: bool = False, mysqlclient: bool = False
) -> dict[str, Any]:
    """The arguments of the driver's `connect`, which is PyMySQL's or `mysqlclient`'s. Raises SettingsError.

    A connection may take `timeout` seconds, an answer `patience`. `encrypts`: over TLS, whatever the URL says.
    """
    parts, port = split_url(url)
    options = dict(parse_qsl(parts.query))
    arguments: dict[str, Any] = {
        "host": parts.hostname or "localhost",
        "port": port,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "database": unquote(parts.path.lstrip("/")),
        "charset": "utf8mb4",
        "autocommit": True,
        "client_flag": 2,  # CLIENT.FOUND_ROWS: how many rows matched, not how many are other than before
        "connect_timeout": max(1, round(timeout)),
        "read_timeout": max(1, round(patience)),
        "write_timeout": max(1, round(patience)),
    }
    if not arguments["database"]:
        raise SettingsError(f"LATESHIFT_DATABASE_URL {mask_url(url)} names no database: mysql://user@host/database.")
    socket = options.pop("unix_socket", None)
    secured = _security(options, encrypts=encrypts, mysqlclient=mysqlclient)
    return {**arguments, **secured, **({"unix_socket": socket} if socket else {})}


def _security(options: Mapping[str, str], *, encrypts: bool, mysqlclient: bool) -> dict[str, Any]:
    """TLS as the URL says: `?ssl_ca=FILE` checks the server, `?ssl=1` encrypts only; nothing: as the server likes.

    PyMySQL would read all certificates of the system for each connection, 27 ms, to then not check any.
    """
    unknown = set(options) - {"ssl", "ssl_ca", "ssl_cert", "ssl_key"}
    if unknown:
        raise SettingsError(
            f"LATESHIFT_DATABASE_URL has ?{min(unknown)}=; known: unix_socket, ssl, ssl_ca, ssl_cert, ssl_key."
        )
    files = {name.removeprefix("ssl_"): value for name, value in options.items() if name != "ssl"}
    for name, file in files.items():
        if not os.access(file, os.R_OK):
            raise SettingsError(f"LATESHIFT_DATABASE_URL has ssl_{name}={file}, a file that cannot be read.")
    if mysqlclient:
        return {"ssl": files} if files else {}
    if files:
        return {f"ssl_{name}": value for name, value in files.items()}
    wanted = encrypts or options.get("ssl") in ("1", "true")
    return {"ssl": _encryption()} if wanted else {"ssl_disabled": True}


def _encryption() -> Any:
    """TLS that checks no certificate, and so reads none. (`{}`, which stood here, is none at all for PyMySQL 1.1.)"""
    import ssl  # 10 ms

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
