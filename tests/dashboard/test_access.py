"""Closed by default: who is let in, how they log in, and what each of them sees."""

import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from html import unescape

import pytest
from dashboard_site import HERE, served
from starlette.requests import Request
from starlette.testclient import TestClient

from lateshift import Lateshift, accounts
from lateshift.accounts import check_password, hash_password
from lateshift.dashboard import User, create_dashboard
from lateshift.dashboard.sessions import Limiter, Signer, TooManyAttempts
from lateshift.errors import SettingsError

TOKEN = "a-token-of-many-characters"
HASH = hash_password("correct horse")
USERS = f"ada:admin:{HASH},olga:operator:{HASH},vic:viewer:{HASH},pat:operator:"
BAD_USERS = ["ada", "ada:root:", "ada:admin:plain", ":admin:", "@nowhere.txt", f"ada:admin:{HASH},ada:viewer:{HASH}"]
BAD_USERS += [f"ada:admin:{HASH[:-1]}", "ada:admin:scrypt.AAAAA.AAAAA", f"ada:admin:scrypt.AAAAA.{'A' * 43}"]
SAME = {"sec-fetch-site": "same-origin"}


def log_in(client, name="", password="", **fields):
    return client.post(
        "/login", data={"name": name, "password": password, **fields}, headers=SAME, follow_redirects=False
    )


@pytest.mark.parametrize(
    ("address", "host", "allowed"),
    [
        ("127.0.0.1", "localhost:8642", True),
        ("127.0.0.1", "127.0.0.1:8642", True),
        ("127.0.0.1", "127.0.0.2:8642", True),
        ("::1", "[::1]:8642", True),
        ("::ffff:127.0.0.1", "localhost:8642", True),  # how a socket for both kinds of addresses tells IPv4
        ("::ffff:192.168.1.5", "localhost:8642", False),
        ("127.0.0.1", "jobs.example.com", False),  # a page of elsewhere that has pointed its name here
        ("127.0.0.1", "localhost.example.com", False),
        ("127.0.0.1", "127.0.0.1.example.com:8642", False),
        ("192.168.1.5", "localhost:8642", False),
        ("10.0.0.1", "10.0.0.2:8642", False),
        ("testclient", "localhost", False),
        ("127.0.0.1", "[", False),
    ],
)
def test_without_users_only_this_machine_is_let_in(make_site, address, host, allowed):
    """By its address, and under a name of its own."""
    client = make_site().client(client=(address, 1))
    for path in ("/", "/jobs", "/events"):
        if allowed and path == "/events":
            continue
        answer = client.get(path, headers={"host": host})
        assert answer.status_code == (200 if allowed else 403)
        assert allowed or "LATESHIFT_DASHBOARD_TOKEN" in answer.text


@pytest.mark.parametrize("header", ["x-forwarded-for", "X-Real-IP", "Forwarded", "Via", "X-Forwarded-Host"])
def test_a_proxy_on_this_machine_is_not_this_machine(make_site, header):
    """What a reverse proxy hands on from elsewhere is not local, though the proxy is."""
    assert make_site().client().get("/", headers={header: "8.8.8.8"}).status_code == 403


@pytest.mark.parametrize("header", ["origin", "referer"])
def test_a_page_of_elsewhere_is_not_this_machine(make_site, header):
    """A proxy on this machine that says nothing of itself still hands on of which site a page is."""
    client = make_site().client()
    for page, status in (("https://shop.example/jobs", 403), ("null", 403), ("http://[", 403), (HERE, 200)):
        assert client.get("/", headers={header: page}).status_code == status


def test_a_proxy_that_speaks_an_old_http_is_not_this_machine(make_site):
    """nginx speaks HTTP/1.0 to what is behind it, and nothing of itself, unless it is told to: all were admins."""
    site = make_site()
    with served(site) as serving, socket.create_connection(("127.0.0.1", serving.port)) as connection:
        connection.sendall(f"GET /jobs HTTP/1.0\r\nHost: 127.0.0.1:{serving.port}\r\n\r\n".encode())
        assert connection.makefile("rb").readline().split()[1] == b"403"


def test_a_program_is_told_what_it_left_out(make_site):
    """Without a body of JSON and a token it was told that it is another site's page."""
    client = make_site().client(headers={})
    assert "body of JSON" in client.post("/api/queues/mail/pause").json()["detail"]
    headers = {"sec-fetch-site": "cross-site"}
    assert "another site" in client.post("/api/queues/mail/pause", headers=headers).json()["detail"]


