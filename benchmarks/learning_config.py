"""The config that benchmarks/learning.py trains with, and the machine. Nothing here imports torch."""

from __future__ import annotations

from learning_curve import Setup

from verifine.config import RunConfig, build_config, dump_config
from verifine.launch.quickstart import quickstart_settings
from verifine.runs.environment import describe_environment


def quickstart_config(setup: Setup, seed: int, model: str | None = None) -> RunConfig:
    """The config of `verifine quickstart`, with more held-out problems. `model` None: by the name in `setup`."""
    settings = quickstart_settings(setup.task, model or setup.model, setup.minutes)
    settings["data"]["eval_size"] = setup.problems
    settings["run"]["seed"] = seed
    return build_config(settings)


def settings_of(setup: Setup, seed: int) -> str:
    """The config as YAML."""
    return dump_config(quickstart_config(setup, seed))


def this_machine() -> str:
    environment = describe_environment()
    memory = environment.memory_bytes / (1 << 30)
    return f"{environment.cores} cores ({environment.cpu}), {memory:.0f} GiB, torch {environment.torch}"
