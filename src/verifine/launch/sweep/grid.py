"""The grid of a sweep, from the words of the command line: what varies, and every combination of it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from verifine.config.document import KeyPath, dotted
from verifine.config.loading import parse_override
from verifine.errors import ConfigError
from verifine.insights.comparison.variants import short_keys, shortened
from verifine.launch.quickstart import ALGORITHM, MODEL, quickstart_settings

SEED = "run.seed"
_DIRECTORY = ("run", "directory")
_SPEAK_FOR_THEMSELVES = ("algorithm.name", "model.name", "data.task")
"""Keys that a name does not repeat: their values say what they are."""

_PIECE = re.compile(r"""(?<![^\s,:\[{])(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')|.""", re.DOTALL)
"""A quoted text where a value may begin, or one character."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepBase:
    """What all runs of a sweep begin with."""

    file: Path | None = None
    """A YAML config; None: there is none."""
    task: str | None = None
    """A built-in task, which stands for the settings of the quickstart on it; None: there is none."""
    overrides: tuple[str, ...] = ()

    def overrides_with(self, settings: Sequence[str]) -> list[str]:
        """All overrides of a run with these settings of its own. The quickstart's depend on its model and algorithm."""
        everything = [*self.overrides, *settings]
        if self.task is None:
            return everything
        given = dict(map(parse_override, everything))
        section = given.get(("algorithm",))
        named = section.get("name", ALGORITHM) if isinstance(section, Mapping) else ALGORITHM
        sections = quickstart_settings(
            self.task,
            model=str(given.get(("model", "name"), MODEL)),
            algorithm=str(given.get(("algorithm", "name"), named)),
        )
        # JSON is YAML, so a section is an override like any other.
        return [*(f"{name}={json.dumps(section)}" for name, section in sections.items()), *everything]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of the things that an axis can be."""

    label: str
    """For names, such as `learning_rate=2e-5`."""
    overrides: tuple[str, ...]
    """The settings as on the command line of `verifine train`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A key with several values, or the variants that the user has named."""

    key: str
    """Dotted; empty for named variants."""
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Every combination of the choices of all axes."""

    base: SweepBase
    axes: tuple[Axis, ...]

    def combinations(self) -> Iterator[tuple[tuple[Choice, ...], tuple[Choice, ...]]]:
        """What makes the variant, and the seed (empty if all runs have that of the base).

        All variants come with one seed before they come with the next, so that a sweep which is stopped has as many
        runs of each.
        """
        seeds = [axis.choices for axis in self.axes if axis.key == SEED]
        others = [axis.choices for axis in self.axes if axis.key != SEED]
        for seed in product(*seeds):
            for variant in product(*others):
                yield variant, seed


def parse_grid(base: SweepBase, words: Sequence[str], variants: Sequence[str] = ()) -> Grid:
    """The grid of `KEY=VALUE,VALUE` words and of `NAME: KEY=VALUE KEY=VALUE` variants.

    A word with a single value holds for all runs.

    Raises:
        ConfigError: a word or a variant cannot be meant, or nothing varies.
    """
    keys: dict[KeyPath, tuple[str, ...]] = {}
    for word in words:
        key, values = _parse_word(word)
        _refuse_overlap(key, keys)
        keys[key] = values
    varying = {key: values for key, values in keys.items() if len(values) > 1}
    named = _parse_variants(variants)
    for choice in named:
        for override in choice.overrides:
            _refuse_overlap(parse_override(override)[0], varying, f"variant {choice.label!r}: ")
    axes = [Axis(key="", choices=named)] if named else []
    names = [dotted(key) for key in varying]
    for name, short, values in zip(names, short_keys(names), varying.values(), strict=True):
        shown = [
            shortened(value) if name in _SPEAK_FOR_THEMSELVES else f"{short}={shortened(value)}" for value in values
        ]
        # Long values may look the same where they are cut.
        labels = [label if label not in shown[:place] else f"{label} #{place + 1}" for place, label in enumerate(shown)]
        choices = (
            Choice(label=label, overrides=(f"{name}={value}",)) for label, value in zip(labels, values, strict=True)
        )
        axes.append(Axis(key=name, choices=tuple(choices)))
    if not axes:
        raise ConfigError(
            "nothing varies; give a key several values, for example run.seed=0,1,2, or name variants with --variant"
        )
    fixed = tuple(f"{dotted(key)}={values[0]}" for key, values in keys.items() if len(values) == 1)
    return Grid(base=replace(base, overrides=(*base.overrides, *fixed)), axes=tuple(axes))


def split_values(text: str) -> list[str]:
    """The values between commas, without blanks around them. Commas in brackets, braces and quotes do not count."""
    values, depth = [""], 0
    for piece in _PIECE.findall(text):
        if piece == "," and depth == 0:
            values.append("")
            continue
        depth += (piece in "[{") - (piece in "]}")
        values[-1] += piece
    return [value.strip() for value in values]


def _parse_word(word: str) -> tuple[KeyPath, tuple[str, ...]]:
    """A key and its values, each as it was written."""
    name, _, text = word.partition("=")
    values = split_values(text)
    if len(values) > 1 and "" in values:
        raise ConfigError(
            f"{word}: there is no value at one side of a comma; write null for none, or '\"\"' for no text"
        )
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ConfigError(f"{word}: {twice} is given twice; give each value once")
    paths = [parse_override(f"{name}={value}" if "=" in word else word)[0] for value in values]
    if paths[0] == _DIRECTORY:
        raise ConfigError(
            f"{word}: each run of a sweep gets a directory of its own; choose the sweep's folder with --out"
        )
    return paths[0], tuple(values)


def _parse_variants(variants: Sequence[str]) -> tuple[Choice, ...]:
    choices = tuple(_parse_variant(variant) for variant in variants)
    names = [choice.label.casefold() for choice in choices]
    twice = next((choice.label for choice in choices if names.count(choice.label.casefold()) > 1), None)
    if twice is not None:
        raise ConfigError(f"--variant: two are called {twice!r}; give each its own name")
    return choices


def _parse_variant(text: str) -> Choice:
    name, _, settings = text.partition(":")
    if not name.strip() or "=" in name:
        raise ConfigError(f"--variant {text!r}: write a name first, for example 'high: algorithm.clip_high=0.28'")
    try:
        # In single quotes the shell leaves the end of a continued line as it is.
        overrides = tuple(shlex.split(settings.replace("\\\n", " ")))
    except ValueError as error:
        raise ConfigError(f"--variant {text!r}: a quote is not closed; close it") from error
    keys: dict[KeyPath, tuple[str, ...]] = {}
    for override in overrides:
        key = parse_override(override)[0]
        _refuse_overlap(key, keys, f"variant {name.strip()!r}: ")
        keys[key] = ()
    return Choice(label=" ".join(name.split()), overrides=overrides)


def _refuse_overlap(key: KeyPath, others: Iterable[KeyPath], where: str = "") -> None:
    """Refuses a key that is, contains, or is inside one of the others."""
    other = next((each for each in others if each[: len(key)] == key[: len(each)]), None)
    if other is not None:
        same = "given twice" if other == key else f"given beside {dotted(other)}"
        raise ConfigError(f"{where}{dotted(key)} is {same}; give it once")
