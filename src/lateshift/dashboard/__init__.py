"""The web dashboard: pages to see and steer every job.

    app.mount("/jobs", create_dashboard())

`create_dashboard` makes an ASGI application that stands alone (`lateshift dashboard`) or is mounted in another one;
`docs/dashboard.md` tells how. A page is one function in `pages/`, one template, one row in `routes` and one test.
"""

from lateshift.accounts import Role, User
from lateshift.dashboard.application import create_dashboard

__all__ = ["Role", "User", "create_dashboard"]
