"""Which runs are the same method with other seeds, and how the methods differ."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from verifine.config import RunConfig
from verifine.errors import ConfigError
from verifine.insights.outcome import pluralize
from verifine.runs.record import RunRecord
from verifine.types import Json

Settings = Mapping[str, Json]
"""The fields of a config by their dotted names."""

_NOT_THE_METHOD = frozenset(
    {"run.seed", "run.directory", "run.save_interval", "run.keep_rollouts", "optim.micro_batch_tokens"}
)
"""Fields that may differ between runs of one variant: they change randomness, files or memory, not the method."""

_ALGORITHM = "algorithm.name"
_DECIDED_BY_ALGORITHM = ("algorithm.", "reward.")
"""Sections that an algorithm's row of the table fills in."""

_SHOWN_SETTINGS = 3
_SHOWN_CHARACTERS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A method and all its runs."""

    name: str
    runs: tuple[RunRecord, ...]

    def by_seed(self, values: Sequence[float | None]) -> list[float]:
        """A number of each run, averaged for each seed: the same seed again says nothing about other seeds.

        A run without the number is left out.
        """
        return list(self.of_each_seed(values).values())

    def of_each_seed(self, values: Sequence[float | None]) -> dict[int, float]:
        """As `by_seed`, with the seeds."""
        found: dict[int, list[float]] = {}
        for run, value in zip(self.runs, values, strict=True):
            if value is not None:
                found.setdefault(run.config.run.seed, []).append(value)
        return {seed: sum(numbers) / len(numbers) for seed, numbers in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A field that differs between variants."""

    key: str
    values: tuple[Json, ...]
    """One for each variant; None also if a variant has no such field."""


def find_variants(runs: Sequence[RunRecord], labels: Sequence[str] = ()) -> list[Variant]:
    """The variants in the order of their first runs, named by their differences, or by `labels`.

    Raises:
        ConfigError: there are labels, but not one for each variant.
    """
    grouped: dict[str, list[RunRecord]] = {}
    for run in runs:
        grouped.setdefault(json.dumps(method_of(run), sort_keys=True), []).append(run)
    groups = list(grouped.values())
    names = _name([method_of(group[0]) for group in groups])
    if labels and len(labels) != len(names):
        given, wanted = pluralize(len(labels), "label"), pluralize(len(names), "variant")
        raise ConfigError(f"{given} for {wanted} ({', '.join(names)}); give each one a label")
    if len(set(labels)) < len(labels):
        raise ConfigError("two variants have the same label; give each one its own")
    return [Variant(name=name, runs=tuple(group)) for name, group in zip(labels or names, groups, strict=True)]


def find_differences(variants: Sequence[Variant]) -> list[Difference]:
    return _differences([method_of(variant.runs[0]) for variant in variants])


def method_of(run: RunRecord) -> dict[str, Json]:
    """The settings that define the method, and the advantages that a Python program put in place of the algorithm's."""
    own = None if run.environment is None else run.environment.own_advantages
    return settings_of(run.config) | ({} if own is None else {"advantages": own})


def settings_of(config: RunConfig) -> dict[str, Json]:
    """The settings that define the method."""
    flat = _flattened(config.model_dump(mode="json"), "")
    return {key: value for key, value in flat.items() if key not in _NOT_THE_METHOD}


def value_text(value: Json) -> str:
    """A setting as text for people."""
    if isinstance(value, float):
        return re.sub("e([+-])0", r"e\1", f"{value:g}")
    return value if isinstance(value, str) else json.dumps(value)


def short_keys(keys: Sequence[str]) -> list[str]:
    """The last words of dotted names where those differ; `model.name` is the `model`."""
    spoken = [key.removesuffix(".name") for key in keys]
    ends = Counter(key.rpartition(".")[2] for key in spoken)
    return [end if ends[end := key.rpartition(".")[2]] == 1 else key for key in spoken]


def shortened(value: Json) -> str:
    """A setting as a part of a name: of a path its last folder, and not longer than 24 characters."""
    text = " ".join(value_text(value).split())
    if "/" in text:
        text = text.rstrip("/").rpartition("/")[2]
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _flattened(value: Mapping[str, Json], prefix: str) -> dict[str, Json]:
    flat: dict[str, Json] = {}
    for key, each in value.items():
        flat |= _flattened(each, f"{prefix}{key}.") if isinstance(each, dict) else {f"{prefix}{key}": each}
    return flat


def _differences(settings: Sequence[Settings]) -> list[Difference]:
    keys = dict.fromkeys(key for each in settings for key in each)
    rows = (Difference(key=key, values=tuple(each.get(key) for each in settings)) for key in keys)
    return [row for row in rows if any(value != row.values[0] for value in row.values)]


def _name(settings: Sequence[Settings]) -> list[str]:
    """The algorithm and the other differences; the later ones of equal names are numbered."""
    algorithms = [str(each[_ALGORITHM]) for each in settings]
    told = [row for row in _differences(settings) if row.key != _ALGORITHM and not _follows(row, algorithms)]
    keys = short_keys([row.key for row in told])
    names: list[str] = []
    for position, algorithm in enumerate(algorithms):
        parts = [f"{key}={shortened(row.values[position])}" for key, row in zip(keys, told, strict=True)]
        more = ["…"] if len(parts) > _SHOWN_SETTINGS else []
        names.append(" ".join([algorithm, *parts[:_SHOWN_SETTINGS], *more]))
    seen: Counter[str] = Counter()
    return [name if not (count := _counted(seen, name)) else f"{name} #{count + 1}" for name in names]


def _follows(row: Difference, algorithms: Sequence[str]) -> bool:
    """Whether a field depends only on the algorithm: then its default comes with the algorithm."""
    pairs = {(algorithm, json.dumps(value)) for algorithm, value in zip(algorithms, row.values, strict=True)}
    return row.key.startswith(_DECIDED_BY_ALGORITHM) and len(pairs) == len(set(algorithms))


def _counted(seen: Counter[str], name: str) -> int:
    """How often the name occurred before."""
    seen[name] += 1
    return seen[name] - 1
