"""The fixture of the end-to-end tests; what it gives is in `project`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(params=["postgres", "mariadb"])
def server(request) -> Any:
    """A database server of each kind; the test may stop it."""
    return request.getfixturevalue(f"{request.param}_server")


@pytest.fixture
def served(request, server) -> Project:
    """A project with its jobs in a new database on that server."""
    url = request.getfixturevalue("postgres_url" if server.url.startswith("postgresql") else "mariadb_url")
    project: Project = request.getfixturevalue("project")
    project.use(url)
    return project
