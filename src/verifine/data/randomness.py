"""Random numbers as a function of their purpose, so that no generator state has to be stored."""

from __future__ import annotations

import hashlib
import json
import random


def random_for(*purpose: str | int) -> random.Random:
    """A generator keyed by its purpose, e.g. `random_for("shuffle", seed, epoch)`; the same in every process.

    `hash()` cannot be used: Python salts it differently in each process.
    """
    digest = hashlib.sha256(json.dumps(purpose).encode()).digest()
    return random.Random(int.from_bytes(digest))  # noqa: S311 - for drawing prompts, not secrets
