"""Builds a RunConfig from YAML, overrides or plain values, and writes it as YAML."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeGuard

from pydantic import ValidationError

from verifine.config.document import KeyPath, dotted, parse_document, write_document
from verifine.config.problems import find_problems
from verifine.config.run import RunConfig
from verifine.config.shorthand import NAMED_SECTIONS, expand_sections
from verifine.errors import ConfigError

_YAML_LINE = re.compile(r"([a-z_]+(?:\.[a-z_]+)*):(?:\s+(.*))?", re.DOTALL)
"""A word of the command line that is written as a line of YAML."""


def load_config(
    path: Path | None, overrides: Sequence[str] = (), moved: Mapping[KeyPath, KeyPath] = MappingProxyType({})
) -> RunConfig:
    """Reads a YAML file (None: an empty one) and applies overrides such as `algorithm.clip_high=0.28`; the last wins.

    `moved` leads from the path that a key had when the file was written to the one that it has now.

    Raises:
        ConfigError: with every problem found, one a line.
    """
    document = parse_document("" if path is None else _read(path), str(path))
    if not (document.value is None or _is_mapping(document.value)):
        raise ConfigError(
            f"{path}: a configuration is a list of `key: value` lines, beginning for example with `data:`"
        )
    values = expand_sections(document.value or {})
    for old, new in moved.items():
        values = _moved(values, old, new)
    places = {key_path: f"{path}:{line}" for key_path, line in document.lines.items()}
    for override in overrides:
        key_path, value = parse_override(override)
        values = expand_sections(_replaced(values, key_path, value, override))
        places = {known: place for known, place in places.items() if known[: len(key_path)] != key_path}
        places[key_path] = f"override {override}"
    return _validate(values, places, None if path is None else str(path))


def build_config(values: Mapping[str, object]) -> RunConfig:
    """Checks nested values that come from a program.

    Raises:
        ConfigError: with every problem found, one a line.
    """
    return _validate(values, {}, None)


def parse_override(override: str) -> tuple[KeyPath, object]:
    """The path and the value of `key.path=value`.

    Raises:
        ConfigError: it has another form, or its value is not YAML.
    """
    name, equals, text = override.partition("=")
    keys = tuple(name.strip().split("."))
    if advice := _override_advice(override):
        raise ConfigError(f"override {override!r}: {advice}")
    if not equals or not all(keys):
        raise ConfigError(f"override {override!r}: write key.path=value, for example algorithm.clip_high=0.28")
    try:
        value = parse_document(text, "the value").value
    except ConfigError as error:
        raise ConfigError(f"override {override}: the value cannot be read as YAML; put quotes around it") from error
    if isinstance(value, str) and len(keys) == 1 and keys[0] in NAMED_SECTIONS:
        return (*keys, "name"), value
    return keys, value


def dump_config(config: RunConfig) -> str:
    """The YAML text that loads back to an equal configuration."""
    return write_document(config.model_dump(mode="json"))


def dump_changed_settings(config: RunConfig) -> str:
    """As `dump_config`, without the settings that have their default values."""
    return write_document(config.model_dump(mode="json", exclude_defaults=True))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if advice := _override_advice(str(path)):
            raise ConfigError(f"{path}: there is no such file; {advice}") from None
        raise ConfigError(f"{path}: there is no such file; give the path of a YAML configuration") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: this is a folder; give a YAML file, such as {path / 'config.yaml'}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: this is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def _override_advice(word: str) -> str | None:
    """How to write a line of YAML as an override in a shell; None: the word is no such line."""
    line = _YAML_LINE.fullmatch(word)
    if line is None:
        return None
    written = f"{line[1]}={shlex.quote(line[2])}" if line[2] else f"{line[1]}=VALUE, with quotes around what has spaces"
    return f"on the command line, a value is set with an equals sign: {written}"


def _replaced(values: Mapping[str, object], path: KeyPath, value: object, override: str) -> dict[str, object]:
    """`values` with `value` at `path`; missing sections on the way are created."""
    key, rest = str(path[0]), path[1:]
    if not rest:
        return {**values, key: value}
    section = values.get(key)
    if not (section is None or _is_mapping(section)):
        raise ConfigError(
            f"override {override}: `{key}` is {section!r}, so nothing can be set inside it; set `{key}` itself"
        )
    return {**values, key: _replaced(section or {}, rest, value, override)}


def _moved(values: Mapping[str, object], old: KeyPath, new: KeyPath) -> dict[str, object]:
    """`values` with what stands at `old`, a key of a section, at `new`; unchanged if nothing stands there."""
    section, key = (str(part) for part in old)
    found = values.get(section)
    if not _is_mapping(found) or key not in found:
        return dict(values)
    rest = {name: value for name, value in found.items() if name != key}
    return _replaced({**values, section: rest}, new, found[key], dotted(new))


def _validate(values: Mapping[str, object], places: Mapping[KeyPath, str], source: str | None) -> RunConfig:
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        lines = [_placed(problem.path, problem.text, places, source) for problem in find_problems(error)]
        heading = f"{source or 'the configuration'} has {len(lines)} problems:"
        raise ConfigError(lines[0] if len(lines) == 1 else "\n  ".join([heading, *lines])) from error


def _placed(path: KeyPath, text: str, places: Mapping[KeyPath, str], source: str | None) -> str:
    """`text` after the closest known place of `path`: its own line, or that of the section around it."""
    enclosing = (path[:length] for length in range(len(path), 0, -1))
    place = next((places[each] for each in enclosing if each in places), source)
    return f"{place}: {text}" if place else text


def _is_mapping(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, Mapping)
