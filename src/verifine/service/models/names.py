"""The names of tuned models and checkpoints, in OpenAI's form."""

from __future__ import annotations

import re

TUNED = "ft:"

_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]")
_UNIQUE = 8


def name_tuned(base: str, owner_id: str, suffix: str | None, job_id: str) -> str:
    """`ft:BASE:OWNER:SUFFIX:UNIQUE`, always the same for a job.

    `base` is the name of the model that it was trained from; of a tuned one, its own base counts. No name holds a `/`,
    which clients escape in paths.
    """
    return f"{TUNED}{root_of(base)}:{owner_id}:{_UNUSUAL.sub('-', suffix or '')}:{job_id[-_UNIQUE:]}"


def root_of(name: str) -> str:
    """The name of the model that all training of this one began with."""
    return name.split(":")[1] if name.startswith(TUNED) else name


def name_checkpoint(tuned: str, step: int) -> str:
    """`tuned` is the name of the job's model, also if there is none yet."""
    return f"{tuned}:ckpt-step-{step}"
