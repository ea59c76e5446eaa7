"""Settings with `~` in them where nobody knows whose home that is, as in a container whose user has no name."""

import sys

import pytest

from lateshift.errors import SettingsError
from lateshift.settings import load_settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows makes up a home for any name")

VALUES = [
    ("root", "~no-such-user/x"),
    ("storage_dir", "~no-such-user/x"),
    ("database_url", "sqlite:///~no-such-user/x.db"),
]


@pytest.mark.parametrize(("name", "value"), VALUES)
def test_such_a_value_is_refused_with_its_source(name, value, monkeypatch, tmp_path):
    """In code and in the environment."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=rf"^{name} is '{value}' \(code\): .* write the whole path\.$"):
        load_settings(**{name: value})
    monkeypatch.setenv(f"LATESHIFT_{name.upper()}", value)
    with pytest.raises(SettingsError, match=r"\(environment\): .* write the whole path\.$"):
        load_settings()
