"""The fixture of the end-to-end tests; what it gives is in `project`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from project import Project, project_in


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project; its processes are gone at the end."""
    with project_in(tmp_path) as project:
        yield project


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
