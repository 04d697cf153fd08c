"""What a run was made from, in hashes: a run goes on only from what it began with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from pydantic import TypeAdapter, ValidationError

from verifine.errors import CheckpointError
from verifine.runs.directory import RunDirectory, write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Each a sha256 in hexadecimal digits."""

    model: str
    """Of the starting model's files."""
    data: str
    """Of all examples, to train on and held out."""
    grader: str | None
    """Of what scores the answers; None: a Python program brought it, and its source cannot be told."""
    start: str | None = None
    """Of the checkpoint whose weights it began with; None: it began with the model's own."""


_ORIGINS = TypeAdapter(Provenance)

_CALLED = {
    "model": ("the starting model", "model.name"),
    "start": ("the checkpoint with the starting weights", "model.start_from"),
    "data": ("the data", "data"),
    "grader": ("the grader", "grader"),
}


def write_provenance(directory: RunDirectory, provenance: Provenance) -> None:
    write_json(directory.provenance, asdict(provenance), directory.disk)


def refuse_other_provenance(directory: RunDirectory, provenance: Provenance, *, begins: bool) -> None:
    """Compares what is there now with what the run began with.

    What it starts from matters only where it `begins`: later it has weights of its own.

    Raises:
        CheckpointError: something has changed; the message names it.
    """
    try:
        began_with = _ORIGINS.validate_json(directory.provenance.read_bytes())
    except (OSError, ValidationError) as error:
        raise CheckpointError(
            f"{directory.provenance} cannot be read, so nobody knows what the run was made from; start a new run"
        ) from error
    if not begins:
        began_with = replace(began_with, start=provenance.start)
    changed = [
        each.name for each in fields(Provenance) if getattr(provenance, each.name) != getattr(began_with, each.name)
    ]
    if changed:
        names = " and ".join(_CALLED[name][0] for name in changed)
        options = " and ".join(f"`{_CALLED[name][1]}`" for name in changed)
        raise CheckpointError(
            f"{directory.path}: {names} changed since the run began, so what follows would be another run. Bring back "
            f"what {options} in {directory.config.name} meant then, or start a new run from this one's model "
            "(model.start_from)."
        )
