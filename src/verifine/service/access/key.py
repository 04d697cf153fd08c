"""Keys: `vf_ID_SECRET`. Only the hash of the secret is kept, so nobody can show a key again."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from dataclasses import dataclass

from sqlalchemy import RowMapping

from verifine.errors import ConfigError
from verifine.service.access.caller import Caller
from verifine.service.access.scopes import Scope, read_scopes

_KEY = re.compile(r"vf_([A-Za-z0-9-]{1,64})_([A-Za-z0-9_-]{1,200})", re.ASCII)
_OWNER = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_ALPHABET = string.ascii_letters + string.digits
_ID_LENGTH = 12
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key as its owner has it. It never shows its secret by itself."""

    id: str
    _secret: str

    @classmethod
    def new(cls) -> KeyText:
        key_id = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))
        return cls(key_id, secrets.token_urlsafe(_SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> KeyText | None:
        """None: it is no key."""
        found = _KEY.fullmatch(text)
        return None if found is None else cls(found[1], found[2])

    @property
    def sha256(self) -> str:
        """Of the secret, which is as long as a hash, so that nobody finds it by trying."""
        return hashlib.sha256(self._secret.encode("ascii")).hexdigest()

    def reveal(self) -> str:
        """The whole key."""
        return f"vf_{self.id}_{self._secret}"

    def __repr__(self) -> str:
        return f"KeyText({self.id})"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedKey:
    """What is known of a key."""

    id: str
    owner_id: str
    scopes: frozenset[Scope]
    created_at: int
    expires_at: int | None
    """None: it lasts until it is revoked."""
    last_used_at: int | None
    """To the minute; None: never."""
    revoked_at: int | None
    parent_id: str | None
    """Of a session: the key that it was begun with; None: there is none."""
    is_session: bool
    """Whether it is for the cookie of a browser alone; otherwise it is for programs alone."""

    @classmethod
    def of(cls, row: RowMapping) -> OwnedKey:
        fields = {name: value for name, value in row.items() if name != "sha256"}
        return cls(**{**fields, "scopes": read_scopes(row["scopes"])})

    def is_usable(self, at: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)

    def caller(self) -> Caller:
        return Caller(owner_id=self.owner_id, scopes=self.scopes, key_id=self.id, is_session=self.is_session)


def check_owner_name(name: str) -> str:
    """An owner's name is a part of paths and of models' names. Raises ConfigError."""
    if not _OWNER.fullmatch(name):
        raise ConfigError(
            f"the owner {name[:40]!r} cannot be called so; take 1 to 32 of a-z, 0-9 and -, beginning with a letter"
        )
    return name
