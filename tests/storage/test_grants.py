"""The rights that docs/production.md gives to applications and workers, who may not make tables."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lateshift import Lateshift
from lateshift.settings import load_settings
from lateshift.storage import migrations, open_database
from lateshift.storage.schema import MIGRATIONS
from lateshift.testing import drain

DOCS = Path(__file__).parents[2] / "docs" / "production.md"
ROLE = "shop_of_lateshift"


@pytest.fixture
def rights(postgres_url) -> Iterator[str]:
    """A user with no rights yet, and the documented statements that give them."""
    (block,) = re.findall(r"```sql\n(grant .*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create role {ROLE} login")
        yield re.sub(r"\bshop\b", ROLE, block)
        connection.execute(f"drop owned by {ROLE}")
        connection.execute(f"drop role {ROLE}")


def migrate(url: str, monkeypatch, number: int) -> None:
    """What `lateshift migrate` does, of the version whose schema has this number."""
    with (
        monkeypatch.context() as patch,
        contextlib.closing(open_database(load_settings(database_url=url), as_is=True)) as database,
    ):
        patch.setattr(migrations, "MIGRATIONS", MIGRATIONS[:number])
        migrations.migrate(database)


def hello() -> str:
    """A job."""
    return "hello"


def test_the_documented_rights_hold_after_the_next_migration(postgres_url, rights, monkeypatch, tmp_path):
    """Also for the tables that it makes: workers use them without anybody having granted anything again."""
    migrate(postgres_url, monkeypatch, 1)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(rights)
    migrate(postgres_url, monkeypatch, len(MIGRATIONS))
    url = re.sub("//.*@", f"//{ROLE}@", postgres_url)
    app = Lateshift(database_url=url, allowed=[__name__], spawn="never", storage_dir=tmp_path)
    with contextlib.closing(app):
        app.run_background_job(hello)
        assert [job.result for job in drain(app=app)] == ["hello"]
        for (table,) in app.database.query(
            "select table_name from information_schema.tables where table_schema = 'lateshift'"
        ):
            app.database.execute(f"delete from lateshift.{table}")
        sequences = app.database.query("select sequencename from pg_sequences where schemaname = 'lateshift'")
        for (sequence,) in sequences:
            app.database.query(f"select last_value from lateshift.{sequence}")  # as pg_dump does
        assert sequences
