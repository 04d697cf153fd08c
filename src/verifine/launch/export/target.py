"""What is exported: the model that a run has saved, or one of its checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from verifine.checkpoints.manifest import MANIFEST
from verifine.checkpoints.store import CheckpointStore
from verifine.errors import ConfigError
from verifine.insights.saved_work import command_for
from verifine.machine.disk import LOCAL_DISK
from verifine.runs.directory import RunDirectory
from verifine.runs.events import ModelSaved, TrainingResumed, read_events


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportTarget:
    """Weights of a run."""

    run: RunDirectory
    step: int | None
    """That of the checkpoint; None: the model that the run has saved."""

    @property
    def checkpoint(self) -> Path | None:
        """The folder of the checkpoint."""
        return None if self.step is None else CheckpointStore(self.run.checkpoints, LOCAL_DISK).path(self.step)


def find_export_target(path: Path) -> ExportTarget:
    """The weights at `path`: a run directory, its `model/`, or one of its checkpoints.

    Raises:
        ConfigError: it is none of these, or the run has not saved a model.
    """
    path = path.expanduser()
    if (path / MANIFEST).is_file():
        return _checkpoint(path.resolve())
    run = RunDirectory.open(_run_folder(path) or path)
    if not run.model.is_dir():
        raise ConfigError(f"{run.path}: this run has no model/ yet, which it saves at its end; {_instead(run)}")
    if _has_gone_on(run):
        raise ConfigError(
            f"{run.path}: this run went on after it saved model/, so its records are not of that model any more; "
            f"{_instead(run)}"
        )
    return ExportTarget(run=run, step=None)


def is_export_target(path: Path) -> bool:
    """Whether something of a run lies at `path`, whether or not it can be used."""
    return (path / MANIFEST).is_file() or _run_folder(path) is not None


def _run_folder(path: Path) -> Path | None:
    """`path` if it is a run, or the run whose model/ it is."""
    if RunDirectory(path=path).config.is_file():
        return path
    folder = path.resolve()
    run = RunDirectory(path=folder.parent)
    return run.path if folder == run.model and run.config.is_file() else None


def _checkpoint(path: Path) -> ExportTarget:
    run = RunDirectory(path=path.parent.parent)
    store = CheckpointStore(run.checkpoints, LOCAL_DISK)
    step = next((step for step in store.steps() if store.path(step) == path), None)
    if step is None or not run.config.is_file():
        raise ConfigError(
            f"{path} is a checkpoint outside its run, so nothing says which model it belongs to; give it where the run "
            "wrote it, RUN/checkpoints/step-N"
        )
    return ExportTarget(run=run, step=step)


def _has_gone_on(run: RunDirectory) -> bool:
    """Whether training continued after the model was saved."""
    for record in reversed(read_events(run.events)):
        match record.event:
            case ModelSaved():
                return False
            case TrainingResumed():
                return True
    return False


def _instead(run: RunDirectory) -> str:
    store = CheckpointStore(run.checkpoints, LOCAL_DISK)
    finish = f"let it finish ({command_for('resume', run)})"
    steps = store.steps()
    return f"{finish}, or take a checkpoint, such as {store.path(steps[-1])}" if steps else finish
