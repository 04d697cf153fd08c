"""Reading the keys and secrets of remote graders."""

from __future__ import annotations

from collections.abc import Mapping

from verifine.errors import GraderError


def read_secret(environment: Mapping[str, str], variable: str) -> str:
    """The variable's value, without the blanks and line ends that files leave around it.

    Raises:
        GraderError: it is not set, or cannot be sent in a header; the message does not show the value.
    """
    value = environment.get(variable, "").strip()
    if not value:
        raise GraderError(f"the environment variable {variable} is not set; set it, or name another one")
    if not (value.isascii() and value.isprintable()):
        raise GraderError(f"the environment variable {variable} is not plain ASCII on one line; set it again")
    return value
