"""The OpenAPI document is true: every operation is asked by it, in this process, and everything else is refused."""

import re

import pytest
import schemathesis
from dashboard_site import Site
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from lateshift.dashboard.api.operations import OPERATIONS
from lateshift.fingerprint import fingerprint
from lateshift.job import JobError
from lateshift.storage import failures

pytestmark = pytest.mark.slow

TOKEN = "a-token-of-many-characters"
BEARER = {"authorization": f"Bearer {TOKEN}"}
EXAMPLES = 8

# 422 is also for what no schema says: a callable that is not there, a search that cannot be read. That a token is asked
# for is tested below: schemathesis sends the header along in the requests that are to go without it.
EXCLUDED = [positive_data_acceptance, ignored_auth]

FEW = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


def title(operation):
    return f"{operation.method} {operation.path}"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A dashboard that stays for all of these tests, with something behind each kind of id."""
    site = Site(tmp_path_factory.mktemp("api"), dashboard_token=TOKEN)
    db, now = site.app.database, site.app.database.now()
    failed = site.app.list_jobs(status="failed", limit=1)[0]
    mark = fingerprint(JobError("ValueError", "bad order 7"))
    count = failures.FailureCount(mark, failed.name, "bad order 7", 1, 2, now - 5_000_000, now, failed.id)
    failures.add(db, "w-7f3a90", [count])
    site.group = mark.key
    yield site
    site.close()


@pytest.fixture(scope="module")
def document(site):
    return site.client().get("/api/openapi.json", headers=BEARER).json()


@pytest.fixture(scope="module")
def schema(site, document):
    found = schemathesis.openapi.from_dict(document)
    found.app = site.made
    return found


def real_ids(site):
    """What may stand in paths so that something is there."""
    ids = [job.id for job in site.app.list_jobs(limit=40)]
    names, workers = ["billing", "mail/urgent ü"], ["w-7f3a90", "w-4410ee"]
    return {"id": ids, "name": names, "worker": workers, "fingerprint": [site.group], "request": ["none"]}


@pytest.mark.parametrize("operation", OPERATIONS, ids=title)
def test_what_the_document_allows_is_answered_as_it_says(site, schema, operation):
    """Random requests that fit, half of them for something that is there, get an answer of the promised form."""
    there = real_ids(site)

    @FEW
    @given(case=schema[operation.path][operation.method].as_strategy(), dice=st.integers(0, 99))
    def ask(case, dice):
        if dice % 2:
            case.path_parameters |= {name: there[name][dice % len(there[name])] for name in case.path_parameters}
        case.call_and_validate(headers=BEARER, excluded_checks=EXCLUDED)

    ask()


@pytest.mark.parametrize("operation", OPERATIONS, ids=title)
def test_what_the_document_does_not_allow_is_refused(schema, operation):
    """Random requests that do not fit are refused as a problem, and never break anything."""

    @FEW
    @given(case=schema[operation.path][operation.method].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def ask(case):
        case.call_and_validate(headers=BEARER, excluded_checks=EXCLUDED)

    ask()


@pytest.mark.parametrize("operation", OPERATIONS, ids=title)
def test_without_a_token_nothing_is_told(site, operation):
    """Every operation asks who it is, and says how to answer."""
    path = "/api" + re.sub(r"{\w+}", "x", operation.path)
    client = site.client(headers={}, client=(f"10.0.0.{OPERATIONS.index(operation)}", 1))  # ten wrong tokens are enough
    for headers in ({}, {"authorization": "Bearer wrong"}):
        answer = client.request(operation.method, path, headers=headers)
        if operation.change and not headers:  # neither a token nor JSON: it may be a page of elsewhere
            assert answer.status_code == 403
            continue
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_document_is_complete(document):
    """Each operation has a name of its own, a sentence, a role, and nothing is referred to that is not there."""
    operations = [each for path in document["paths"].values() for each in path.values()]
    assert len({each["operationId"] for each in operations}) == len(operations) == len(OPERATIONS)
    for each in operations:
        assert each["summary"].endswith(".")
        assert "Takes the role" in each["description"]
    text = str(document)
    for kind, name in re.findall(r"#/components/(\w+)/(\w+)", text):
        assert name in document["components"][kind]
    for name in document["components"]["schemas"]:
        assert f"#/components/schemas/{name}'" in text
    schemes = document["components"]["securitySchemes"]
    assert {name for each in document["security"] for name in each} == set(schemes)
    assert {each.get("scheme") for each in schemes.values()} == {"bearer", "basic", None}


def test_the_document_tells_where_it_is_too_late(document):
    """What a job or an action is by now can be in the way of these; of an action on many too, which random ids miss."""
    told = {path for path, each in document["paths"].items() if "409" in str(each.get("post", each.get("delete", "")))}
    jobs = {f"/jobs/{{id}}{act}" for act in ("", "/retry", "/cancel", "/again", "/stack")}
    assert told == jobs | {"/bulk/{id}/stop", "/undo/{id}"}


def test_the_document_knows_where_it_is(make_site):
    """Its server is the API's own address, wherever the dashboard is mounted; without users no login is asked for."""
    site = make_site()
    host = Starlette(routes=[Mount("/jobs", site.made)])
    with TestClient(host, base_url="http://localhost", client=("127.0.0.1", 1)) as client:
        found = client.get("/jobs/api/openapi.json").json()
        assert found["servers"] == [{"url": "/jobs/api"}]
        assert {} in found["security"]
        assert client.get("/jobs/api/jobs?limit=1").json()["jobs"]
