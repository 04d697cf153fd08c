"""A run is resumed only with what it was made from."""

from __future__ import annotations

from dataclasses import fields, replace

from verifine.errors import CheckpointError
from verifine.runs.directory import RunDirectory
from verifine.runs.run_file import Provenance, read_run_file

_CALLED = {
    "model": ("the starting model", "model.name"),
    "start": ("the checkpoint with the starting weights", "model.start_from"),
    "template_values": ("the values for the chat template", "model.chat_template_kwargs"),
    "data": ("the data", "data"),
    "grader": ("the grader", "grader"),
}


def refuse_other_provenance(directory: RunDirectory, provenance: Provenance, *, begins: bool) -> None:
    """Compares what there is now with what the run began with.

    The starting weights matter only if it `begins` again; later it has weights of its own.

    Raises:
        CheckpointError: something has changed; the message names it.
    """
    began_with = read_run_file(directory.path).provenance
    assert began_with is not None, "only a run that has begun is resumed"
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
