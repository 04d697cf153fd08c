"""The settings of a run that differ from the defaults, without anything of the machine that it ran on."""

from __future__ import annotations

from pathlib import Path

from verifine.config import AlgorithmConfig, ModelConfig, RunConfig
from verifine.insights.comparison.variants import settings_of
from verifine.types import Json

_SHOWN_ELSEWHERE = ("model.name", "data.task", "data.train", "data.eval", "algorithm.name", "grader")
_UNTOLD = ("grading.workers", "run.keep_last", "run.keep_best")
"""What changes how fast a run is, or how much of it is kept, and not what it learns."""


def changed_settings(config: RunConfig) -> dict[str, tuple[Json, Json]]:
    """Value and default by dotted name. What an algorithm decides by itself is its default."""
    actual, usual = settings_of(_decided(config)), settings_of(_decided(_usual(config)))
    return {
        key: (value, usual.get(key))
        for key, value in actual.items()
        if value != usual.get(key) and not key.startswith(_SHOWN_ELSEWHERE) and key not in _UNTOLD
    }


def portable_config(config: RunConfig) -> RunConfig:
    """The same config with the names of files in place of their paths, no run directory, and no share of memory.

    It says nothing about the folders of the machine that trained.
    """
    data = {
        name: place.name if isinstance(place, Path) else place
        for name, place in (("train", config.data.train), ("eval", config.data.eval))
    }
    start, folder = config.model.start_from, Path(config.model.name)
    model = {
        "name": folder.name if folder.is_absolute() else config.model.name,
        "start_from": None if start is None else _within_run(start),
    }
    return config.model_copy(
        update={
            "model": config.model.model_copy(update=model),
            "data": config.data.model_copy(update=data),
            "optim": config.optim.model_copy(update={"micro_batch_tokens": "auto"}),
            "run": config.run.model_copy(update={"directory": None}),
        }
    )


def _within_run(start: Path) -> Path:
    """`run`, or `run/checkpoints/step-N`."""
    return Path(*start.parts[-3:]) if start.parent.name == "checkpoints" else Path(start.name)


def _usual(config: RunConfig) -> RunConfig:
    """The defaults for the same data and algorithm."""
    return RunConfig(
        model=ModelConfig(name=config.model.name),
        data=type(config.data)(task=config.data.task, train=config.data.train),
        algorithm=AlgorithmConfig(name=config.algorithm.name),
    )


def _decided(config: RunConfig) -> RunConfig:
    """With what follows from other settings written out."""
    sampling = config.sampling.decided()
    return config.model_copy(
        update={
            "algorithm": config.algorithm.decided(),
            "reward": config.reward.decided(config.algorithm.recipe, pools=sampling.draws_pools),
            "sampling": sampling,
        }
    )
