"""From a job that was asked for to one that can run: its files are read, and what was "auto" is decided."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from verifine.config import RunConfig, dump_config
from verifine.errors import VerifineError
from verifine.machine.disk import link_file, refuse_failure
from verifine.service.files import FileStore, OwnedFile, UnknownFileError
from verifine.service.jobs.file_question import FileAnswer, FileQuestion
from verifine.service.jobs.job import FAILURES, UNFORESEEN, Job, JobFailure, ResolvedJob
from verifine.service.jobs.mapping import JobPlaces, make_run_config
from verifine.service.jobs.needs import ReadRoom, estimate_needs, find_shortage, read_room
from verifine.service.jobs.plan import JobPlan, plan_job
from verifine.service.jobs.request import CreateJob
from verifine.service.jobs.store import JobStore
from verifine.service.models.store import ModelStore, UnknownModelError
from verifine.service.owner_words import OwnerWords
from verifine.types import Json
from verifine.wire.api_error import ApiError

USUAL_EVAL_SIZE = 64
"""As `data.eval_size`."""

_LOG = logging.getLogger(__name__)

FILE_CODES = {"training_file": "invalid_training_file", "validation_file": "invalid_validation_file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedJob:
    """A request in which everything is decided that its files decide."""

    config: RunConfig
    plan: JobPlan
    filenames: Mapping[str, str]
    """What the owner calls the files, by the fields of the request."""


class JobValidator:
    """Validates jobs, one at a time."""

    def __init__(
        self,
        jobs: JobStore,
        files: FileStore,
        models: ModelStore,
        folder: Path,
        ask: Callable[[FileQuestion], FileAnswer],
        read: ReadRoom = read_room,
    ) -> None:
        """`folder` gets a folder for each job; `ask` reads files, as `file_question.ask_child`.

        `read` tells what room the machine has.
        """
        self._jobs, self._files, self._models, self._folder, self._ask = jobs, files, models, folder, ask
        self._read = read
        self._failed: list[str] = []
        """The job whose latest looks failed for a reason that nobody has foreseen, once for each."""

    def validate_next(self) -> bool:
        """Validates the oldest job that waits for it; whether there was one.

        What fails for a reason that nobody has foreseen is raised, until the job is given up.
        """
        job = self._jobs.next_to_validate()
        if job is None:
            return False
        try:
            result: ResolvedJob | JobFailure = self._resolve(job)
        except ApiError as error:
            result = JobFailure(code=error.body.code or "invalid_value", message=str(error), param=error.body.param)
        except UnknownModelError as error:
            result = JobFailure(code="model_not_found", message=str(error), param="model")
        except VerifineError as error:
            result = JobFailure(code="server_error", message=f"the job could not be prepared: {error}")
        except Exception:
            self._failed = [*self._failed, job.id] if job.id in self._failed else [job.id]
            if len(self._failed) < FAILURES:
                raise
            _LOG.exception("the job %s is given up", job.id)
            result = UNFORESEEN
        self._jobs.finish_validation(job, result)
        return True

    def prepare(self, owner_id: str, request: CreateJob, folder: Path) -> PreparedJob | JobFailure:
        """The run that a request comes to: its files are read, and linked into `folder`.

        Raises:
            ApiError: settings do not go together.
            UnknownModelError: the model is not there any more.
            VerifineError: the files cannot be linked, or the process that reads them failed.
        """
        model = self._models.find_start(owner_id, request.model)
        files: dict[str, OwnedFile] = {}
        for field, file_id in (("training_file", request.training_file), ("validation_file", request.validation_file)):
            try:
                if file_id is not None:
                    files[field] = self._files.find(owner_id, file_id)
            except UnknownFileError as error:
                return JobFailure(code=FILE_CODES[field], message=str(error), param=field)
        linked = {field: self._link(file, folder, field) for field, file in files.items()}
        answer = self._ask(_question(request, linked))
        if answer.param is not None:
            words = OwnerWords(files={path: files[field].filename for field, path in linked.items()})
            message = words.say(answer.message)
            return JobFailure(code=FILE_CODES.get(answer.param, "invalid_grader"), message=message, param=answer.param)
        plan = plan_job(request.method.reinforcement.hyperparameters, answer.rows, _steps_of(request))
        places = JobPlaces(train=linked["training_file"], eval=linked.get("validation_file"), run=folder / "run")
        names = {field: file.filename for field, file in files.items()}
        return PreparedJob(config=make_run_config(request, model, plan, places), plan=plan, filenames=names)

    def _resolve(self, job: Job) -> ResolvedJob | JobFailure:
        request = CreateJob.model_validate(job.request)
        folder = self._folder / job.id
        prepared = self.prepare(job.owner_id, request, folder)
        if isinstance(prepared, JobFailure):
            return prepared
        needs = estimate_needs(prepared.config)
        shortage = None if needs is None else find_shortage(needs, self._read(folder))
        if shortage is not None and shortage.is_final:
            return JobFailure(code=shortage.code, message=shortage.message, param="model")
        decided = _decided(job.request, request, prepared.plan)
        return ResolvedJob(request=decided, config=dump_config(prepared.config))

    def _link(self, file: OwnedFile, folder: Path, field: str) -> Path:
        """The file under a name with its format, which stays when the file is deleted."""
        path = folder / f"{field}{PurePosixPath(file.filename).suffix.lower()}"
        content = self._files.path(file)
        with refuse_failure(path):
            folder.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            link_file(content, path)
        return path


def _question(request: CreateJob, linked: Mapping[str, Path]) -> FileQuestion:
    data = request.verifine.get("data")
    settings = data if isinstance(data, dict) else {}
    columns, system_prompt = settings.get("columns"), settings.get("system_prompt")
    eval_size = settings.get("eval_size", USUAL_EVAL_SIZE)
    return FileQuestion(
        train=linked["training_file"],
        eval=linked.get("validation_file"),
        eval_size=eval_size if isinstance(eval_size, int) else USUAL_EVAL_SIZE,
        seed=request.seed or 0,
        columns={name: str(value) for name, value in columns.items()} if isinstance(columns, dict) else {},
        system_prompt=system_prompt if isinstance(system_prompt, str) else None,
        grader=request.method.reinforcement.grader,
    )


def _steps_of(request: CreateJob) -> int | None:
    """None: the request does not say."""
    run = request.verifine.get("run")
    steps = run.get("steps") if isinstance(run, dict) else None
    return steps if isinstance(steps, int) and steps > 0 else None


def _decided(fields: Mapping[str, Json], request: CreateJob, plan: JobPlan) -> dict[str, Json]:
    """The request with what was decided in place of "auto"; the rest is as the client sent it."""
    method, reinforcement = fields["method"], request.method.reinforcement
    assert isinstance(method, dict), "validated before"
    assert isinstance(method["reinforcement"], dict), "validated before"
    decided = {**method["reinforcement"], "hyperparameters": plan.write_back(reinforcement.hyperparameters)}
    return {**fields, "method": {**method, "reinforcement": decided}}
