"""The dashboard as a person meets it: in a real browser, with the keyboard, without JavaScript, small, dark, live."""

import re
import time

import pytest
from accessibility import complaints
from dashboard_site import Site, served
from playwright.sync_api import expect

pytestmark = pytest.mark.slow

PAGES = ["/", "/jobs", "/jobs?status=failed", "/jobs?q=queue:billing+eror:x", "/queues", "/workers", "JOB", "RUNNING"]
PAGES += ["/bulk", "/bulk/retry/jobs?all=yes"]
PAGES += ["/?range=7d", "/?numbers=yes", "/queues/billing", "/workers/w-81bc02", "/workers/w-3190ab"]
LATER = 6000


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One site for all tests that only look."""
    site = Site(tmp_path_factory.mktemp("shared"))
    with served(site) as serving:
        yield site, serving.link
    site.close()


@pytest.fixture
def own(make_site):
    """A site of its own, for a test that changes something."""
    site = make_site()
    with served(site) as serving:
        yield site, serving.link


@pytest.fixture
def open_page(chromium):
    """Opens pages, and checks at the end that nothing complained and nothing was loaded from elsewhere."""
    opened, troubles = [], []

    def one(link, path="/", *, strict=True, **options):
        context = chromium.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        page = context.new_page()
        page.set_default_timeout(LATER)
        if strict:
            page.on("console", lambda told: troubles.append(told.text) if told.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: troubles.append(str(error)))
            page.on("request", lambda asked: None if asked.url.startswith(link) else troubles.append(asked.url))
        page.goto(link + path)
        opened.append(context)
        return page

    yield one
    for context in opened:
        context.close()
    assert troubles == []


def real(site, path):
    """A path with the id of a job of that kind in it."""
    kinds = {"JOB": "failed", "RUNNING": "running"}
    return f"/jobs/{site.app.list_jobs(status=kinds[path], limit=1)[0].id}" if path in kinds else path


def test_pages_load_without_complaint_and_become_live(shared, open_page):
    """No error on the console, no request off the host, and signals arrive."""
    site, link = shared
    page = open_page(link)
    for path in PAGES:
        page.goto(link + real(site, path))
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator("#live")).to_have_attribute("data-state", "on")


def test_axe_finds_nothing(shared, open_page):
    """axe-core has no complaint about any page, in light and dark."""
    site, link = shared
    page, found = open_page(link, bypass_csp=True), []
    for path in PAGES:
        page.goto(link + real(site, path))
        found += complaints(page)
    assert found == []


def test_a_small_screen_needs_no_sideways_scrolling(shared, open_page):
    """At 380 px everything fits, and the navigation is there with all its entries."""
    site, link = shared
    page = open_page(link, viewport={"width": 380, "height": 800})
    for path in PAGES:
        page.goto(link + real(site, path))
        assert page.evaluate("document.documentElement.scrollWidth") <= 380, path
        rail = page.get_by_role("navigation", name="Pages").first
        expect(rail).to_be_visible()
        assert rail.evaluate("nav => nav.scrollWidth <= nav.clientWidth"), path


def test_reading_needs_no_javascript(shared, open_page):
    """Links, filters and the chart's numbers work without a script."""
    _, link = shared
    page = open_page(link, java_script_enabled=False)
    assert page.locator("noscript svg.bars, svg.bars").count() == 2
    page.get_by_role("link", name="Jobs", exact=True).click()
    page.get_by_role("link", name=re.compile("^Failed")).click()
    page.get_by_label("Search jobs").fill("ChargeCard")
    page.get_by_role("button", name="Search").click()
    assert "status=failed" in page.url
    page.locator("tbody .row-link").first.click()
    expect(page.locator("h1")).to_contain_text("ChargeCard")
    expect(page.get_by_role("group", name="Traceback").first).to_contain_text("billing.py")


