"""How long a key lasts, as people write it."""

from __future__ import annotations

import re

from verifine.errors import ConfigError

_UNITS = {"d": 24 * 3600, "h": 3600, "m": 60}
_TEXT = re.compile(r"([1-9]\d{0,4})([dhm])", re.ASCII)


def read_lifetime(text: str) -> int | None:
    """Seconds; None: until it is revoked. Raises ConfigError."""
    if text == "never":
        return None
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ConfigError(f"{text[:40]!r} is no time that a key lasts; write 90d, 12h, 30m, or never")
    return int(found[1]) * _UNITS[found[2]]
