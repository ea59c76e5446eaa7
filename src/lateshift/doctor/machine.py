"""Checks of the machine: SQLite, file systems, permissions, disk space, clocks."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from lateshift.doctor.place import Check, Place, can_make, existing
from lateshift.host.presence import presence_folder
from lateshift.storage import reads
from lateshift.storage.files import is_there, with_owner
from lateshift.storage.sqlite import SqliteDatabase
from lateshift.wording import duration

LEAST_SPACE: Final = 100_000_000
"""Bytes of free disk below which there is a warning."""

TRIAL: Final = 16_384
"""Bytes that a folder is tried with, about what a worker writes there: a full disk has room for an empty file."""

CLOCK_DIFFERENCE: Final = 2.0
"""Seconds by which two clocks of one machine may differ."""


_NETWORK: Final = re.compile(
    r"(fuse\.)?(9p|afp(fs)?|afs|beegfs|ceph|cifs|coda|davfs2?|drvfs|gcsfuse|glusterfs|gpfs|grpcfuse|gvfsd-fuse|juicefs|"
    r"lustre|ncpfs|nfs4?|orangefs|osxfs|rclone|s3fs|smb[23]?|smbfs|smbnetfs|sshfs|vboxsf|vmhgfs(-fuse)?|webdav)"
)


def sqlite(place: Place) -> Iterator[Check]:
    """Whether this SQLite is one that may damage the database."""
    if place.file is None:
        return
    memory = SqliteDatabase(":memory:")
    version = str(memory.query("select sqlite_version()")[0][0])
    memory.close()
    if not has_wal_reset_bug(version):
        yield Check("sqlite", "ok", f"SQLite {version}")
        return
    yield Check(
        "sqlite",
        "warning",
        f"SQLite {version} has the WAL-reset bug (sqlite.org/wal.html#walresetbug): very rarely, a checkpoint that "
        "races with a commit damages the database.",
        "Use a Python linked to SQLite 3.51.3 or newer (or 3.44.6, 3.50.7), and keep backups.",
    )


def has_wal_reset_bug(version: str) -> bool:
    """Whether it may damage a WAL database: 3.7.0 to 3.51.2 without the back-ports, and the withdrawn 3.52.0."""
    number = tuple(int(part) for part in version.split(".")[:3])
    repaired = {(3, 44): (3, 44, 6), (3, 50): (3, 50, 7), (3, 52): (3, 52, 1)}.get((number[0], number[1]), (3, 51, 3))
    return (3, 7, 0) <= number < repaired


def network(place: Place) -> Iterator[Check]:
    """Whether the database is a file on a network file system."""
    if place.file is None:
        return
    import psutil

    mounts = [(part.mountpoint, part.fstype, part.opts) for part in psutil.disk_partitions(all=True)]
    found = network_mount(os.path.realpath(existing(place.file.parent)), mounts)
    if found is None:
        yield Check("file system", "ok", f"{place.file.parent} is not on a network")
        return
    yield Check(
        "file system",
        "warning",
        f"The database is on {found[1]} (mounted at {found[0]}): SQLite's locks and shared memory do not reach over a "
        "network, and processes of two machines would damage it.",
        "Point LATESHIFT_DATABASE_URL and LATESHIFT_STORAGE_DIR to a local disk.",
    )


def network_mount(path: str, mounts: Iterable[tuple[str, str, str]]) -> tuple[str, str] | None:
    """(mount point, type) of what `path` is on, if that is on a network; `mounts` are (mount point, type, options)."""
    best = ("", "", "remote") if path.startswith("\\\\") else ("", "", "")
    for mount in mounts:
        point = mount[0].rstrip("/\\")
        inside = path in (mount[0], point) or path.startswith(f"{point}/") or (point and path.startswith(f"{point}\\"))
        if inside and len(mount[0]) >= len(best[0]):
            best = mount
    remote = _NETWORK.fullmatch(best[1].lower()) or "remote" in best[2].split(",")
    return (best[0] or path, best[1] or "a network share") if remote else None


def disk(place: Place) -> Iterator[Check]:
    """Whether the disks of logs and, if it is a file here, the database have room."""
    paths = [place.settings.storage_dir] if place.file is None else [place.file.parent, place.settings.storage_dir]
    for folder in dict.fromkeys(map(existing, paths)):
        free = shutil.disk_usage(folder).free
        if free >= LEAST_SPACE:
            yield Check("disk space", "ok", f"{free / 1e9:,.1f} GB are free at {folder}")
            continue
        stops = "nothing is logged" if place.file is None else "no job runs"
        told = f"Only {free / 1e6:.0f} MB are free at {folder}; on a full disk {stops}."
        yield Check("disk space", "warning", told, "Free some, or lower LATESHIFT_KEEP_DAYS and LATESHIFT_LOG_DAYS.")


def locks(place: Place) -> Iterator[Check]:
    """Whether the folder of the workers' locks can be written."""
    yield _folder("locks", presence_folder(place.settings), "the first job", "no worker can start")