def test_a_token_opens_the_dashboard(make_site):
    """Without it there is the login; with it a session, from anywhere; and what was asked for comes after it."""
    client = make_site(dashboard_token=TOKEN).client(client=("8.8.8.8", 1), base_url="https://jobs.example.com")
    answer = client.get("/jobs?status=failed", follow_redirects=False)
    assert answer.headers["location"] == "/login?next=%2Fjobs%3Fstatus%3Dfailed"
    assert 'value="/jobs?status=failed"' in client.get(answer.headers["location"]).text
    assert log_in(client, password="wrong").status_code == 401
    answer = log_in(client, password=TOKEN, next="/jobs?status=failed")
    assert answer.headers["location"] == "/jobs?status=failed"
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=lax", "secure", "path=/"))
    assert client.get("/jobs", follow_redirects=False).status_code == 200
    client.post("/logout", headers=SAME)
    assert client.get("/jobs", follow_redirects=False).status_code == 303


def test_a_program_shows_its_token(make_site):
    """A bearer token is enough for a script, also for what changes something."""
    client = make_site(dashboard_token=TOKEN).client(client=("8.8.8.8", 1), headers={"accept": "application/json"})
    assert client.get("/jobs").status_code == 401
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert client.get("/jobs", headers=bearer).status_code == 200
    assert client.post("/queues/billing/pause", headers=bearer, follow_redirects=False).status_code == 303
    assert client.get("/jobs", headers={"authorization": "Bearer wrong"}).status_code == 401


def test_a_program_shows_a_name_and_a_password(make_site):
    """With HTTP Basic it has that user's role, so what only looks needs no admin's token; guessing is held back."""
    client = make_site(dashboard_users=USERS).client(client=("8.8.8.8", 1))
    assert client.get("/metrics", auth=("vic", "correct horse")).status_code == 200
    assert client.get("/api/jobs", auth=("vic", "correct horse")).status_code == 200
    assert client.post("/api/queues/billing/pause", json={}, auth=("vic", "correct horse")).status_code == 403
    assert client.post("/api/queues/billing/pause", json={}, auth=("olga", "correct horse")).status_code == 200
    for header in ("Basic", "Basic %%%", "Basic OnRva2Vu", "Basic /w==", "Digest a:b"):
        assert client.get("/metrics", headers={"authorization": header}).status_code == 401
    for name in ("pat", *["vic"] * 9):
        assert client.get("/metrics", auth=(name, "wrong")).status_code == 401
    answer = client.get("/metrics", auth=("vic", "correct horse"))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 200
    assert "not even a right one" in answer.json()["detail"]


def test_many_guesses_at_once_are_as_many(make_site, monkeypatch):
    """They are counted before they are looked at, and two are looked at at once: each takes 16 MB."""
    at_once, most, looks = [0], [0], []
    lock, scrypt = threading.Lock(), accounts._scrypt

    def counted(*given):
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        looks.append(scrypt(*given))
        with lock:
            at_once[0] -= 1
        return looks[-1]

    monkeypatch.setattr(accounts, "_scrypt", counted)
    access = make_site(dashboard_users=USERS, filled=False).desk.access
    request = Request({"type": "http", "headers": [], "client": ("9.9.9.9", 1)})

    def guess(password):
        try:
            return access.log_in(request, "ada", password)
        except TooManyAttempts as held:
            return held

    with ThreadPoolExecutor(30) as pool:
        assert all(isinstance(user, User) for user in pool.map(guess, ["correct horse"] * 20))
        answers = list(pool.map(guess, ["wrong"] * 30))
    assert (answers.count(None), len(looks), most[0]) == (10, 30, 2)


def test_others_behind_a_trusted_proxy_need_not_wait(make_site):
    """Attempts count for the address that the proxy names; what comes before that anybody can have made up."""
    client = make_site(dashboard_token=TOKEN, dashboard_proxies="10.0.0.0/24").client(client=("10.0.0.7", 1))
    for number in range(10):
        headers = {"x-forwarded-for": f"1.1.1.{number}, 8.8.8.8, 10.0.0.8", "authorization": "Bearer wrong"}
        assert client.get("/api/jobs", headers=headers).status_code == 401
    right = {"authorization": f"Bearer {TOKEN}"}
    assert client.get("/api/jobs", headers={"x-forwarded-for": "8.8.8.8", **right}).status_code == 429
    assert client.get("/api/jobs", headers={"x-forwarded-for": "8.8.4.4", **right}).status_code == 200


def test_a_long_token_does_not_wait_for_those_who_guess(make_site):
    """Nobody finds one by trying, and a program with an old token must not shut out the one with the new."""
    site = make_site(dashboard_token=TOKEN * 2)
    client = site.client(client=("8.8.8.8", 1))
    codes = [client.get("/api/jobs", headers={"authorization": "Bearer old"}).status_code for _ in range(11)]
    assert codes == [401] * 10 + [429]
    assert client.get("/api/jobs", headers={"authorization": f"Bearer {TOKEN * 2}"}).status_code == 200
    assert log_in(client, password=TOKEN * 2).status_code == 303


