"""The allow-list judges names alone: prefixes at dots, nothing private, and a message that says what to do."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lateshift.allowlist import AllowList, check_entry
from lateshift.errors import CallableNotAllowed

ALLOW = AllowList(("app.jobs", "orders"))


def refusal(path, allow=ALLOW):
    """The message of the CallableNotAllowed that checking raises."""
    with pytest.raises(CallableNotAllowed) as caught:
        allow.check(path)
    assert not allow.permits(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "path",
    ["app.jobs.ProcessOrder", "app.jobs.ProcessOrder.handle", "app.jobs.mail.send", "orders.process", "orders.größe"],
)
def test_what_is_below_an_entry_is_permitted(path):
    """Anything public below an entry may run, at any depth."""
    ALLOW.check(path)
    assert ALLOW.permits(path)


@pytest.mark.parametrize(
    "path",
    ["app.jobsx.Run", "app.job.Run", "app.Run", "os.system", "jobs.Run", "xapp.jobs.Run", "App.jobs.Run", "ordersx"],
)
def test_what_is_beside_an_entry_is_refused(path):
    """A prefix counts at dots only, in the same case."""
    assert "LATESHIFT_ALLOWED has app.jobs,orders" in refusal(path)


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("shop.tasks.ProcessOrder.handle", "shop.tasks"),
        ("shop.tasks.send", "shop.tasks"),
        ("shop.send", "shop"),
        ("shop.orders.send", "shop.orders"),
    ],
)
def test_the_message_says_how_to_allow_it(path, module):
    """The refusal ends with the setting to write, module guessed from the name."""
    assert f"To allow it, set LATESHIFT_ALLOWED=app.jobs,orders,{module}" in refusal(path)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("app.job.MakeReport", "app.jobs.MakeReport? If not, add app.job to the setting."),
        ("app.MakeReport.handle", "app.jobs.MakeReport.handle? If not, add app to the setting."),
        ("jobs.MakeReport", "app.jobs.MakeReport? If not, add jobs to the setting."),
        ("MakeReport", "app.jobs.MakeReport or orders.MakeReport?"),
    ],
)
def test_a_name_near_one_of_the_list_is_taken_for_a_slip(path, meant):
    """The refusal of a typing error proposed to open the list for it."""
    text = refusal(path)
    assert text.endswith(f"LATESHIFT_ALLOWED has app.jobs,orders. Did you mean {meant}")


@pytest.mark.parametrize("path", ["os.system", "subprocess.run", "builtins.eval", "__main__.MakeReport"])
def test_nobody_is_told_to_open_the_list_for_everything(path):
    """A module of Python itself and `__main__` are never proposed: with os on the list anything runs."""
    text = refusal(path)
    assert "set LATESHIFT_ALLOWED" not in text
    assert "name a function of yours, in a module of the list." in text
    assert ALLOW.advice(path.partition(".")[0]) == ""


def test_a_worker_tells_that_its_list_may_be_an_older_one():
    """What it refuses may be on the list of today, so it proposes no list but to start anew."""
    text = refusal("retries.FetchReport.handle", AllowList(("orders",), of_worker=True))
    assert "LATESHIFT_ALLOWED is orders in this worker" in text
    assert "`lateshift workers stop --here`" in text
    assert text.endswith("the list of another script's configure(): one in .env is for all programs and workers.")
    assert "set LATESHIFT_ALLOWED" not in text


@pytest.mark.parametrize(
    ("path", "private"),
    [
        ("app.jobs._send", "_send"),
        ("app.jobs.Order._handle", "_handle"),
        ("app.jobs.Order.__init__", "__init__"),
        ("app.jobs.__builtins__.eval", "__builtins__"),
        ("app.jobs._private.send", "_private"),
        ("app.jobs.send.__globals__", "__globals__"),
        ("orders.__main__.x", "__main__"),
    ],
)
def test_private_names_are_refused(path, private):
    """Private and dunder segments are refused wherever they stand beyond the entry."""
    assert f"{private!r} is private" in refusal(path)


def test_a_private_entry_is_its_owners_choice():
    """Who lists a private package means it; beyond it nothing private."""
    allow = AllowList(("app._jobs",))
    assert allow.permits("app._jobs.send")
    assert not allow.permits("app._jobs._send")


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "app.jobs.",
        ".app.jobs.x",
        "app..jobs",
        "app.jobs.x y",
        "app.jobs.1",
        "app/jobs",
        "app.jobs.x()",
        "app.jobs.x\n",
    ],
)
def test_what_is_no_dotted_name_is_refused(path):
    """Each segment has to be an identifier."""
    assert "it is no dotted name" in refusal(path)


@pytest.mark.parametrize("path", ["app.jobs", "orders"])
def test_an_entry_itself_is_no_callable(path):
    """The name of the entry alone is refused: something inside of it may run."""
    assert "not a callable in it" in refusal(path)


def test_an_entry_may_be_a_class():
    """An entry narrower than a module permits just that."""
    allow = AllowList(("app.jobs.Order",))
    assert allow.permits("app.jobs.Order.handle")
    assert not allow.permits("app.jobs.Mail.handle")


def test_nested_entries():
    """The longest entry counts for what is private."""
    allow = AllowList(("app", "app._inner"))
    assert allow.permits("app._inner.x")
    assert not allow.permits("app._other.x")


def test_covers_judges_where_code_is_defined():
    """Unlike permitting, covering includes private places and the entry itself."""
    assert ALLOW.covers("app.jobs._implementation.send")
    assert ALLOW.covers("orders")
    assert not ALLOW.covers("app.jobsx")


def test_an_empty_list_permits_nothing():
    """Without entries nothing may run."""
    assert "no entry" in refusal("app.jobs.x", AllowList(()))


@pytest.mark.parametrize("entry", ["", "*", "app.*", "app.", "app jobs", "./app", None, 3])
def test_bad_entries(entry):
    """Entries are dotted names, without patterns."""
    with pytest.raises(ValueError, match="no dotted name"):
        check_entry(entry)
    with pytest.raises(ValueError, match="no dotted name"):
        AllowList((entry,))


def test_the_name_of_a_file_that_is_no_identifier():
    """A script with a hyphen in its name cannot be imported by it."""
    with pytest.raises(ValueError, match=r"'my-script' is no dotted name\. A file my-script\.py has to be renamed\."):
        check_entry("my-script")


@given(st.text(st.sampled_from("ab._*jobs"), max_size=20))
def test_nothing_is_permitted_but_below_an_entry(path):
    """Whatever the text: permitted means an entry, a dot, and public identifiers."""
    if AllowList(("a.jobs",)).permits(path):
        rest = path.removeprefix("a.jobs.")
        assert rest != path
        assert all(segment.isidentifier() and not segment.startswith("_") for segment in rest.split("."))


def test_nothing_is_imported():
    """Judging a name imports nothing."""
    before = set(sys.modules)
    AllowList(("wsgiref",)).check("wsgiref.handlers.run")
    assert set(sys.modules) == before


def test_what_is_installed_is_called_by_a_function_of_ones_own():
    """For `send_mail` of a framework to allow its whole module was bad advice; it may be one's own."""
    told = refusal("pytest.main")
    assert "Write a function in app.jobs that calls it. If pytest is yours, set LATESHIFT_ALLOWED=app.jobs," in told
