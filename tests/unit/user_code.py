"""Real packages for tests of what resolves to code, and how a refusal is checked."""

import textwrap

import pytest

from lateshift.allowlist import AllowList
from lateshift.errors import CallableNotAllowed
from lateshift.target import resolve

ALLOW = AllowList(("app.jobs",))


class Project:
    """A folder on the Python path that tests write modules into."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, name, source=""):
        """A module `a.b`, or a package `a.b.`; parents become packages."""
        parts = name.rstrip(".").split(".")
        file = self.folder.joinpath(*parts) / "__init__.py" if name.endswith(".") else self.folder.joinpath(*parts)
        file = file if name.endswith(".") else file.with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        for parent in file.relative_to(self.folder).parents:
            if parent.parts and not (self.folder / parent / "__init__.py").exists():
                (self.folder / parent / "__init__.py").touch()
        file.write_text(textwrap.dedent(source))


def refused(path, expected, error=CallableNotAllowed, allow=ALLOW):
    """Assert that a path is refused with a certain error and words."""
    with pytest.raises(error) as caught:
        resolve(path, allow)
    assert expected in str(caught.value), str(caught.value)
    assert type(caught.value) is error
    return caught.value


def imported(name):
    """A module of the project."""
    return __import__(name, fromlist=["x"])
