"""The runs of a sweep: each with its name and its config, all of them built before anything is trained."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic.dataclasses import dataclass

from verifine.config import RunConfig, load_config
from verifine.config.resolve import absolute_places
from verifine.errors import ConfigError
from verifine.insights.outcome import pluralize
from verifine.launch.sweep.grid import Grid
from verifine.runs.directory import LONGEST_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A run of a sweep."""

    name: str
    """That of its folder."""
    variant: str
    """What it has in common with the runs that differ from it only in their seed."""
    settings: tuple[str, ...]
    """What makes it differ from the other runs, as on the command line."""
    config: RunConfig
    """Without a directory, and with absolute paths."""


def plan_runs(grid: Grid, folder: Path) -> tuple[PlannedRun, ...]:
    """Every run of the grid; relative paths begin in `folder`.

    Raises:
        ConfigError: a config is wrong, or two are the same; the message names the runs and the keys.
    """
    runs: list[PlannedRun] = []
    problems: dict[str, list[str]] = {}
    for variant, seed in grid.combinations():
        settings = tuple(override for choice in (*variant, *seed) for override in choice.overrides)
        name = _folder_name([choice.label for choice in (*variant, *seed)], [run.name for run in runs])
        try:
            config = load_config(grid.base.file, grid.base.overrides_with(settings))
        except ConfigError as error:
            problems.setdefault(str(error), []).append(name)
            continue
        called = " ".join(choice.label for choice in variant) or config.algorithm.name
        runs.append(PlannedRun(name=name, variant=called, settings=settings, config=_from_anywhere(config, folder)))
    if problems:
        total = len(runs) + sum(map(len, problems.values()))
        # What is wrong with all runs is a fault of the base.
        lines = (text if len(names) == total else _describe_problem(text, names) for text, names in problems.items())
        raise ConfigError("\n".join(lines))
    _refuse_twins(runs)
    return tuple(runs)


def extend_runs(old: Sequence[PlannedRun], new: Sequence[PlannedRun]) -> tuple[PlannedRun, ...]:
    """The runs of a grid that contains an old one: those that were there keep their names, and so their folders.

    Raises:
        ConfigError: it does not contain the old one.
    """
    names = {_identity(run): run.name for run in old}
    lost = names.keys() - {_identity(run) for run in new}
    if lost:
        raise ConfigError(
            f"this grid lacks {pluralize(len(lost), 'run')} of the sweep that is there "
            f"({_listed([run.name for run in old if _identity(run) in lost])}); give a grid that contains these runs "
            "with the same settings, or another folder with --out"
        )
    taken, runs = list(names.values()), []
    for run in new:
        name = names.get(_identity(run)) or _folder_name([run.name], taken)
        taken.append(name)
        runs.append(replace(run, name=name))
    return tuple(runs)


def by_variant(runs: Iterable[PlannedRun]) -> Mapping[str, tuple[PlannedRun, ...]]:
    """The runs of each variant, in their order."""
    grouped: dict[str, tuple[PlannedRun, ...]] = {}
    for run in runs:
        grouped[run.variant] = (*grouped.get(run.variant, ()), run)
    return grouped


def _from_anywhere(config: RunConfig, folder: Path) -> RunConfig:
    """The config without a directory, and with paths that mean the same from every folder."""
    name, start = folder / Path(config.model.name).expanduser(), config.model.start_from
    model = {
        "name": str(name) if name.is_dir() else config.model.name,
        "start_from": None if start is None else folder / start,
    }
    return config.model_copy(
        update={
            "model": config.model.model_copy(update=model),
            "data": config.data.model_copy(update=absolute_places(config.data, folder)),
            "run": config.run.model_copy(update={"directory": None}),
        }
    )


def _folder_name(labels: Sequence[str], taken: Collection[str]) -> str:
    """A name that every file system takes and that differs from those taken, also where letter case does not count."""
    parts = (re.sub(r"[^A-Za-z0-9.,_=+-]+", "-", re.sub(r"[\[\]{}'\"]", "", label)).strip("-.") for label in labels)
    stem = "-".join(part for part in parts if part)[:LONGEST_NAME].strip("-.") or "run"
    name, number, known = stem, 1, {each.casefold() for each in taken}
    while name.casefold() in known:
        number += 1
        name = f"{stem}-{number}"
    return name


def _refuse_twins(runs: Sequence[PlannedRun]) -> None:
    first: dict[str, PlannedRun] = {}
    for run in runs:
        twin = first.setdefault(_identity(run), run)
        if twin is not run:
            raise ConfigError(f"the runs {twin.name} and {run.name} have the same settings; remove one of them")


def _identity(run: PlannedRun) -> str:
    return json.dumps(run.config.model_dump(mode="json"), sort_keys=True)


def _describe_problem(text: str, names: Sequence[str]) -> str:
    return f"{'run' if len(names) == 1 else 'runs'} {_listed(names)}: {text}"


def _listed(names: Sequence[str]) -> str:
    shown = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"]
    return ", ".join(shown)
