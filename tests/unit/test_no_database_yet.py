"""What an application object answers before anything was stored: a look makes no database."""

import pytest

from lateshift import JobNotFound, Lateshift
from lateshift.errors import InvalidOption


@pytest.fixture
def app(tmp_path):
    app = Lateshift(database_url=f"sqlite:///{tmp_path}/wrong/path.db", storage_dir=tmp_path, allowed=["app"])
    yield app
    app.close()
    assert list(tmp_path.iterdir()) == []


def test_there_are_no_jobs(app):
    """Nor is there anything to prune; what is asked is checked all the same."""
    assert (app.list_jobs(queue="mail"), app.cache.get("background_job:1"), app.prune()) == ([], None, 0)
    with pytest.raises(InvalidOption):
        app.list_jobs(status="done")


ASKS = ["get_job", "wait_for_job", "cancel_job", "retry_job", "delete_job", "run_again"]


@pytest.mark.parametrize("name", ASKS)
def test_no_job_is_found_and_the_reason_is_told(app, name):
    """With a wrong path one looked for the job; now the message says that nothing is there, and which setting it is."""
    with pytest.raises(JobNotFound, match=r"no database at .*wrong.path\.db yet.*LATESHIFT_DATABASE_URL") as caught:
        getattr(app, name)("1")
    assert caught.value.job_id == "1"
