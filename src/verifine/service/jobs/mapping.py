"""From a job on OpenAI's wire to a RunConfig: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from verifine.config import RunConfig
from verifine.config.graders import AnyGrader, MultiGraderConfig, WeightedGraderConfig
from verifine.config.problems import find_problems
from verifine.config.resolve import default_learning_rate
from verifine.config.shorthand import expand_sections
from verifine.models.provision.shipped import shipped_rate
from verifine.service.jobs.model_section import model_section, refuse_other_adapters
from verifine.service.jobs.plan import JobPlan, plan_job
from verifine.service.jobs.remote_settings import check_remote, wire_name
from verifine.service.jobs.request import (
    CreateJob,
    JsonObjectResponse,
    JsonSchemaResponse,
    ResponseForm,
    TextResponse,
)
from verifine.service.models.bases import TrainableModel
from verifine.types import Json
from verifine.wire.api_error import ApiError, invalid_request

_GRADER = "method.reinforcement.grader"
_FORMAT = "method.reinforcement.response_format"

NEEDS_JUDGE = ("score_model", "label_model")

BEST_KEPT = 3
"""OpenAI keeps the three checkpoints that are best on held-out data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlaces:
    """Where a job's data is and its run goes."""

    train: Path
    eval: Path | None
    """None: rows of `train` are held out."""
    run: Path


_UNREAD = JobPlaces(train=Path("train.jsonl"), eval=None, run=Path("run"))
_MANY_ROWS = 1_000_000


def check_job(request: CreateJob, model: TrainableModel) -> None:
    """Refuses what can be refused before the files are read.

    Raises:
        ApiError: with the first field that is wrong.
    """
    check_remote(request.verifine)
    if (
        "steps" in _object(request.verifine.get("run", {}))
        and request.method.reinforcement.hyperparameters.n_epochs != "auto"
    ):
        message = 'give either "n_epochs" or "verifine.run.steps": both say how long the run is'
        raise invalid_request(message, param="verifine.run.steps")
    plan = plan_job(request.method.reinforcement.hyperparameters, _MANY_ROWS)
    config = make_run_config(request, model, plan, _UNREAD)
    refuse_distant_graders(request.method.reinforcement.grader, _GRADER)
    if config.evaluation.grader is not None:
        refuse_distant_graders(config.evaluation.grader, "verifine.evaluation.grader")


def refuse_distant_graders(whole: AnyGrader, at: str) -> None:
    """Refuses graders that ask other machines; `at` is the place of the grader in a request.

    Raises:
        ApiError: with the place of the first one.
    """
    for name, grader in _parts(whole).items():
        place = f"{at}.graders.{name}" if name else at
        if grader in NEEDS_JUDGE:
            raise _unusable(place, f"{grader} asks a judge, and this service has none")
        if grader == "endpoint":
            raise _unusable(place, "endpoint asks an address that a request names, which this service does not do")
        if grader == "cosine":
            raise _unusable(place, "cosine compares embeddings, and this service has no embedder")


def make_run_config(request: CreateJob, model: TrainableModel, plan: JobPlan, places: JobPlaces) -> RunConfig:
    """The run that does what the request asks for.

    Raises:
        ApiError: settings do not go together.
    """
    reinforcement = request.method.reinforcement
    given = {section: _object(values) for section, values in request.verifine.items()}
    learning_rate = _learning_rate(plan, model, given)
    grader, has_form = _with_form(reinforcement.grader, reinforcement.response_format)
    values: dict[str, dict[str, object]] = {
        "model": model_section(model, reinforcement.hyperparameters.reasoning_effort, given.get("model", {})),
        "data": {"train": places.train, "eval": places.eval},
        "algorithm": _given(name=reinforcement.hyperparameters.algorithm),
        "sampling": {"prompts_per_step": plan.batch_size, "group_size": plan.group_size},
        "optim": {"learning_rate": learning_rate},
        "evaluation": {"samples": plan.eval_samples},
        "reward": {"format_gate": True} if has_form else {},
        "run": {
            "directory": places.run,
            "seed": 0 if request.seed is None else request.seed,
            "steps": plan.steps,
            "eval_interval": plan.eval_interval,
            "keep_best": BEST_KEPT,
        },
    }
    for section, own in given.items():
        if section != "model":
            values[section] = {**values.get(section, {}), **own}
    try:
        config = RunConfig.model_validate(expand_sections({**values, "grader": grader}))
    except ValidationError as error:
        problem = find_problems(error)[0]
        raise invalid_request(problem.text, param=wire_name(problem.path)) from error
    refuse_other_adapters(config, model)
    return config


def _learning_rate(plan: JobPlan, model: TrainableModel, given: Mapping[str, Mapping[str, Json]]) -> float | str:
    """The rate that "auto" stands for times the multiplier; "auto" itself where that is 1."""
    if plan.learning_rate_multiplier == 1:
        return "auto"
    inherited = None if model.checkpoint is None else model.checkpoint.trained.lora
    has_lora = given.get("model", {}).get("lora", inherited) is not None
    own = shipped_rate(model.source, lora=has_lora)
    rate = default_learning_rate(model.parameters, lora=has_lora) if own is None else own
    return rate * plan.learning_rate_multiplier


def _with_form(grader: AnyGrader, form: ResponseForm | None) -> tuple[object, bool]:
    """A grader that also judges the form of answers, and whether there is one: an answer without it earns nothing."""
    schema = _schema(form)
    if schema is None:
        return grader.model_dump(mode="json"), False
    judge = {"type": "json_schema", "json_schema": schema}
    if isinstance(grader, MultiGraderConfig | WeightedGraderConfig):
        name = _free_name(grader.graders)
        fields = grader.model_dump(mode="json")
        fields["graders"][name] = judge
        if isinstance(grader, WeightedGraderConfig):
            fields["weights"][name] = 0
        return fields, True
    parts = {"answer": grader.model_dump(mode="json"), "response_format": judge}
    return {"type": "weighted", "graders": parts, "weights": {"answer": 1, "response_format": 0}}, True


def _schema(form: ResponseForm | None) -> dict[str, Json] | None:
    match form:
        case None | TextResponse():
            return None
        case JsonObjectResponse():
            return {"type": "object"}
        case JsonSchemaResponse(json_schema=wrapped, schema_=flat):
            found = flat if wrapped is None else wrapped.schema_
            if found is None:
                place = f"{_FORMAT}.json_schema"
                raise invalid_request(f'"{place}" is missing', param=place, code="missing_required_parameter")
            return dict(found)


def _free_name(names: Mapping[str, object]) -> str:
    name = "response_format"
    while name in names:
        name += "_"
    return name


def _parts(grader: AnyGrader) -> dict[str, str]:
    """The types of the graders in it, by name; empty for itself. A measure that asks a server counts as a type."""
    parts = grader.graders if isinstance(grader, MultiGraderConfig | WeightedGraderConfig) else {"": grader}
    return {
        name: "cosine" if part.type == "text_similarity" and part.evaluation_metric == "cosine" else part.type
        for name, part in parts.items()
    }


def _unusable(place: str, message: str) -> ApiError:
    return invalid_request(f'"{place}": {message}', param=place, code="invalid_grader")


def _given(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _object(values: Json) -> dict[str, Json]:
    assert isinstance(values, dict), "checked by check_remote"
    return values
