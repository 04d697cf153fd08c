"""What the service is called by those who ask it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from verifine.wire.envelope import LOCAL_HOSTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Names, and how browsers get in."""

    hosts: Collection[str] = LOCAL_HOSTS
    """The names that the service may be asked by."""
    is_secure: bool = False
    """Whether clients ask over TLS, which it or a proxy before it does."""
    start_token: str | None = field(default=None, repr=False)
    """Signs a browser in as the local owner, in this start; None: only a key does."""

    @property
    def cookie(self) -> str:
        """The name of the cookie. With `__Host-` browsers take it over TLS only, and from this very host."""
        return "__Host-verifine_session" if self.is_secure else "verifine_session"