def test_a_form_of_another_site_cannot_use_a_password(make_site):
    """A browser that was once told a password sends it along: that is no sign that the page is ours."""
    client = make_site(dashboard_users=USERS).client(client=("8.8.8.8", 1))
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 303)):
        headers = {"sec-fetch-site": site}
        answer = client.post(
            "/queues/billing/pause", auth=("olga", "correct horse"), headers=headers, follow_redirects=False
        )
        assert answer.status_code == status


def test_users_log_in_with_their_roles(make_site):
    """Each gets what their role may do; a user without a hash cannot log in at all."""
    site = make_site(dashboard_users=USERS)
    job = site.app.list_jobs(status="failed", limit=1)[0]
    shown = {"vic": set(), "olga": {"retry", "again"}, "ada": {"retry", "again", "delete"}}
    for name, actions in shown.items():
        client = site.client()
        assert log_in(client, name, "correct horse").status_code == 303
        text = client.get(f"/jobs/{job.id}").text
        assert set(re.findall(rf'action="/jobs/{job.id}/(\w+)"', text)) == actions
        assert name in text
    for name, password in (("pat", ""), ("pat", "correct horse"), ("nobody", "correct horse"), ("", "")):
        assert log_in(site.client(), name, password).status_code == 401


def test_a_user_called_token_is_not_the_token(make_site):
    """Whoever logs in with a name has that user's role, whatever it is called."""
    site = make_site(dashboard_token=TOKEN, dashboard_users=f"token:viewer:{HASH}")
    client = site.client()
    log_in(client, "token", "correct horse")
    assert client.get("/callables/new").status_code == 403
    log_in(client, password=TOKEN)
    assert client.get("/callables/new").status_code == 200


def test_login_leads_only_into_the_dashboard(make_site):
    """A forged `next` leads nowhere else."""
    client = make_site(dashboard_token=TOKEN).client()
    for wanted in ("https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil", "javascript:alert(1)"):
        assert log_in(client, password=TOKEN, next=wanted).headers["location"] == "/"


def test_a_form_that_is_sent_after_the_session_has_ended_leads_back_to_its_page(make_site):
    """It led to the address of the form, which cannot be asked for."""
    client = make_site(dashboard_token=TOKEN).client(follow_redirects=False)
    answer = client.post("/queues/mail/pause", headers={"referer": "http://localhost:8642/queues?sort=name"})
    assert answer.headers["location"] == "/login?next=%2Fqueues%3Fsort%3Dname"


@pytest.mark.parametrize("name", ["caf%C3%A9", "daily%20reports", "what%3Fnow", "what%3Fnow?range=7d", "50%25"])
def test_login_leads_to_what_was_asked_for(make_site, name):
    """Also where a name has letters, spaces or signs that an address has no place for."""
    client, path = make_site(dashboard_token=TOKEN).client(), f"/queues/{name}"
    asked = client.get(client.get(path, follow_redirects=False).headers["location"]).text
    wanted = unescape(re.search(r'name="next" value="(.*?)"', asked)[1])
    assert log_in(client, password=TOKEN, next=wanted).headers["location"] == path


@pytest.mark.parametrize(
    ("page", "back"),
    [
        ("http://testserver/jobs?q=queue:mail", "%2Fjobs%3Fq%3Dqueue%3Amail"),
        ("https://elsewhere.example//evil", "%2F%2Fevil"),  # which the login does not follow
        ("http://[", "%2F"),
        ("", "%2F"),
    ],
)
def test_a_page_without_a_session_is_told_where_to_log_in(make_site, page, back):
    """htmx leads there, and from there back to the page that was open."""
    client = make_site(dashboard_token=TOKEN).client(headers={"hx-request": "true", "hx-current-url": page})
    answer = client.get("/jobs")
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, f"/login?next={back}")


def test_login_of_another_site_is_refused(make_site):
    """No page of elsewhere can log somebody in."""
    client = make_site(dashboard_token=TOKEN).client(headers={"sec-fetch-site": "cross-site"})
    assert client.post("/login", data={"password": TOKEN}).status_code == 403


