"""What a request for a job comes to before there is a job: resolved, and its rows as the model reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue

from verifine.config import RunConfig
from verifine.config.run import DataConfig
from verifine.errors import ConfigError
from verifine.launch.inspection.question import Look, Trial
from verifine.machine.disk import LOCAL_DISK
from verifine.service.inspection.inspector import InspectionError, Inspector
from verifine.service.inspection.resolved import ResolvedRun, resolve_run
from verifine.service.jobs.job import JobFailure
from verifine.service.jobs.mapping import check_job
from verifine.service.jobs.request import CreateJob
from verifine.service.jobs.validation import JobValidator, PreparedJob
from verifine.service.models.store import ModelStore
from verifine.service.owner_words import OwnerWords
from verifine.wire.api_error import invalid_request


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPreview:
    """A request as it would be trained."""

    shown: RunConfig
    """The config in the owner's words: files by their names, and no place of this machine."""
    prepared: PreparedJob
    look: Look
    resolved: ResolvedRun


class RunPreviews:
    """Looks at requests. It is called by one thread at a time."""

    def __init__(self, validator: JobValidator, models: ModelStore, inspector: Inspector, folder: Path) -> None:
        """`folder` has the files that are being read."""
        self._validator, self._models, self._inspector, self._folder = validator, models, inspector, folder

    def preview(self, owner_id: str, request: CreateJob, first: int, count: int) -> RunPreview:
        """Raises ApiError, ChildError, DiskError, UnknownModelError, UnknownFileError."""
        with self._prepare(owner_id, request) as prepared:
            words = _words_of(prepared, request)
            look = _told_to_owner(self._inspector.look(prepared.config, first=first, count=count), words)
            resolved = resolve_run(prepared.config, look)
        shown = _in_words_of_owner(prepared, request)
        return RunPreview(shown=shown, prepared=prepared, look=look, resolved=resolved)

    def try_out(self, owner_id: str, request: CreateJob, rows: tuple[int, ...], samples: int) -> Trial:
        """As `preview`."""
        with self._prepare(owner_id, request) as prepared:
            return self._inspector.try_out(prepared.config, rows, samples=samples)

    def check(self, owner_id: str, request: CreateJob, rows: int) -> dict[str, JsonValue]:
        """What `verifine check` says, in the owner's words. Raises as `preview`."""
        with self._prepare(owner_id, request) as prepared:
            found, words = self._inspector.check(prepared.config, rows=rows), _words_of(prepared, request)
            return {name: words.say_all(value) for name, value in found.items()}

    @contextmanager
    def _prepare(self, owner_id: str, request: CreateJob) -> Iterator[PreparedJob]:
        check_job(request, self._models.find_start(owner_id, request.model))
        # The same files have the same place, by which the inspector knows what it has found before.
        whole = "\n".join([owner_id, request.training_file, request.validation_file or ""])
        folder = self._folder / hashlib.sha256(whole.encode()).hexdigest()[:32]
        words = OwnerWords()
        try:
            prepared = self._validator.prepare(owner_id, request, folder)
            if isinstance(prepared, JobFailure):
                raise invalid_request(prepared.message, param=prepared.param, code=prepared.code)
            words = _words_of(prepared, request)
            yield prepared
        except (InspectionError, ConfigError) as error:
            raise invalid_request(words.say(str(error)), code="cannot_be_trained") from error
        finally:
            LOCAL_DISK.remove(folder)


def _told_to_owner(look: Look, words: OwnerWords) -> Look:
    rows = tuple(
        replace(row, label=words.say(row.label), problem=None if row.problem is None else words.say(row.problem))
        for row in look.rows
    )
    return replace(look, rows=rows, problems=tuple(map(words.say, look.problems)))


def _words_of(prepared: PreparedJob, request: CreateJob) -> OwnerWords:
    data, model = prepared.config.data, prepared.config.model
    places = {"training_file": data.train, "validation_file": data.eval}
    files = {Path(path): prepared.filenames[field] for field, path in places.items() if isinstance(path, Path)}
    paths = {str(path): request.model for path in (model.start_from, model.name) if path is not None}
    run = prepared.config.run.directory
    return OwnerWords(files=files, paths=paths if run is None else {**paths, str(run): "the run"})


def _in_words_of_owner(prepared: PreparedJob, request: CreateJob) -> RunConfig:
    config, names = prepared.config, prepared.filenames
    held_out = names.get("validation_file")
    data = DataConfig.model_validate(
        {**dict(config.data), "train": Path(names["training_file"]), "eval": held_out and Path(held_out)}
    )
    run = config.run.model_copy(update={"directory": None})
    model = config.model.model_copy(update={"name": request.model, "start_from": None})
    return config.model_copy(update={"data": data, "run": run, "model": model})