def test_what_happens_appears_by_itself(own, open_page):
    """A job that another process stores is on the page within moments, in two tabs."""
    site, link = own
    pages = [open_page(link, "/jobs") for _ in range(2)]
    for page in pages:
        expect(page.locator("#live")).to_have_attribute("data-state", "on")
    site.day.job("failed", 0, ("shop.fresh.Arrived.handle", "fresh", 1, lambda _: {}, 1, 1))
    for page in pages:
        expect(page.get_by_text("Arrived.handle")).to_be_visible()


def test_nothing_jumps_under_the_pointer(own, open_page):
    """While the pointer is over a table its rows stay where they are; new ones wait above until asked for."""
    site, link = own
    page = open_page(link, "/jobs")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    row = page.locator("tbody tr").nth(3)
    row.hover()
    before, place = row.get_attribute("id"), row.bounding_box()
    site.day.job("completed", 0, ("shop.fresh.Arrived.handle", "fresh", 1, lambda _: {}, 1, 1))
    expect(page.locator(".newer")).to_have_text("1 newer")
    assert page.locator("tbody tr").nth(3).get_attribute("id") == before
    assert page.locator("tbody tr").nth(3).bounding_box() == place
    expect(page.get_by_text("Arrived.handle")).to_have_count(0)
    page.locator(".newer").click()
    page.mouse.move(5, 5)
    expect(page.get_by_text("Arrived.handle")).to_be_visible()


def test_queues_do_not_change_places_under_the_pointer(own, open_page):
    """Whoever is about to press a button of a row presses that of this queue, though another has become worse."""
    site, link = own
    page = open_page(link, "/queues")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    row = page.locator("tbody tr").last
    row.get_by_role("button").hover()
    before = row.get_attribute("id")
    site.app.database.execute(
        "update lateshift_jobs set run_at = run_at - 3600000000 where queue = :q", {"q": before[6:]}
    )
    site.day.job("completed", 0, ("shop.fresh.Arrived.handle", before[6:], 1, lambda _: {}, 1, 1))
    expect(row).to_contain_text("1 h")
    assert row.get_attribute("id") == before
    page.mouse.move(5, 5)
    site.day.job("completed", 0)
    expect(page.locator("tbody tr").last).not_to_have_attribute("id", before)


def test_a_table_that_goes_leaves_the_one_under_the_pointer_alone(own, open_page):
    """Tables are known by what they show, not by their place on the page."""
    site, link = own
    page = open_page(link, "/")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    failed = page.locator("tr[id^=latest-failures]")
    failed.first.hover()
    shown = failed.evaluate_all("rows => rows.map((row) => row.id)")
    site.app.database.execute("update lateshift_jobs set status = 'cancelled' where status = 'running'")
    expect(page.get_by_text("Nothing runs at the moment.")).to_be_visible()
    assert failed.evaluate_all("rows => rows.map((row) => row.id)") == shown
    expect(page.locator("section", has_text="What comes next").locator("tr[id^=what-comes-next]")).not_to_have_count(0)


def test_one_watcher_serves_all_tabs(own, open_page):
    """Three open pages cause one look a second."""
    site, link = own
    pages = [open_page(link, path) for path in ("/", "/jobs", "/queues")]
    for page in pages:
        expect(page.locator("#live")).to_have_attribute("data-state", "on")
    watcher = site.serving.desk.watcher
    before = watcher.looks
    pages[0].wait_for_timeout(2000)
    assert watcher.looks - before <= 3


