"""Errors of the last weeks for a lively database: some go on, some are resolved, one has come back, one is new."""

from dataclasses import dataclass

from lateshift.fingerprint import fingerprint
from lateshift.job import JobError
from lateshift.storage import failures
from lateshift.storage.failures import HOUR, FailureCount

DAY = 24


def trace(file, line, function, code, *library):
    frames = [f'  File "/srv/shop/shop/{file}", line {line}, in {function}\n    {code}\n']
    frames += [f'  File "/srv/shop/.venv/lib/python3.12/site-packages/{each}\n' for each in library]
    return "Traceback (most recent call last):\n" + "".join(frames)


@dataclass
class Story:
    """An error, and when it came: every so many hours, from so many hours ago until so many hours ago."""

    error: JobError
    names: tuple
    first: int
    last: int
    every: int
    much: int
    resolved: int | None = None


DEADLOCK = 'psycopg/cursor.py", line 97, in execute\n    raise ex.with_traceback(None)'

STORIES = [
    Story(
        JobError(
            "psycopg.errors.DeadlockDetected",
            "deadlock detected: process 4211 waits for ShareLock on transaction 88120",
            trace("search.py", 52, "reindex_product", "cursor.execute(UPDATE, product)", DEADLOCK),
        ),
        ("shop.search.reindex_product",),
        13 * DAY,
        2,
        7,
        3,
    ),
    Story(
        JobError(
            "PIL.UnidentifiedImageError",
            "cannot identify image file '/uploads/2026/11/8812.jpg'",
            trace("images.py", 31, "handle", "image = Image.open(path)"),
        ),
        ("shop.images.MakeThumbnails.handle",),
        20 * DAY,
        1,
        9,
        2,
        resolved=30,
    ),
    Story(
        JobError("KeyError", "'EUR'", trace("reports.py", 77, "handle", "rate = rates[currency]")),
        ("shop.reports.NightlyRevenue.handle",),
        1,
        0,
        1,
        1,
    ),
    Story(
        JobError(
            "smtplib.SMTPRecipientsRefused",
            "{'customer17@example.com': (550, b'5.1.1 No such user')}",
            trace("mail.py", 24, "send_receipt", "smtp.send_message(message)"),
        ),
        ("shop.mail.send_receipt",),
        8 * DAY,
        16,
        3,
        5,
        resolved=10,
    ),
    Story(
        JobError(
            "ValueError",
            "stock of -3 is no stock",
            trace("partners.py", 140, "sync_stock", "raise ValueError(text)"),
        ),
        ("shop.partners.sync_stock",),
        3 * DAY,
        20,
        6,
        1,
        resolved=19,
    ),
]


def add_groups(db, now, timeout):
    """Write what workers would have counted of these errors and of `Day.failure`'s, and who resolved which."""
    first = Story(timeout, ("shop.billing.ChargeCard.handle", "shop.partners.sync_stock"), 6 * DAY, 0, 4, 4)
    for story in [first, *STORIES]:
        hours = range(story.first, story.last - 1, -story.every)
        failures.add(db, "w-7f3a90", [_count(story, now, back, name) for back in hours for name in story.names])
        if story.resolved is not None:
            failures.resolve(db, fingerprint(story.error).key, "ada", now - story.resolved * HOUR)


def _count(story, now, back, name):
    at = now - max(back * HOUR, 4 * 60_000_000)
    much = story.much + back % 3
    return FailureCount(fingerprint(story.error), name, story.error.message, 1 + much // 3, much, at, at, "")


def add_jobs(day):
    """Failed jobs for those of the errors that have none yet."""
    from lively import KINDS

    kinds = {name: (name, *rest) for name, *rest in KINDS}
    for story in STORIES:
        for number in range(4):
            ago = (story.last * 3600 or 240) + number * 5400
            day.failure(ago, 2, kinds[story.names[0]], error=story.error)
