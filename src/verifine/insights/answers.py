"""Every answer of evaluations in one file, a line each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from verifine.errors import ConfigError
from verifine.machine.disk import write_whole
from verifine.runs.evaluations import Evaluation
from verifine.runs.jsonl import rows_to_bytes


def check_free_file(path: Path | None, option: str) -> None:
    """Checks that a new file can be written at `path`; None is always fine. `option` is the option that set it.

    Raises:
        ConfigError: the path exists already, or its folder does not.
    """
    if path is None:
        return
    if path.exists():
        raise ConfigError(f"{option}: {path} exists, and Verifine never overwrites; give another name")
    if not path.parent.is_dir():
        raise ConfigError(f"{option}: there is no folder {path.parent}; create it, or give another")


def write_evaluated_answers(path: Path, evaluations: Sequence[Evaluation]) -> None:
    """Each row begins with the name of the evaluation, as `model`."""
    rows = [{"model": evaluation.name, **asdict(sample)} for evaluation in evaluations for sample in evaluation.samples]
    write_whole(path, rows_to_bytes(rows))