def logs(place: Place) -> Iterator[Check]:
    """Whether the log folder can be written."""
    yield _folder("logs", place.settings.storage_dir / "logs", "the first event", "nothing is logged")


def _folder(name: str, folder: Path, maker: str, harm: str) -> Check:
    if not os.path.lexists(folder) and can_make(folder):
        return Check(name, "ok", f"{folder} is not there yet; {maker} makes it")
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(bytes(TRIAL))
            return Check(name, "ok", f"{folder} can be written")
    except OSError as error:
        above, told = existing(folder), f"{folder} cannot be written ({error.strerror})"
        if isinstance(error, FileNotFoundError) and not os.access(above, os.W_OK):
            told = f"{folder} is not there and cannot be made in {with_owner(above)}"
        remedy = "Make that folder writable for this user, free space on its disk, or set LATESHIFT_STORAGE_DIR."
        return Check(name, "error", f"{told}: {harm}.", remedy)


def permissions(place: Place) -> Iterator[Check]:
    """Whether other users can read what is stored, and this one can write it."""
    if os.name != "posix":
        return
    stored = {"logs": place.settings.storage_dir / "logs"}
    if place.file is not None:
        stored = {"database": place.file, **stored}
    paths = [path for path in stored.values() if is_there(path)]
    troubles = [trouble for path in paths for trouble in _permissions_of(path)]
    troubles += [trouble for path in paths[:1] for trouble in _foreign_to_root(path)]
    yield from troubles
    if paths and not troubles:
        told = f"{' and '.join(stored)} are closed to other users, and open to this one"
        yield Check("permissions", "ok", told)


def _permissions_of(path: Path) -> Iterator[Check]:
    state = path.stat()
    mode = stat.filemode(state.st_mode)
    if state.st_mode & 0o006 and path.parent.stat().st_mode & stat.S_IXOTH:
        told = f"{path} is open to every user of this machine ({mode}), and jobs may hold confidential data."
        yield Check("permissions", "warning", told, f"chmod -R o-rwx {path}")
    if not os.access(path, os.W_OK):
        told = f"{path} belongs to user {state.st_uid} ({mode}); this is user {os.geteuid()}, who may not write to it."
        yield Check("permissions", "error", told, "Run as that user, or give this one the right to write.")


def _foreign_to_root(path: Path) -> Iterator[Check]:
    """Whether root looks at what is another user's, as in a shell by `sudo`: it may write there, and run jobs."""
    owner = path.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        told = f"{path} belongs to user {owner}, and this is root: a runner started here runs that user's jobs as root."
        yield Check("permissions", "warning", told, f"Run as that user: `sudo -u '#{owner}' ...`.")


def clock(place: Place) -> Iterator[Check]:
    """Whether this machine's clock agrees with that of the disk or the server, and with the workers' heartbeats."""
    if place.file is None:
        yield from _server_clock(place)
        return
    folder = existing(place.settings.storage_dir)
    with tempfile.TemporaryFile(dir=folder if os.access(folder, os.W_OK) else None) as file:
        off = abs(os.fstat(file.fileno()).st_mtime - time.time())
    beats = [worker.heartbeat_at - place.db.now() for worker in reads.workers(place.db)] if place.usable else []
    ahead = max(beats, default=0) / 1_000_000
    if max(off, ahead) <= CLOCK_DIFFERENCE:
        yield Check("clock", "ok", f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}, as on the disk")
        return
    told = f"The clock of the disk is {duration(off)} away from this machine's."
    if ahead > CLOCK_DIFFERENCE:
        told = f"A worker's last heartbeat is {duration(ahead)} in the future: the clock was set back."
    yield Check("clock", "warning", told, "Synchronise the clocks: delays, retries and heartbeats are told by them.")


def _server_clock(place: Place) -> Iterator[Check]:
    if not place.usable:
        return
    ahead = time.time() - place.db.now() / 1_000_000
    if abs(ahead) <= CLOCK_DIFFERENCE:
        yield Check("clock", "ok", f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}, as on the server")
        return
    told = (
        f"This machine's clock is {duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} the server's. Jobs do "
        "not mind, they go by the server's; but the lines of this machine's logs have other times than those of others."
    )
    yield Check("clock", "warning", told, "Synchronise the clocks.")
