"""What a key may be used for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast, get_args

from verifine.data.suggestion import did_you_mean
from verifine.errors import ConfigError

Scope = Literal["read", "run", "admin", "metrics"]
"""`read`: look at what the owner has. `run`: make, change and delete it, and let models answer. `admin`: the runs of
the command line, and the audit. `metrics`: the numbers of the whole service. None of them includes another one."""

SCOPES: tuple[Scope, ...] = get_args(Scope)


def read_scopes(words: Iterable[str]) -> frozenset[Scope]:
    """Raises ConfigError: one is none, or there is none."""
    found = [word.strip() for word in words if word.strip()]
    for word in found:
        if word not in SCOPES:
            hint = did_you_mean(word, SCOPES)
            raise ConfigError(f"the scope {word[:40]!r} is unknown{hint}; there are {', '.join(SCOPES)}")
    if not found:
        raise ConfigError(f"a key without scopes opens nothing; give some of {', '.join(SCOPES)}")
    return frozenset(cast("list[Scope]", found))


def show_scopes(scopes: Iterable[Scope]) -> list[Scope]:
    """In the order in which they are always named."""
    given = set(scopes)
    return [scope for scope in SCOPES if scope in given]
