"""Keys as text, and for programs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from verifine.service.access.key import OwnedKey
from verifine.service.access.scopes import show_scopes
from verifine.types import Json

_HEAD = ("id", "owner", "kind", "scopes", "made", "expires", "last used", "state")


def as_numbers(key: OwnedKey) -> dict[str, Json]:
    """Times are seconds since 1970."""
    return {
        "id": key.id,
        "owner": key.owner_id,
        "kind": _kind(key),
        "scopes": list(show_scopes(key.scopes)),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }


def describe_keys(keys: Sequence[OwnedKey]) -> str:
    """A table; a sentence if there are none."""
    if not keys:
        return "there are no keys; `verifine keys create` makes one"
    rows = [_HEAD, *(_row(key) for key in keys)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEAD))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(key: OwnedKey) -> tuple[str, ...]:
    state = "revoked" if key.revoked_at is not None else "usable" if key.is_usable(time.time()) else "expired"
    return (
        key.id,
        key.owner_id,
        _kind(key),
        ",".join(show_scopes(key.scopes)),
        _show_time(key.created_at),
        _show_time(key.expires_at),
        _show_time(key.last_used_at),
        state,
    )


def _kind(key: OwnedKey) -> str:
    return "session" if key.is_session else "key"


def _show_time(at: int | None) -> str:
    return "never" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"
