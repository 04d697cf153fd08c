"""Names that nobody can guess, in OpenAI's forms."""

from __future__ import annotations

import secrets
import string
from typing import Literal

Prefix = Literal["file-", "ftjob-", "ftevent-", "ftckpt_", "mark-", "audit-"]

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 24
"""142 bits."""


def new_id(prefix: Prefix) -> str:
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