def test_guessing_is_slowed_down(make_site):
    """After ten failures an address waits, though others do not, and the right password does not help."""
    site = make_site(dashboard_token=TOKEN)
    client = site.client(client=("9.9.9.9", 1))
    codes = [log_in(client, password="wrong").status_code for _ in range(12)]
    assert codes == [401] * 10 + [429] * 2
    answer = log_in(client, password=TOKEN)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 200
    assert client.get("/", headers={"authorization": f"Bearer {TOKEN}"}, follow_redirects=False).status_code == 429
    assert log_in(site.client(client=("9.9.9.8", 1)), password=TOKEN).status_code == 303


def test_the_host_application_decides(make_site):
    """`authorize=` is asked for every request: a role, a user, or nobody; sync or not."""

    async def by_header(request):
        name = request.headers.get("x-user")
        return User(name, "viewer") if name == "vic" else name

    client = make_site(authorize=by_header, dashboard_token=TOKEN).client(client=("8.8.8.8", 1))
    assert client.get("/").status_code == 403
    assert client.get("/", headers={"x-user": "vic"}).status_code == 200
    assert client.get("/", headers={"x-user": "operator"}).status_code == 200
    with pytest.raises(ValueError, match="authorize= returned 'root'"):
        client.get("/", headers={"x-user": "root"})


def test_viewers_do_not_see_secrets(make_site):
    """Values that LATESHIFT_REDACT names are hidden from viewers in every place, and shown to operators."""
    for role, sees in (("viewer", False), ("operator", True)):
        site = make_site(authorize=lambda _, role=role: role)
        job = next(job for job in site.app.list_jobs(limit=100) if "api_key" in job.parameters)
        for path in (f"/jobs/{job.id}", "/jobs", "/"):
            assert ("sk-live-1" in site.client().get(path).text) <= sees
        assert ("sk-live-1" in site.client().get(f"/jobs/{job.id}").text) == sees


@pytest.mark.parametrize("path", ["/", "/jobs", "/login", "/nothing", "/healthz", "/jobs/none"])
def test_every_answer_has_its_guard_rails(make_site, path):
    """What browsers may load and do is told with every answer, also with those that refuse."""
    headers = make_site().client().get(path, follow_redirects=False).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_users_come_from_a_file(tmp_path):
    """`@file` is read against the root, one user a line, with remarks."""
    (tmp_path / "users.txt").write_text(f"ada:admin:{HASH}\n\n# who\nvic:viewer:{HASH}\n", "utf-8-sig")
    app = Lateshift(root=tmp_path, dashboard_users="@users.txt", spawn="never")
    client = TestClient(create_dashboard(app), base_url="http://localhost")
    for name in ("ada", "vic"):  # also behind the mark with which Notepad begins a file
        assert log_in(client, name, "correct horse").status_code == 303


@pytest.mark.parametrize("text", BAD_USERS, ids=range(len(BAD_USERS)))  # a hash is another in each process
def test_bad_users_are_told_at_once(tmp_path, text):
    """A user that cannot be read is an error when the dashboard is made, not when somebody logs in."""
    with pytest.raises(SettingsError, match="LATESHIFT_DASHBOARD_USERS"):
        create_dashboard(Lateshift(root=tmp_path, dashboard_users=text, spawn="never"))


def test_secrets_are_neither_shown_nor_handed_on(tmp_path, monkeypatch):
    """The doctor masks them, an error about one does not repeat it, and a runner does not get them."""
    from lateshift.settings import explain_settings, load_settings, to_environment

    monkeypatch.chdir(tmp_path)
    shown = {each.name: each.value for each in explain_settings(dashboard_token=TOKEN, dashboard_users=USERS)}
    assert (shown["dashboard_token"], shown["dashboard_users"]) == ("***", "***")
    environment = to_environment(load_settings(dashboard_token=TOKEN, dashboard_users=USERS))
    assert TOKEN not in "".join(environment.values())
    assert HASH not in "".join(environment.values())
    with pytest.raises(SettingsError) as caught:
        load_settings(dashboard_token="short-secret")
    assert "short-secret" not in str(caught.value)


def test_passwords_fit_their_own_hash_only():
    """A hash fits one password, and garbage fits none."""
    assert check_password("correct horse", HASH)
    assert not check_password("correct horsf", HASH)
    assert not check_password("correct horse", "scrypt.AA.AA")
    assert not check_password("", "")


def test_signed_values_run_out():
    """A value can be read until its time is over."""
    signer = Signer("secret")
    assert signer.read(signer.sign("ada")) == "ada"
    assert signer.read(signer.sign("ada", lifetime=-1)) is None


def test_many_addresses_do_not_help_to_guess():
    """A hundred failures from a hundred addresses close the door for all."""
    limiter = Limiter(most=10)
    for number in range(100):
        limiter.take(f"10.0.0.{number}")
    with pytest.raises(TooManyAttempts):
        limiter.take("10.9.9.9")
