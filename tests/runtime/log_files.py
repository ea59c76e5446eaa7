"""Settings for log files in a folder, and what stands in them."""

from pathlib import Path

from lateshift.settings import Settings

AT = 1_795_492_000_123_456  # 2026-11-24 03:46:40.123456 in UTC
SECOND = 1_000_000
JOB = ("01-ab", "app.jobs.Order.handle", "mail")
TAGGED = "01-ab app.jobs.Order.handle"


def settings(folder: Path, **more) -> Settings:
    return Settings(root=folder, storage_dir=folder / "storage", **more)


def written(folder: Path, kind: str = "background-jobs-2") -> str:
    return "".join(path.read_text() for path in sorted((folder / "storage/logs").glob(f"{kind}*")))
