"""Events reach those who listen, for as long as they do."""

from __future__ import annotations

from lateshift.events import Events, QueueChanged


def test_a_subscription_ends_once_however_often_it_is_ended():
    """The second end takes nobody else's subscription away, not even one of the same function."""
    events, told = Events(), []
    end, _ = events.subscribe(told.extend), events.subscribe(told.extend)
    event = QueueChanged(1, "mail", True)
    events.emit([event])
    assert told == [event, event]
    end()
    end()
    events.emit([event])
    assert told == [event] * 3
