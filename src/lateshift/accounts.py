"""Who may use the dashboard, as LATESHIFT_DASHBOARD_USERS has it, and how their passwords are kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from lateshift.errors import SettingsError
from lateshift.settings import Settings

Role = Literal["viewer", "operator", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

COST: Final = 2**14
"""Of scrypt: 16 MB and about 50 ms for each guess."""

LENGTH: Final = 43
"""Characters of a key of 32 bytes."""

NO_HASH: Final = (
    "LATESHIFT_DASHBOARD_USERS has no hash for them, and no proxy is named in LATESHIFT_DASHBOARD_PROXIES and "
    "LATESHIFT_DASHBOARD_PROXY_HEADER that lets them in. `lateshift dashboard --hash-password` makes one."
)
"""Why somebody cannot log in, and what to do."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody at the dashboard. A viewer reads, an operator acts on jobs and queues, an admin deletes as well."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether this user's role is that one or above it."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class Account:
    """A user of LATESHIFT_DASHBOARD_USERS; without a hash only a trusted proxy can let them in."""

    user: User
    hash: str


def hash_password(password: str) -> str:
    """What stands for a password in LATESHIFT_DASHBOARD_USERS; a new one at each call."""
    salt = secrets.token_bytes(16)
    return f"scrypt.{_text(salt)}.{_text(_scrypt(password, salt))}"


def check_password(password: str, hashed: str) -> bool:
    """Whether a hash is that of this password; takes as long when it is not."""
    salt, wanted = _parts(hashed) or (b"nobody", b"")
    return hmac.compare_digest(_scrypt(password, salt), wanted)


def read_accounts(text: str | None, root: Path) -> Mapping[str, Account]:
    """The accounts by name. `@file` is against the root. Raises SettingsError for what cannot be read."""
    if text is None:
        return {}
    if text.startswith("@"):
        path = root / text[1:]
        try:
            text = path.read_text(encoding="utf-8-sig")  # Notepad begins a file with a mark
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"LATESHIFT_DASHBOARD_USERS names {path}, which cannot be read: {error}.") from None
    lines = [line.strip() for line in re.split(r"[,\n]", text)]
    accounts: dict[str, Account] = {}
    for account in (_account(line) for line in lines if line and not line.startswith("#")):
        if account.user.name in accounts:
            raise SettingsError(f"LATESHIFT_DASHBOARD_USERS names {account.user.name!r} twice. Leave one of them out.")
        accounts[account.user.name] = account
    return accounts


def locked_out(accounts: Mapping[str, Account], settings: Settings) -> list[str]:
    """Who has no hash, where no proxy is there to let them in."""
    by_proxy = settings.dashboard_proxies and settings.dashboard_proxy_header
    return [] if by_proxy else [name for name, account in accounts.items() if not account.hash]


def _account(line: str) -> Account:
    name, _, rest = line.partition(":")
    role, _, hashed = (part.strip() for part in rest.partition(":"))
    chosen = next((known for known in ROLES if known == role), None)
    if not name or chosen is None or (hashed and _parts(hashed) is None):
        raise SettingsError(
            f"LATESHIFT_DASHBOARD_USERS has an entry for {name!r} that is not name:role:hash, with a role of "
            f"{', '.join(ROLES)} and a hash that `lateshift dashboard --hash-password` has printed."
        )
    return Account(User(name.strip(), chosen), hashed)


def _parts(hashed: str) -> tuple[bytes, bytes] | None:
    """Salt and key of a hash; None for what is none, such as one that was cut."""
    found = re.fullmatch(r"scrypt\.([\w-]+)\.([\w-]+)", hashed, re.ASCII)
    try:
        return (_bytes(found[1]), _bytes(found[2])) if found and len(found[2]) == LENGTH else None
    except ValueError:
        return None


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=COST, r=8, p=1, dklen=32)


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
