"""The keys of all owners."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select, update

from verifine.errors import ConfigError
from verifine.service.access.audit import add_entry
from verifine.service.access.caller import Caller
from verifine.service.access.key import KeyText, OwnedKey
from verifine.service.access.scopes import Scope, show_scopes
from verifine.service.database import Database
from verifine.service.database.owners import ensure_owner
from verifine.service.database.paging import rows_of
from verifine.service.database.tables import KEYS

USE_S = 60
"""How precisely it is known when a key was last used: not every request is to be written down."""

SESSION_S = 7 * 24 * 3600
"""How long a browser stays signed in."""

_NO_SHA256 = "0" * 64


class UnknownKeyError(ConfigError):
    """A key that there is not."""


class KeyStore:
    """Keys for programs, and those in the cookies of browsers, which are called sessions."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database, self._now = database, now

    def create(self, owner_id: str, scopes: Collection[Scope], lasts_s: int | None = None) -> tuple[OwnedKey, KeyText]:
        """A new key of an owner, who is added if there is no such. `lasts_s` None: until it is revoked."""
        ensure_owner(self._database, owner_id)
        return self._insert(KeyText.new(), owner_id, scopes, lasts_s=lasts_s)

    def adopt(self, owner_id: str, key: KeyText, scopes: Collection[Scope]) -> bool:
        """Whether a key that was made elsewhere has been taken in: there is none with its id."""
        ensure_owner(self._database, owner_id)
        with self._database.read() as connection:
            if connection.execute(rows_of(KEYS, id=key.id)).first() is not None:
                return False
        self._insert(key, owner_id, scopes)
        return True

    def begin_session(self, owner_id: str, scopes: Collection[Scope], parent: OwnedKey | None = None) -> KeyText:
        """What a cookie is to hold. It ends with the key that it was begun with."""
        until = self._now() + SESSION_S
        if parent is not None and parent.expires_at is not None:
            until = min(until, parent.expires_at)
        lasts_s = int(until - self._now())
        return self._insert(KeyText.new(), owner_id, scopes, lasts_s=lasts_s, parent=parent, is_session=True)[1]

    def find(self, text: str, *, is_session: bool = False) -> OwnedKey | None:
        """The key that a request has; None: it is unknown, of the other kind, expired or revoked."""
        key = KeyText.parse(text)
        if key is None:
            return None
        with self._database.read() as connection:
            row = connection.execute(rows_of(KEYS, id=key.id)).mappings().first()
        # Also where there is no such key, so that the time says nothing about ids.
        is_right = hmac.compare_digest(key.sha256, _NO_SHA256 if row is None else row["sha256"])
        if row is None or not is_right:
            return None
        found, at = OwnedKey.of(row), int(self._now())
        if found.is_session != is_session or not found.is_usable(at):
            return None
        if found.last_used_at is None or at - found.last_used_at >= USE_S:
            with self._database.write() as connection:
                connection.execute(update(KEYS).where(KEYS.c.id == found.id).values(last_used_at=at))
        return found

    def identify(self, text: str, *, is_session: bool = False) -> Caller | None:
        """As `find`."""
        found = self.find(text, is_session=is_session)
        return None if found is None else found.caller()

    def is_usable(self, key_id: str) -> bool:
        """Whether a key that was found before still is one."""
        usable = select(KEYS.c.id).where(KEYS.c.id == key_id, self._usable())
        with self._database.read() as connection:
            return connection.execute(usable).first() is not None

    def list(self, owner_id: str | None = None) -> list[OwnedKey]:
        """All that there ever were, but for sessions that have ended, oldest first. `owner_id` None: of all owners."""
        wanted = select(KEYS).where(or_(KEYS.c.is_session.is_(False), self._usable()))
        if owner_id is not None:
            wanted = wanted.where(KEYS.c.owner_id == owner_id)
        with self._database.read() as connection:
            rows = connection.execute(wanted.order_by(KEYS.c.created_at, KEYS.c.id)).mappings().all()
        return [OwnedKey.of(row) for row in rows]

    def has_usable(self) -> bool:
        """Whether any program could ask now."""
        usable = select(KEYS.c.id).where(KEYS.c.is_session.is_(False), self._usable()).limit(1)
        with self._database.read() as connection:
            return connection.execute(usable).first() is not None

    def revoke(self, key_id: str, by: Caller | None = None) -> None:
        """Ends a key and the sessions that were begun with it; one that has been revoked stays so.

        `by` None: whoever runs the service does.

        Raises:
            UnknownKeyError: there is none of this id.
        """
        same = or_(KEYS.c.id == key_id, KEYS.c.parent_id == key_id)
        with self._database.write() as connection:
            if connection.execute(rows_of(KEYS, id=key_id)).first() is None:
                raise UnknownKeyError(f"there is no key with the id {key_id[:80]!r}; `verifine keys list` has them")
            at = int(self._now())
            ended = update(KEYS).where(same, KEYS.c.revoked_at.is_(None)).values(revoked_at=at)
            if connection.execute(ended).rowcount:
                add_entry(connection, "key.revoke", at, by, key_id)

    def remove_ended_sessions(self) -> None:
        with self._database.write() as connection:
            connection.execute(delete(KEYS).where(KEYS.c.is_session.is_(True), ~self._usable()))

    def _usable(self) -> ColumnElement[bool]:
        in_time = or_(KEYS.c.expires_at.is_(None), KEYS.c.expires_at > int(self._now()))
        return and_(KEYS.c.revoked_at.is_(None), in_time)

    def _insert(
        self,
        key: KeyText,
        owner_id: str,
        scopes: Collection[Scope],
        *,
        lasts_s: int | None = None,
        parent: OwnedKey | None = None,
        is_session: bool = False,
    ) -> tuple[OwnedKey, KeyText]:
        at = int(self._now())
        row = {
            "id": key.id,
            "owner_id": owner_id,
            "sha256": key.sha256,
            "scopes": show_scopes(scopes),
            "created_at": at,
            "expires_at": None if lasts_s is None else at + lasts_s,
            "parent_id": None if parent is None else parent.id,
            "is_session": is_session,
        }
        with self._database.write() as connection:
            stored = OwnedKey.of(connection.execute(insert(KEYS).values(row).returning(KEYS)).mappings().one())
            actor = None if parent is None else parent.caller()
            add_entry(connection, "session.begin" if is_session else "key.create", at, actor, key.id)
        return stored, key
