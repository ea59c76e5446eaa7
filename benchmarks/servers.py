"""The database servers that are measured: on the disk, and waiting for it at each commit, as they are installed.

They are given a gigabyte of memory for their pages instead of 128 MB, as on any machine that is for a database.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

KINDS = {"sqlite": "SQLite", "postgres": "PostgreSQL", "mariadb": "MariaDB"}
"""What can be measured; SQLite has no server."""


@cache
def server(kind: str) -> Any:
    """The one server of this kind, started when it is first asked for; it ends with this process."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
    from database_servers import new_folder, start_mariadb, start_postgres

    folder = new_folder(on_disk=True)
    if kind == "postgres":
        return start_postgres(folder, fsync=True, shared_buffers="1GB")
    return start_mariadb(folder, durable=True, innodb_buffer_pool_size="1G")