def test_a_stream_that_ends_in_good_order_is_nothing_to_see(own, open_page, monkeypatch):
    """The next one comes before the page would call itself disconnected, also when all is slow: the page stays live."""
    monkeypatch.setattr("lateshift.dashboard.watcher.BEAT", 1.0)
    site, link = own
    page, streams = open_page(link, "/jobs"), []
    page.on("request", lambda asked: streams.append(asked) if asked.url.endswith("/events") else None)
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    page.evaluate("""() => {
        const live = document.querySelector("#live");
        window.states = [];
        new MutationObserver(() => states.push(live.dataset.state)).observe(live, { attributes: true });
    }""")
    page.route("**/events", lambda route: (time.sleep(1.5), route.continue_()))
    while len(streams) < 3:
        page.wait_for_event("request", lambda asked: asked.url.endswith("/events"))
    page.unroute("**/events")
    site.day.job("completed", 0, ("shop.fresh.Arrived.handle", "fresh", 1, lambda _: {}, 1, 1))
    expect(page.get_by_text("Arrived.handle")).to_be_visible()
    assert set(page.evaluate("states")) <= {"on"}
    assert page.locator("#lost").is_hidden()


def test_a_retry_stays_on_the_page_and_says_so(own, open_page):
    """Retry acts in place: the status changes, a note appears, the address stays."""
    site, link = own
    job = site.app.list_jobs(status="failed", limit=1)[0]
    page = open_page(link, f"/jobs/{job.id}")
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator(".toast")).to_contain_text("waits to run again")
    expect(page.locator(".lede .state")).to_contain_text("Retrying")
    assert page.url.endswith(job.id)
    assert site.app.get_job(job.id).status == "pending_retry"


def test_deleting_asks_in_a_dialog(own, open_page):
    """The dialog names what is lost; keeping keeps, deleting leads to the list, whose Undo stays while it has focus."""
    site, link = own
    job = site.app.list_jobs(status="failed", limit=1)[0]
    page = open_page(link, f"/jobs/{job.id}")
    page.clock.install()
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_have_accessible_description(re.compile("1 job, with its attempts and logs"))
    dialog.get_by_role("button", name="Keep it").click()
    assert site.app.get_job(job.id).status == "failed"
    page.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator("h1")).to_have_text("Jobs")
    expect(page.locator(".toast")).to_contain_text("is deleted")
    assert page.locator(f"#j-{job.id}").count() == 0
    page.get_by_role("button", name="Undo").focus()
    page.clock.run_for(31_000)
    expect(page.get_by_role("button", name="Undo")).to_be_focused()


def test_rows_and_filters_by_keyboard(shared, open_page):
    """j and k walk through the rows, from a checkbox too, Enter opens one, / goes to the search, ? lists the keys."""
    _, link = shared
    page = open_page(link, "/jobs")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    for key in ("j", "j", "k"):
        page.keyboard.press(key)
    expect(page.locator("tbody .row-link").first).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Search jobs")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Keyboard")
    page.keyboard.press("Escape")
    page.locator("tbody input[name=id]").nth(1).focus()
    page.keyboard.press("j")
    expect(page.locator("tbody .row-link").nth(2)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).not_to_have_text("Jobs")


