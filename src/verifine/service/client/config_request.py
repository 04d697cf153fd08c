"""From a RunConfig to a request for a job: what a run.yaml says, in the words of OpenAI's wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verifine.config import RunConfig
from verifine.config.resolve import default_learning_rate
from verifine.errors import ConfigError
from verifine.models.provision.catalogue import find_entry
from verifine.models.provision.shipped import shipped_rate
from verifine.service.jobs.mapping import BEST_KEPT
from verifine.service.jobs.remote_settings import PREFIX, REMOTE

HYPERPARAMETERS: Mapping[tuple[str, str], str] = {
    ("algorithm", "name"): "algorithm",
    ("sampling", "prompts_per_step"): "batch_size",
    ("sampling", "group_size"): "group_size",
    ("run", "eval_interval"): "eval_interval",
    ("evaluation", "samples"): "eval_samples",
}

OWN = frozenset({("run", "directory"), ("run", "name")})
"""What a service decides itself."""

EVAL_INTERVAL = ("run", "eval_interval")

FIXED: Mapping[tuple[str, str], Any] = {("run", "keep_best"): BEST_KEPT}
"""What is the same for every job of a service; another value is refused."""

TOLD = frozenset({("model", "name"), ("data", "train"), ("data", "eval"), ("run", "seed"), ("optim", "learning_rate")})
"""What has its place in a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRequest:
    """A request for a job, without its files."""

    body: Mapping[str, Any]
    training_file: Path
    validation_file: Path | None
    left_out: tuple[str, ...]
    """Settings that the service decides itself."""


def request_job(config: RunConfig) -> ConfigRequest:
    """The request that does what the config does; a setting that it does not name is not sent.

    Raises:
        ConfigError: it cannot be sent to a service, with all settings that are in the way.
    """
    train, held_out = config.data.train, config.data.eval
    if not isinstance(train, Path):
        raise ConfigError("a service trains on files: give data.train a JSONL, CSV or Parquet file")
    if held_out is not None and not isinstance(held_out, Path):
        raise ConfigError("a service evaluates on files: give data.eval a JSONL, CSV or Parquet file")
    if config.grader is None:
        raise ConfigError("a service needs a grader: give `grader`")
    given = _given(config)
    _refuse_others(given)
    hyperparameters = _hyperparameters(config, given)
    settings: dict[str, dict[str, Any]] = {}
    for (section, key), value in given.items():
        if _is_remote(section, key):
            settings.setdefault(section, {})[key] = value
    body: dict[str, Any] = {
        "model": config.model.name,
        "method": {
            "type": "reinforcement",
            "reinforcement": {
                "grader": config.grader.model_dump(mode="json"),
                "hyperparameters": hyperparameters,
            },
        },
        "seed": config.run.seed,
    }
    return ConfigRequest(
        body=body | {PREFIX: settings} if settings else body,
        training_file=train,
        validation_file=held_out,
        left_out=tuple(".".join(place) for place in given if _is_left_out(place, hyperparameters)),
    )


def _given(config: RunConfig) -> dict[tuple[str, str], Any]:
    """The settings that the config names, but for the grader, by section and key."""
    sections = config.model_dump(mode="json", exclude_unset=True, exclude={"grader"})
    return {(section, key): value for section, values in sections.items() for key, value in values.items()}


def _hyperparameters(config: RunConfig, given: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    """Null has no place among them."""
    found = {name: given[place] for place, name in HYPERPARAMETERS.items() if given.get(place) is not None}
    # Null means before and after only, as does an interval of the whole run: none is made at the last step.
    steps = given.get(("run", "steps"))
    if EVAL_INTERVAL in given and given[EVAL_INTERVAL] is None and steps is not None:
        found[HYPERPARAMETERS[EVAL_INTERVAL]] = steps
    multiplier = _rate_multiplier(config)
    return found if multiplier is None else {**found, "learning_rate_multiplier": multiplier}


def _refuse_others(given: Mapping[tuple[str, str], Any]) -> None:
    """Raises ConfigError with all settings that no service takes."""
    refused = [_refusal(place) for place, value in given.items() if not _has_place(place, value)]
    if refused:
        raise ConfigError(f"a service does not take {', '.join(refused)}; leave that out of the config")


def _refusal(place: tuple[str, str]) -> str:
    return ".".join(place) + (f" (it is {FIXED[place]} for each of its jobs)" if place in FIXED else "")


def _has_place(place: tuple[str, str], value: Any) -> bool:
    if place in FIXED:
        return bool(value == FIXED[place])
    return place in TOLD or place in OWN or place in HYPERPARAMETERS or _is_remote(*place)


def _is_left_out(place: tuple[str, str], hyperparameters: Mapping[str, Any]) -> bool:
    return place in OWN or (place in HYPERPARAMETERS and HYPERPARAMETERS[place] not in hyperparameters)


def _is_remote(section: str, key: str) -> bool:
    if (section, key) in (*TOLD, *HYPERPARAMETERS) or section not in REMOTE:
        return False
    allowed = REMOTE[section]
    return allowed is None or key in allowed


def _rate_multiplier(config: RunConfig) -> float | None:
    """How many times the recommended rate it is; None: it is that."""
    rate = config.optim.learning_rate
    if rate == "auto":
        return None
    recommended = _recommended_rate(config.model.name, lora=config.model.lora is not None)
    if recommended is None:
        raise ConfigError(
            f"optim.learning_rate: a service takes a multiple of the recommended rate, which is not known here for "
            f"{config.model.name}; leave it out, or send a request in JSON with learning_rate_multiplier"
        )
    return rate / recommended


def _recommended_rate(model: str, *, lora: bool) -> float | None:
    """As a service has it; None: the model is one that is not known here."""
    shipped = shipped_rate(model, lora=lora)
    if shipped is not None:
        return shipped
    entry = find_entry(model)
    return None if entry is None else default_learning_rate(entry.sizes.shape(None).own_parameters, lora=lora)
