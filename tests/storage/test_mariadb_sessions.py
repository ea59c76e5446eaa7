"""What a MariaDB server does to a session of ours that passes by itself."""

from __future__ import annotations

import pytest

from lateshift.errors import StorageUnavailable

pytestmark = pytest.mark.parametrize("bare", ["mariadb"], indirect=True)

NOT_READY = """
create trigger not_ready before insert on lateshift_jobs for each row
signal sqlstate '08S01' set mysql_errno = 1047, message_text = 'WSREP has not yet prepared node for application use'"""


def test_a_node_that_joins_its_cluster_is_waited_for(steps, database):
    """It refuses every statement until it is ready; that was an error to be reported."""
    database.execute(NOT_READY)
    database.while_locked = lambda: database.execute("drop trigger not_ready")
    assert steps.status(steps.enqueue()) == "pending"


def test_a_statement_that_somebody_ends_may_succeed_later(database):
    """By `kill query`: the error is of those after which a worker keeps its outcomes, and not one to be reported."""
    with pytest.raises(StorageUnavailable, match="interrupted"):
        database.execute("kill query connection_id()")
