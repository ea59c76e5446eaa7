"""docs/frameworks.md: its files make real applications, whose views enqueue what a runner by itself does."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_docs import blocks

pytestmark = pytest.mark.slow

DOCS = Path(__file__).resolve().parent.parent / "docs"
TEXT = (DOCS / "frameworks.md").read_text(encoding="utf-8")
TESTING = (DOCS / "testing-your-jobs.md").read_text(encoding="utf-8")


class Place:
    """A folder with the files that a section of the page shows, in which Python can be run."""

    def __init__(self, folder, section):
        self.folder = folder
        text = re.search(rf"^## {section}$.*?(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)[0]
        self.blocks = blocks(text)
        for block in self.blocks:
            if block.file_name:
                self.write(block.file_name, block.code)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def python(self, *arguments, cwd=None, **variables):
        """What a program printed, started in the folder."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd or self.folder,
            env={**os.environ, "LATESHIFT_IDLE_EXIT": "1", "PYTHONPATH": str(self.folder), **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()


DASHBOARD = """
from wsgiref.util import setup_testing_defaults

environ = {"PATH_INFO": "/ops/jobs/", "HTTP_HOST": "localhost", "REMOTE_ADDR": "127.0.0.1"}
environ["SERVER_PROTOCOL"] = "HTTP/1.1"
setup_testing_defaults(environ)
b"".join(application(environ, lambda status, headers: print(status)))
"""

DJANGO_APP = """
from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self):
        from shop.jobs import confirm
"""

DJANGO_MODEL = """
from django.db import models


class Order(models.Model):
    email = models.EmailField()
"""

DJANGO_URLS = """
from django.urls import path

from shop import views

urlpatterns = [path("orders", views.order), path("orders/<job_id>", views.status)]
"""

IN_DJANGO = """
from config.wsgi import application
from django.db import transaction
from django.test import Client
from lateshift import list_jobs, wait_for_job
from shop.jobs import confirm
from shop.models import Order

client = Client()
job_id = client.post("/orders", {"email": "ada@example.com"}).json()["job"]
print(wait_for_job(job_id, 30, check=True).result)
print(client.get(f"/orders/{job_id}").json()["status"], client.get("/orders/none").status_code)
"""


@pytest.fixture(scope="module")
def django_made_once(tmp_path_factory):
    """A folder for the project that each test gets a copy of."""
    return tmp_path_factory.mktemp("django")


@pytest.fixture
def django(django_made_once, tmp_path):
    """A new project of Django with the page's files, and what any such project has besides."""
    pytest.importorskip("django")
    if not any(django_made_once.iterdir()):
        make_django_project(django_made_once)
    place = Place(tmp_path, "Django")
    shutil.copytree(django_made_once, tmp_path, dirs_exist_ok=True)
    return place


def make_django_project(folder):
    subprocess.run([sys.executable, "-m", "django", "startproject", "config", "."], cwd=folder, check=True)
    place = Place(folder, "Django")
    settings = folder / "config/settings.py"
    [options] = re.findall(r"`\"OPTIONS\": (.*?)`", TEXT)
    lines = ("INSTALLED_APPS += ['shop']", "ALLOWED_HOSTS = ['*']", f"DATABASES['default']['OPTIONS'] = {options}")
    settings.write_text("\n".join((settings.read_text(), *lines, "")))
    for name, text in (("apps", DJANGO_APP), ("models", DJANGO_MODEL), ("__init__", "")):
        place.write(f"shop/{name}.py", text)
    place.write("config/urls.py", DJANGO_URLS)
    place.python("manage.py", "makemigrations", "shop")
    place.python("manage.py", "migrate")
    place.python("-m", "lateshift", "migrate")


def test_django(django):
    """A view's transaction has the job; the worker sets Django up, also if `ready()` imports the jobs.

    And so it is in a test of Django, as docs/testing-your-jobs.md has it.
    """
    (after_commit,) = [block.code for block in django.blocks if block.language == "python" and not block.file_name]
    last = "print(wait_for_job(list_jobs(limit=1)[0].id, 30, check=True).result)\n"
    django.write("try_it.py", f"{IN_DJANGO}\n{after_commit}\n{last}\n{DASHBOARD}")
    confirmed = "confirmed to ada@example.com"
    assert django.python("try_it.py") == [confirmed, "completed 404", confirmed, "200 OK"]

    for block in blocks(TESTING):
        if block.file_name in ("shop/tests.py", "shop/test_later.py"):
            django.write(block.file_name, block.code)
    settings = django.folder / "config/settings.py"
    settings.write_text(settings.read_text() + "\nDATABASES['default']['TEST'] = {'NAME': BASE_DIR / 'test.sqlite3'}\n")
    django.python("manage.py", "test", "--noinput")


def test_django_outside_of_the_server(django, tmp_path_factory):
    """A program of one's own sets it up; the command line does so, or says why not. All may be in another folder."""
    refused = r"failed with (AppRegistryNotReady|ImproperlyConfigured): .*django\.setup\(\)"
    assert re.search(refused, django.python("-c", NOT_SET_UP)[0])

    django.write("config/half.py", "from config.settings import *\nINSTALLED_APPS += ['gone']\n")
    lines = django.python("-c", OURS + NOT_SET_UP, DJANGO_SETTINGS_MODULE="config.half")
    assert lines[0] == lines[1]
    assert "DJANGO_SETTINGS_MODULE=config.half, failed with ModuleNotFoundError: No module named 'gone'" in lines[0]
    django.write("asking/__init__.py", "")
    django.write("asking/apps.py", ASKING)
    django.write("config/asking.py", "from config.settings import *\nINSTALLED_APPS += ['asking']\n")
    found = django.python("-W", "ignore", "-c", OURS + IN_LOOP, DJANGO_SETTINGS_MODULE="config.asking")
    assert found == ["shop.jobs.confirm"]

    assert re.fullmatch("[0-9a-f-]{36}", django.python(*ENQUEUE, DJANGO_SETTINGS_MODULE="config.settings")[0])

    [line] = re.findall(r"`(os\.environ\.setdefault\(.*?\)\))`", TEXT)
    settings = django.folder / "config/settings.py"
    settings.write_text(f"import os\n{settings.read_text()}\n{line}\n")
    count = "from lateshift import list_jobs; print(len(list_jobs()))"
    shell = (str(django.folder / "manage.py"), "shell", "-c", count)
    assert django.python(*shell, cwd=tmp_path_factory.mktemp("elsewhere"))[-1] == "1"


ASYNC_JOBS = """
import asyncio
from asgiref.sync import async_to_sync, sync_to_async
from shop.models import Order

async def several(order_id: int) -> int:
    first = await Order.objects.aget(id=order_id)
    await asyncio.gather(*[Order.objects.acreate(email=first.email) for _ in range(3)])
    await sync_to_async(lambda: async_to_sync(Order.objects.acreate)(email="nested"))()
    return await Order.objects.acount()
"""

ASYNC_TESTS = """
from asgiref.sync import sync_to_async
from lateshift import run_background_job
from lateshift.testing import drain
from shop.jobs import confirm
from shop.models import Order
from shop.several import several
from shop.testing import ShopTestCase

def enqueue():
    order = Order.objects.create(email="ada@example.com")
    for job in (several, confirm, several):
        run_background_job(job, parameters={"order_id": order.id})

class CoroutineTest(ShopTestCase):
    def check(self, jobs):
        self.assertEqual({job.result for job in jobs}, {5, "confirmed to ada@example.com", 9})

    def test_they_see_the_rows_of_the_test(self):
        enqueue()
        self.check(drain())
        self.assertEqual(Order.objects.count(), 9)

    async def test_so_they_do_in_an_async_test(self):
        await sync_to_async(enqueue)()
        self.check(await sync_to_async(drain)())
"""


def test_coroutine_jobs_in_a_test_of_django(django):
    """Their queries were made on another connection, which saw no row of a `TestCase`, or by a thread that waited."""
    with (django.folder / ".env").open("a") as settings:
        settings.write("LATESHIFT_ALLOWED=shop\n")
    django.write("shop/several.py", ASYNC_JOBS)
    django.write("shop/test_coroutines.py", ASYNC_TESTS)
    django.python("-W", "error::ResourceWarning", "manage.py", "test", "--noinput")


ENQUEUE = ("-m", "lateshift", "enqueue", "shop.jobs.confirm", "--params", '{"order_id": 1}')

ASKING = """
from django.apps import AppConfig
from django.db import connection


class AskingConfig(AppConfig):
    name = "asking"

    def ready(self):
        connection.cursor()
"""

IN_LOOP = """
import asyncio
from lateshift.allowlist import AllowList
from lateshift.target import resolve

async def look():
    print(resolve("shop.jobs.confirm", AllowList(["shop.jobs"])).path)

asyncio.run(look())
"""

OURS = "from lateshift.django import process_is_ours\nprocess_is_ours()\n"

NOT_SET_UP = """
from lateshift import LateshiftError, run_background_job
for _ in range(2):
    try:
        run_background_job("shop.jobs.confirm")
    except LateshiftError as error:
        print(error)
"""

IN_FLASK = """
from lateshift import wait_for_job
from store.wsgi import app as application

client = application.test_client()
answer = client.post("/orders", data={"id": 7})
job_id = answer.get_json()["job"]
print(answer.status_code, wait_for_job(job_id, 30, check=True).result)
print(client.get(f"/orders/{job_id}").get_json()["status"], client.get("/orders/none").status_code)
"""


def test_flask(tmp_path):
    """The job has the application's configuration, in the process of the runner."""
    place = Place(tmp_path, "Flask")
    place.write("try_it.py", IN_FLASK + DASHBOARD)
    assert place.python("try_it.py") == ["202 receipt 7 sent by store@example.com", "completed 404", "200 OK"]


IN_FASTAPI = """
from app.main import app
from fastapi.testclient import TestClient
from lateshift import wait_for_job

client = TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1))
answer = client.post("/orders/7")
job_id = answer.json()["job"]
print(answer.status_code, wait_for_job(job_id, 30, check=True).result)
print(client.get(f"/orders/{job_id}/status").json()["status"], client.get("/orders/none/status").status_code)
print(client.get("/ops/jobs/").status_code)
"""


def test_fastapi(tmp_path):
    """Handlers await the twins, and the dashboard is mounted."""
    place = Place(tmp_path, "FastAPI")
    place.write("app/__init__.py", "")
    place.write("try_it.py", IN_FASTAPI)
    assert place.python("try_it.py") == ["202 receipt 7 sent", "completed 404", "200"]
