"""Who may do what: secrets of 256 bits, of which only the hash is kept, and roles."""

import hashlib
import math
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import insert, select, update

from serving import tables
from serving.database import AWAY, Database
from serving.history import append
from utils.files import write_whole

ROLES = {
    "viewer": frozenset({"viewer"}),
    "worker": frozenset({"worker"}),
    "operator": frozenset({"viewer", "operator"}),
    "admin": frozenset({"viewer", "worker", "operator", "admin"}),
}
DAY = 86_400.0
LONGEST_NAME = 64  # characters
MEMORY = 2.0  # seconds that a token which was revoked elsewhere may still be good for here
FIRST = ("operator", "worker", "admin")  # are made with the store


@dataclass(frozen=True)
class Identity:
    """Who a request comes from."""

    token_id: int
    name: str
    role: str

    def may(self, needed: str) -> bool:
        """Whether this role includes the needed one."""
        return needed in ROLES[self.role]

    @property
    def actor(self) -> str:
        """As the history names it."""
        return f"{self.name} ({self.role})"


class Known(NamedTuple):
    """A token as the database had it. until: when it is asked again."""

    until: float
    expires: float
    identity: Identity


class Tokens:
    """The tokens of a store."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._remembered: dict[str, Known] = {}  # by digest; only good tokens

    def create(self, name: str, role: str, days: float | None = None, actor: str = "this machine") -> str:
        """A new secret; it is shown once and kept nowhere."""
        if role not in ROLES:
            raise ValueError(f"role={role}: use one of {', '.join(ROLES)}")
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise ValueError(f"{name[:LONGEST_NAME]!r}: a token's name has 1 to {LONGEST_NAME} characters on one line")
        if days is not None and days <= 0:
            raise ValueError(f"days={days}: a token must be good for some time; leave it out for one that never ends")
        secret, now = secrets.token_urlsafe(32), time.time()
        row = {"name": name, "role": role, "digest": digest(secret), "created": now, "revoked": False}
        with self.database.alone() as connection:
            connection.execute(insert(tables.token).values(**row, expires=None if days is None else now + days * DAY))
            append(connection, actor, "token", f"a token of role {role} for {name}")
        return secret

    def find(self, secret: str) -> Identity | None:
        """Whose secret it is; None where it is nobody's, expired or revoked. Compared by hash: timing tells nothing.

        While the database does not answer, what it said last holds; of a token that was not asked for yet it raises.
        """
        own, now = digest(secret), time.time()
        try:
            with self.database.read() as connection:
                row = connection.execute(select(tables.token).where(tables.token.c.digest == own)).first()
        except AWAY:
            known = self._remembered.get(own)
            if known is None or known.expires < now:
                raise
            return known.identity
        if row is None or row.revoked or (row.expires is not None and row.expires < now):
            self._remembered.pop(own, None)
            return None
        identity = Identity(row.id, row.name, row.role)
        expires = row.expires or math.inf
        self._remembered[own] = Known(min(now + MEMORY, expires), expires, identity)
        return identity

    def remembered(self, secret: str) -> Identity | None:
        """What `find` answered a moment ago, without asking the database; None: ask."""
        known = self._remembered.get(digest(secret))
        return known.identity if known is not None and time.time() < known.until else None

    def revoke(self, number: int, actor: str) -> None:
        """The token is good for nothing from now on."""
        with self.database.alone() as connection:
            changed = connection.execute(
                update(tables.token).where(tables.token.c.id == number, ~tables.token.c.revoked).values(revoked=True)
            )
            if changed.rowcount != 1:
                raise LookupError(f"there is no token {number} that could be revoked")
            append(connection, actor, "revoke", f"token {number}")
        self._remembered.clear()

    def every(self) -> list[dict[str, Any]]:
        """All of them, without what could be used."""
        shown = [column for column in tables.token.c if column.name != "digest"]
        with self.database.read() as connection:
            return [dict(row._mapping) for row in connection.execute(select(*shown).order_by(tables.token.c.id))]

    def first(self, folder: Path) -> bool:
        """One token a role that has none here, each in a file that only its owner reads; whether any was made."""
        missing = [role for role in FIRST if not self._knows(folder / role)]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for role in missing:
            keep_secret(folder / role, self.create(f"first {role}", role))
        return bool(missing)

    def _knows(self, file: Path) -> bool:
        """Whether a file holds a token of this store, be it revoked; one of another database opens nothing here."""
        if not file.is_file():
            return False
        own = tables.token.c.digest == digest(file.read_text().strip())
        with self.database.read() as connection:
            return connection.execute(select(tables.token.c.id).where(own)).first() is not None


def keep_secret(file: Path, secret: str) -> None:
    """Into a file that only its owner reads, in a folder that only its owner enters."""
    file.parent.chmod(0o700)
    write_whole(file, secret + "\n")
    file.chmod(0o600)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def without_tokens() -> dict[str, str]:
    """The environment for a process that must not speak in this one's name."""
    return {key: value for key, value in os.environ.items() if not key.startswith("EVERGREEN_TOKEN")}
