"""The files in deploy/ to copy do what they and the documentation say of them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from database_servers import SECRET

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def test_compose_has_what_its_comment_promises(services):
    """A database, its migration, a web application, and two containers of workers."""
    assert [*services] == ["database", "migrate", "web", "workers"]
    assert services["workers"]["deploy"]["replicas"] == 2


def test_containers_of_workers_share_no_storage(services):
    """The locks in `storage/` are those of one machine."""
    assert [name for name, service in services.items() if "volumes" in service] == ["database"]


def test_a_password_of_any_characters_reaches_the_database(services):
    """It is no part of the URL, where `p@ss/w%rd` would have to be escaped."""
    for name in ("migrate", "web", "workers"):
        environment = services[name]["environment"]
        assert environment["PGPASSWORD"] == "${SHOP_PASSWORD}"
        assert "PASSWORD" not in environment["LATESHIFT_DATABASE_URL"]


def test_libpq_takes_the_password_from_the_environment(postgres_server, postgres_url, tmp_path):
    """So `lateshift migrate` gets in with a URL that has none."""
    if not postgres_server.ours:
        pytest.skip("This needs a user with a password, and the environment names another server.")
    url = re.sub("//[^@]*@", "//secret@", postgres_url)
    for password, code in ((SECRET, 0), ("wrong", 1)):
        environment = {**os.environ, "LATESHIFT_DATABASE_URL": url, "PGPASSWORD": password}
        command = [sys.executable, "-m", "lateshift", "migrate"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == code, done.stderr


def test_passwords_and_storage_stay_out_of_the_image():
    """Docker leaves out what a file beside the Dockerfile names, if it is called like it."""
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {"**/.env", "storage"} <= {*ignored}


def test_the_service_starts_without_a_file_of_settings():
    """Who uses SQLite has none: the unit was refused by systemd."""
    assert "\nEnvironmentFile=-/etc/shop/lateshift.env\n" in (DEPLOY / "lateshift.service").read_text()
