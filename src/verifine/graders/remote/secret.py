"""Keys and secrets: where they are found, and how they are kept out of what people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verifine.errors import GraderError

MASK = "[secret]"


def read_secret(environment: Mapping[str, str], variable: str) -> str:
    """The variable's value, without the blanks and line ends that files leave around it.

    Raises:
        GraderError: it is not set, or cannot be sent in a header; the value is not told.
    """
    value = environment.get(variable, "").strip()
    if not value:
        raise GraderError(f"the environment variable {variable} is not set; set it, or name another one")
    if not (value.isascii() and value.isprintable()):
        raise GraderError(f"the environment variable {variable} holds more than plain ASCII on one line; set it anew")
    return value


def mask(text: str, secrets: Sequence[str]) -> str:
    """The text without the secrets: a server may repeat what it was sent."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text
