"""Exporting a model straight to the hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from verifine.launch.export.export import ExportOptions, export
from verifine.launch.export.push import PushPlace, check_place, push_folder
from verifine.launch.export.target import ExportTarget
from verifine.machine.disk import refuse_failure
from verifine.runs.events import Listener, StageBegan


def publish(target: ExportTarget, options: ExportOptions, place: PushPlace, tell: Listener = lambda _: None) -> str:
    """Exports the model and pushes it; returns the address of the commit.

    The folder is kept only if `options` say where.

    Raises:
        VerifineError: as `export`, `check_place` and `push_folder`.
    """
    check_place(place)
    options = replace(options, repository=place.repository)
    if options.out is not None:
        return _push(export(target, options, tell), place, tell)
    with refuse_failure(target.run.exports):
        target.run.exports.mkdir(exist_ok=True)
        scratch = TemporaryDirectory(dir=target.run.exports, prefix=".hub-", suffix=".tmp")
    with scratch as folder:
        return _push(export(target, replace(options, out=Path(folder) / "model"), tell), place, tell)


def _push(folder: Path, place: PushPlace, tell: Listener) -> str:
    tell(StageBegan(text=f"pushing to {place.repository}"))
    return push_folder(folder, place)
