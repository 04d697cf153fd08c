"""Which settings of a RunConfig may come over the network, and which are for whoever runs the service."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from verifine.config.document import KeyPath
from verifine.data.suggestion import did_you_mean
from verifine.types import Json
from verifine.wire.api_error import invalid_request

REMOTE: Mapping[str, frozenset[str] | None] = MappingProxyType(
    {
        "model": frozenset({"precision", "lora", "chat_template_kwargs"}),
        "data": frozenset({"eval_size", "columns", "system_prompt"}),
        "algorithm": None,
        "reward": None,
        "sampling": None,
        "engine": None,
        "optim": None,
        "evaluation": None,
        "run": frozenset(
            {"steps", "minutes", "max_steps", "max_minutes", "save_interval", "keep_rollouts", "keep_last"}
        ),
    }
)
"""The settings of each section that may be given; None: all of them. The rest names a path, an address or a variable of
the machine, or is said elsewhere in the request."""

ELSEWHERE: Mapping[KeyPath, str] = MappingProxyType(
    {
        ("model", "name"): "model",
        ("data", "train"): "training_file",
        ("data", "eval"): "validation_file",
        ("grader",): "method.reinforcement.grader",
        ("run", "seed"): "seed",
        ("algorithm", "name"): "method.reinforcement.hyperparameters.algorithm",
        ("sampling", "prompts_per_step"): "method.reinforcement.hyperparameters.batch_size",
        ("sampling", "group_size"): "method.reinforcement.hyperparameters.group_size",
        ("optim", "learning_rate"): "method.reinforcement.hyperparameters.learning_rate_multiplier",
        ("run", "eval_interval"): "method.reinforcement.hyperparameters.eval_interval",
        ("evaluation", "samples"): "method.reinforcement.hyperparameters.eval_samples",
    }
)
"""What OpenAI's wire calls some of them."""

PREFIX = "verifine"


def wire_name(path: KeyPath) -> str:
    """What a request calls the setting at `path`."""
    for length in range(len(path), 0, -1):
        if path[:length] in ELSEWHERE:
            return ".".join([ELSEWHERE[path[:length]], *map(str, path[length:])])
    return ".".join([PREFIX, *map(str, path)])


def check_remote(settings: Mapping[str, Json]) -> None:
    """Refuses settings that may not come over the network.

    Raises:
        ApiError: with the name of the first one.
    """
    for section, values in settings.items():
        name = f"{PREFIX}.{section}"
        if section not in REMOTE:
            hint = did_you_mean(section, REMOTE)
            raise invalid_request(f'"{name}" is unknown here{hint}', param=name, code="unknown_parameter")
        allowed = REMOTE[section]
        if not isinstance(values, dict):
            raise invalid_request(f'"{name}" must be an object with settings', param=name)
        for key in values:
            place = (section, key)
            if place in ELSEWHERE:
                raise invalid_request(f'"{name}.{key}" is given as "{ELSEWHERE[place]}"', param=f"{name}.{key}")
            if allowed is not None and key not in allowed:
                message = f'"{name}.{key}" cannot be set over the network{did_you_mean(key, allowed)}'
                raise invalid_request(message, param=f"{name}.{key}", code="unknown_parameter")
