"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass

from verifine.service.access.scopes import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The owner of the key that a request has, and what that key is for."""

    owner_id: str
    scopes: frozenset[Scope]
    key_id: str
    is_session: bool = False
    """Whether it is the cookie of a browser."""

    @property
    def is_administrator(self) -> bool:
        return "admin" in self.scopes
