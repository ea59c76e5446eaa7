"""The fixture of the end-to-end tests; what it gives is in `project`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import JOBS, Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project; its processes are gone at the end."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/__init__.py").touch()
    (tmp_path / "app/jobs.py").write_text(JOBS)
    project = Project(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.syspath_prepend(str(tmp_path))
        for name in [name for name in sys.modules if name == "app" or name.startswith("app.")]:
            patch.delitem(sys.modules, name)
        yield project
        for name in [name for name in sys.modules if name == "app" or name.startswith("app.")]:
            del sys.modules[name]
    project.close()
