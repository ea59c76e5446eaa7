"""What the tests of settings share: a folder to be in, and the words of a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from lateshift.errors import SettingsError
from lateshift.settings import load_settings


def enter_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which becomes the current one."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def refusal(**code) -> str:
    """The message of the SettingsError that loading raises."""
    with pytest.raises(SettingsError) as caught:
        load_settings(**code)
    return str(caught.value)
