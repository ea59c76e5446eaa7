"""Who is asking: from the host application, a trusted proxy, a session, a token, or this machine.

Closed by default: without any of them the dashboard answers only on the machine it runs on, and only under a name of
that machine, since a page of elsewhere may point its own name at 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import base64
import hmac
import inspect
import ipaddress
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from lateshift.accounts import ROLES, Account, Role, User, check_password, locked_out, read_accounts
from lateshift.dashboard.sessions import Limiter, Signer
from lateshift.host.presence import short_name
from lateshift.settings import Settings

Answer = User | str | None
Authorize = Callable[[Request], Answer | Awaitable[Answer]]
"""Says for a request which role it has (or which `User` it is), and None for nobody. It may be a coroutine function;
a plain one is called in a thread, so it may ask a database."""

TOKEN: Final = User("token", "admin")
"""Whoever has the token; by `is`, since a user may be called so."""

HANDED_ON: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""Headers by which a reverse proxy tells that a request comes from elsewhere."""

LONG: Final = 32
"""Characters of a token, such as `secrets.token_hex()` has twice, that nobody finds by trying."""

SAFE: Final = ("GET", "HEAD", "OPTIONS")


class Access:
    """Answers who a request is from, by the settings and by what the host application says.

    `cookie` is the name of the one that holds a session; `locked_out` are users whom nothing lets in.
    """

    def __init__(self, settings: Settings, authorize: Authorize | None) -> None:
        self._authorize = authorize
        self._token = settings.dashboard_token
        self._accounts = read_accounts(settings.dashboard_users, settings.root)
        self._proxies = [ipaddress.ip_network(item, strict=False) for item in settings.dashboard_proxies]
        self._header = settings.dashboard_proxy_header
        self.locked_out = locked_out(self._accounts, settings)
        hashes = [account.hash for account in self._accounts.values()]
        self._signer = Signer(self._token or "", *hashes)
        # Cookies know no ports: two dashboards of one host, with one name, would end each other's sessions.
        self.cookie = f"lateshift_session_{self._signer.mark(short_name(settings))}"
        self._limiter = Limiter()
        self._turns = threading.BoundedSemaphore(2)  # each check of a password takes 16 MB

    @property
    def by_login(self) -> bool:
        """Whether there is anything to log in with."""
        return self._authorize is None and (self._token is not None or self.by_name)

    @property
    def by_name(self) -> bool:
        """Whether users have names and passwords."""
        return any(account.hash for account in self._accounts.values())

    @property
    def by_host(self) -> bool:
        """Whether the host application says who may come in."""
        return self._authorize is not None

    @property
    def is_open(self) -> bool:
        """Whether nothing is set up, so that only this machine is let in."""
        return self._authorize is None and self._token is None and not self._accounts and not self._proxies

    async def identify(self, request: Request) -> User | None:
        """The user behind a request, or None. Raises TooManyAttempts."""
        if self._authorize is not None:
            return as_user(await _asked(self._authorize, request))
        if self.is_open:
            return User("this machine", "admin") if is_local(request) else None
        known = self._by_proxy(request) or self._by_session(request)
        return known or await self._by_header(request)

    def log_in(self, request: Request, name: str, password: str) -> User | None:
        """The user with this name and password; without a name, the token is the password. Raises TooManyAttempts."""
        if not name and len(self._token or "") >= LONG and same(password, self._token or ""):
            return TOKEN  # also while those who guess, perhaps from behind the same address, have to wait
        peer = self._peer(request)
        with self._turns:
            self._limiter.take(peer)
            user = self._check(name, password)
            if user is not None:
                self._limiter.give_back(peer)
            return user

    def _check(self, name: str, password: str) -> User | None:
        if not name:
            return TOKEN if self._token is not None and same(password, self._token) else None
        account = self._accounts.get(name)
        fits = check_password(password, account.hash if account else "")
        return account.user if account and fits else None

    def session(self, user: User) -> str:
        """What a cookie holds for a user who has logged in; of the token, which has no name, an empty one."""
        return self._signer.sign("" if user is TOKEN else user.name)

    def _by_session(self, request: Request) -> User | None:
        name = self._signer.read(request.cookies.get(self.cookie, ""))
        if name == "" and self._token is not None:
            return TOKEN
        account: Account | None = self._accounts.get(name or "")
        return account.user if account and account.hash else None

    async def _by_header(self, request: Request) -> User | None:
        """A program's token, or a user's name and password; browsers are never asked for either in this way."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        name, password = ("", given.strip()) if scheme.lower() == "bearer" else _name_and_password(scheme, given)
        return await run_in_threadpool(self.log_in, request, name, password) if password else None  # 50 ms of scrypt

    def _by_proxy(self, request: Request) -> User | None:
        name = _as_sent(request.headers.get(self._header, "")).strip() if self._header else ""
        if not name or not self.from_proxy(request):
            return None
        account = self._accounts.get(name)
        return account.user if account else User(name, "viewer")

    def from_proxy(self, request: Request) -> bool:
        """Whether a request comes straight from a reverse proxy that is trusted."""
        return self._is_proxy(address(request))

    def is_secure(self, request: Request) -> bool:
        """Whether the browser speaks https, to us or to a proxy that is trusted."""
        if self.from_proxy(request):
            told = request.headers.get("x-forwarded-proto", request.url.scheme)
            return told.partition(",")[0].strip().lower() == "https"  # of several proxies the first met the browser
        return request.url.scheme == "https"

    def _is_proxy(self, peer: str) -> bool:
        try:
            found = {ipaddress.ip_address(peer), _ip(peer)}
        except ValueError:
            return False
        return any(each in network for network in self._proxies for each in found)

    def _peer(self, request: Request) -> str:
        """The address that asks; behind trusted proxies the last one that is named and is none of them."""
        named = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        peer, named = address(request), [item.strip() for item in named if item.strip()]
        while named and self._is_proxy(peer):
            peer = named.pop()
        return peer


async def _asked(authorize: Authorize, request: Request) -> Answer:
    answer: Any
    if inspect.iscoroutinefunction(authorize):
        answer = authorize(request)
    else:  # it may block, and Django's ORM refuses to be asked on an event loop
        answer = await run_in_threadpool(authorize, request)
    found: Answer = await answer if inspect.isawaitable(answer) else answer
    return found


def _name_and_password(scheme: str, given: str) -> tuple[str, str]:
    """What an `Authorization: Basic` header holds (RFC 7617); empty when it is none, or has no name."""
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return (name, password) if name else ("", "")


def as_user(answer: object) -> User | None:
    """What `authorize=` returned as a user. Raises ValueError for what is no role."""
    if answer is None or isinstance(answer, User):
        return answer
    role: Role | None = next((known for known in ROLES if known == answer), None)
    if role is None:
        raise ValueError(f"authorize= returned {answer!r}: return one of {', '.join(ROLES)}, a User, or None.")
    return User(role, role)


def is_forged(request: Request) -> bool:
    """Whether a request that changes something may come from another site's page.

    `Sec-Fetch-Site` where the browser sends it: it cannot be set by a page. Browsers leave it out on plain http, then
    the host of `Origin` has to be that of the request. With neither it is a program, if it has a token in its header or
    sends JSON: no page can have a browser send these elsewhere without its asking first, which is never answered.
    """
    if request.method in SAFE:
        return False
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    if origin is not None:
        return origin.partition("://")[2].lower() != request.headers.get("host", "").lower()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        return False
    return not request.headers.get("authorization", "").lower().startswith("bearer ")


def is_local(request: Request) -> bool:
    """Whether a request comes from this machine, was sent to a name of this machine, and by no page of elsewhere.

    A reverse proxy on this machine that is not set up for it hides all that but for two things: it speaks HTTP/1.0, as
    nginx does by default, or it hands on the `Origin` or `Referer` of its own site.
    """
    handed_on = any(header in request.headers for header in HANDED_ON) or request.scope.get("http_version") == "1.0"
    pages = [request.headers[header] for header in ("origin", "referer") if header in request.headers]
    names = [f"//{request.headers.get('host', '')}", *pages]
    return is_loopback(address(request)) and not handed_on and all(is_loopback(_host(name)) for name in names)


def is_loopback(host: str) -> bool:
    """Whether a name or an address is one of this machine alone."""
    try:
        return _ip(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address; of IPv4 as well where a socket for both kinds tells it as `::ffff:127.0.0.1`. Raises ValueError."""
    found = ipaddress.ip_address(text)
    return (isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped) or found


def _as_sent(header: str) -> str:
    """A header in the letters that proxies mean: they send UTF-8, and Starlette reads Latin-1."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:  # brackets that hold no address
        return ""


def address(request: Request) -> str:
    """The address at the other end of the connection."""
    return request.client.host if request.client else ""


def same(one: str, other: str) -> bool:
    """Whether two secrets are the same, in a time that tells nothing."""
    return hmac.compare_digest(one.encode(), other.encode())
