"""Files and folders of another user: what is refused is named, with whose it is and what to do."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from storage_steps import Place, Steps, in_child

from lateshift.cli import cli
from lateshift.doctor import diagnose
from lateshift.storage import reads

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="forks, and permissions as POSIX has them"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]


def as_nobody(work: Callable[[], str]) -> str:
    """What `work` gives to a user for whom permissions count, whoever runs the tests."""

    def lower() -> str:
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        return work()

    return in_child(lower)


@pytest.fixture
def public(clock):
    """A place in a folder that everybody can reach, unlike those that pytest makes."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        place = Place("sqlite", f"sqlite:///{folder}/jobs/lateshift.db", clock)
        yield place
        place.close()


def test_a_folder_that_may_not_be_made(public):
    """Without permission to make the folder, the error says what could not be created, and what to do."""
    Path(public.open().path).parent.parent.chmod(0o555)
    answer = as_nobody(lambda: str(reads.counts(public.open())))
    assert answer.startswith("StorageUnavailable: ")
    assert "could not be created: Permission denied" in answer
    assert "LATESHIFT_DATABASE_URL" in answer


def test_doctor_names_the_folder_in_which_nothing_can_be_made(public):
    """The folder that is to be made writable is the one that is there."""
    folder = Path(public.open().path).parent.parent.resolve()
    folder.chmod(0o555)
    settings = {"database_url": f"sqlite:///{folder}/storage/lateshift.db", "storage_dir": f"{folder}/storage"}

    def examined() -> str:
        return "\n".join(check.message for check in diagnose(**settings) if check.name in ("locks", "logs"))

    told = f"is not there and cannot be made in {folder}, which belongs to user {os.getuid()} "
    assert [told in line for line in as_nobody(examined).splitlines()] == [True] * 2


@pytest.mark.parametrize("closed", ["jobs", "."], ids=["its folder", "the folder above"])
def test_a_database_of_another_user(public, closed):
    """It is there, in a folder that only its owner may look into: nobody says that it is not, or could not be made."""
    database = public.open()
    Steps(database, public.clock).enqueue()
    database.close()
    folder = Path(database.path).parent.parent / closed
    folder.chmod(0)
    settings = {"database_url": f"sqlite:///{database.path}", "storage_dir": str(Path(database.path).parent)}

    def enqueued() -> str:
        return Steps(public.open(), public.clock).enqueue()

    def listed() -> str:
        environment = {f"LATESHIFT_{name.upper()}": value for name, value in settings.items()}
        return CliRunner(env=environment).invoke(cli, ["list"]).stderr

    def examined() -> str:
        checks = diagnose(**settings)
        assert not [check for check in checks if "report it" in check.remedy], checks
        return next(check.message for check in checks if check.name == "database")

    told = f"may not look into {folder}, which belongs to user {os.getuid()}"
    answers = [as_nobody(work) for work in (enqueued, listed, examined)]
    folder.chmod(0o700)
    assert [told in answer for answer in answers] == [True] * 3, answers


@pytest.mark.parametrize("folder_mode", [0o755, 0o777], ids=["folder read-only", "folder writable"])
def test_a_read_only_database(public, folder_mode):
    """An enqueue into a file that may only be read fails in words; the file stays as it is."""
    database = public.open()
    Steps(database, public.clock).enqueue()
    database.close()
    file = Path(database.path)
    file.parent.chmod(folder_mode)
    file.chmod(0o444)
    answer = as_nobody(lambda: Steps(public.open(), public.clock).enqueue())
    assert answer.startswith("StorageUnavailable: ")
    assert str(file) in answer
    assert "permissions" in answer
    file.parent.chmod(0o700)
    file.chmod(0o600)
    assert reads.counts(public.open())["pending"] == 1