def test_times_are_relative_or_exact(shared, open_page):
    """t shows the exact times instead, also on the next page."""
    _, link = shared
    page = open_page(link, "/jobs?status=completed")
    moment = page.locator("tbody time").first
    expect(moment).to_have_text(re.compile("ago$"))
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", moment.get_attribute("title"))
    page.keyboard.press("t")
    expect(moment).to_have_text(re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"))
    page.reload()
    expect(page.locator("tbody time").first).to_have_text(re.compile(r"^\d{4}-"))


def test_colours_are_chosen_and_remembered(shared, open_page):
    """The switch goes from the system's to light to dark, and the server remembers, so that no page flashes."""
    _, link = shared
    page = open_page(link, color_scheme="light")
    background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_role("button", name="Light or dark").click(click_count=2)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != background


def test_a_chart_tells_the_values_under_the_pointer(shared, open_page):
    """The chart is drawn, and its legend names the numbers where the pointer is."""
    _, link = shared
    page = open_page(link)
    plot = page.locator("#throughput .u-over")
    plot.hover()
    expect(page.locator("#throughput .key").first).to_have_text(re.compile(r"completed \d+"))


def test_what_is_open_stays_open(own, open_page):
    """A folded traceback that the reader has opened survives an update of the page."""
    site, link = own
    job = site.app.list_jobs(status="failed", limit=1)[0]
    page = open_page(link, f"/jobs/{job.id}")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    page.locator(".traceback summary").first.click()
    before = page.locator("#page").get_attribute("data-now")
    site.day.job("completed", 0)
    expect(page.locator("#page")).not_to_have_attribute("data-now", before)
    expect(page.locator(".traceback details").first).to_have_attribute("open", "")


def test_a_hidden_tab_asks_for_nothing(own, open_page):
    """Hidden, a page closes its stream; shown again, it catches up."""
    site, link = own
    page = open_page(link, "/jobs")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    hide = (
        "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.evaluate(hide % "true")
    expect(page.locator("#live")).to_have_attribute("data-state", "off")
    site.day.job("completed", 0, ("shop.fresh.Arrived.handle", "fresh", 1, lambda _: {}, 1, 1))
    page.wait_for_timeout(1500)
    expect(page.get_by_text("Arrived.handle")).to_have_count(0)
    page.evaluate(hide % "false")
    expect(page.get_by_text("Arrived.handle")).to_be_visible()


def test_long_figures_stay_in_their_columns(shared, open_page):
    """After an outage the oldest wait is long, and what stands behind it was written over the next figure."""
    _, link = shared
    page = open_page(link)
    for width in (1280, 1000, 440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("""() => [...document.querySelectorAll(".figure dd")].every((dd) => {
            (dd.querySelector("a") || dd).firstChild.data = "59 min 59 s ";
            return dd.scrollWidth <= dd.clientWidth;
        })"""), width


def test_a_server_that_stops_is_told_and_comes_back(make_site, open_page):
    """While there is no server the page says so; when it is back, the page goes on by itself."""
    site = make_site()
    with served(site) as serving:
        link, port = serving.link, serving.port
        page = open_page(link, "/jobs", strict=False)
        expect(page.locator("#live")).to_have_attribute("data-state", "on")
    expect(page.locator("#lost")).to_contain_text("does not answer", timeout=15_000)
    site.day.job("completed", 0, ("shop.fresh.Arrived.handle", "fresh", 1, lambda _: {}, 1, 1))
    with served(site, port):
        expect(page.locator("#lost")).to_be_hidden(timeout=15_000)
        expect(page.get_by_text("Arrived.handle")).to_be_visible()
        page.context.close()


def test_logging_in_leads_to_what_was_asked_for(make_site, open_page):
    """With a token set, a link leads over the login to its page, and out again."""
    site = make_site(dashboard_token="a-token-of-many-characters")
    with served(site) as serving:
        page = open_page(serving.link, "/queues")
        page.get_by_label("Token").fill("a-token-of-many-characters")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Queues")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        page.context.close()


def test_a_session_that_has_ended_leads_to_the_login(make_site, open_page):
    """A page that was left open says no longer that nobody answers: it asks who is there, and then goes on."""
    token = "a-token-of-many-characters"
    site = make_site(dashboard_token=token)
    with served(site) as serving:
        link, port = serving.link, serving.port
        page = open_page(link, "/queues", strict=False)
        page.get_by_label("Token").fill(token)
        page.keyboard.press("Enter")
        expect(page.locator("#live")).to_have_attribute("data-state", "on")
    page.context.clear_cookies()
    with served(site, port):
        page.get_by_label("Token").fill(token, timeout=15_000)
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Queues")
        page.context.close()


def test_an_id_is_copied(shared, open_page):
    """The button beside an id copies all of it."""
    site, link = shared
    job = site.app.list_jobs(limit=1)[0]
    page = open_page(link, f"/jobs/{job.id}", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the id").click()
    assert page.evaluate("navigator.clipboard.readText()") == job.id
