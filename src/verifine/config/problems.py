"""Turns the errors that pydantic finds in a configuration into messages for users."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from verifine.config.document import KeyPath, dotted
from verifine.config.run import RunConfig

_EXPECTATIONS: Mapping[str, str] = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "above {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "below {lt}",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text, so put quotes around it",
    "string_pattern_mismatch": "text that matches {pattern}",
    "path_type": "the path of a file",
    "tuple_type": "a list such as [a, b]",
    "too_long": "at most {max_length} values",
    "too_short": "a list of at least {min_length}",
    "literal_error": "{expected}",
    "dict_type": "a section of `key: value` lines",
    "model_type": "a section of `key: value` lines",
    "model_attributes_type": "a section of `key: value` lines",
}
"""What is expected, for each of pydantic's error types; other types keep pydantic's message."""

FAMILIAR_NAMES: Mapping[str, str] = {
    "column_mapping": "data.columns",
    "dataset": "data.train",
    "epsilon": "algorithm.clip_low",
    "epsilon_high": "algorithm.clip_high",
    "eval_dataset": "data.eval",
    "kl_coef": "algorithm.beta",
    "lora_alpha": "model.lora.alpha",
    "lora_r": "model.lora.rank",
    "lr": "optim.learning_rate",
    "max_completion_length": "sampling.max_new_tokens",
    "max_grad": "optim.max_grad_norm",
    "num_generations": "sampling.group_size",
    "sampling.precision": "engine.precision",
    "target_modules": "model.lora.targets",
    "train_dataset": "data.train",
    "training_file": "data.train",
    "validation_file": "data.eval",
}
"""Names in other programs, or in earlier versions (with dots), and our name for the same setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigProblem:
    """One thing to fix, and the key it is about."""

    path: KeyPath
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spot:
    """A place in the schema."""

    path: KeyPath
    section: type[BaseModel]
    """The section that holds the last key of the path."""
    field: FieldInfo | None
    """None: the section has no such key."""
    annotation: object
    """What the schema wants there; None: nothing."""


def find_problems(error: ValidationError, schema: object = RunConfig) -> list[ConfigProblem]:
    """Everything that is wrong with a value of `schema`, which is a section, or a union of sections with a `type`.

    All errors about one key are one problem.
    """
    details_at: dict[KeyPath, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # only too short because items with errors of their own were dropped
        details_at.setdefault(_locate(detail["loc"], schema).path, []).append(detail)
    return [_describe(_locate(details[0]["loc"], schema), details) for details in details_at.values()]


def _locate(location: KeyPath, schema: object) -> _Spot:
    """Follows pydantic's location through the schema, skipping its labels of union members."""
    spot = _Spot(path=(), section=RunConfig, field=None, annotation=schema)
    section, variants = _sections_at(schema)
    for part in location:
        if isinstance(part, str) and part.startswith("<"):  # pydantic's label for one member of a union
            continue
        if get_origin(spot.annotation) is Mapping:  # the keys are the user's own names
            spot = replace(spot, path=(*spot.path, part), annotation=get_args(spot.annotation)[1])
        elif isinstance(part, int):
            spot = replace(spot, path=(*spot.path, part))
        elif part in variants:
            section, variants = variants[part], {}
        elif section is not None:
            field = section.model_fields.get(part)
            annotation = field.annotation if field else None
            spot = _Spot(path=(*spot.path, part), section=section, field=field, annotation=annotation)
            section, variants = _sections_at(annotation)
    return spot


def _sections_at(annotation: object) -> tuple[type[BaseModel] | None, Mapping[str, type[BaseModel]]]:
    """The section that is expected, or the possible ones by their `type`."""
    sections = _sections_in(annotation)
    if len(sections) == 1:
        return sections[0], {}
    return None, {_tag(section): section for section in sections}


def _describe(spot: _Spot, details: list[ErrorDetails]) -> ConfigProblem:
    detail = details[0]
    match detail["type"]:
        case "extra_forbidden":
            return ConfigProblem(path=spot.path, text=f"`{dotted(spot.path)}` is unknown; {_advise(spot)}")
        case "missing":
            return ConfigProblem(path=spot.path, text=f"`{dotted(spot.path)}` is missing.{_purpose(spot)}")
        case "union_tag_invalid" | "union_tag_not_found":
            return _wrong_tag(spot, detail)
        case "value_error":
            return _broken_rule(spot, detail)
        case unforeseen if unforeseen not in _EXPECTATIONS:
            return ConfigProblem(
                path=spot.path, text=f"`{dotted(spot.path)}` is {_shown(detail['input'])}: {detail['msg']}"
            )
    expected = " or ".join(_expectation(each) for each in details)
    meant = _closest(str(detail["input"]), [str(value) for value in _literals_in(spot.field)])
    text = f"`{dotted(spot.path)}` is {_shown(detail['input'])}, but must be {expected}"
    return ConfigProblem(
        path=spot.path, text=f"{text}; did you mean {meant!r}?" if meant else f"{text}.{_purpose(spot)}"
    )


def _wrong_tag(spot: _Spot, detail: ErrorDetails) -> ConfigProblem:
    path = (*spot.path, "type")
    tags = list(dict.fromkeys(_tag(section) for section in _sections_in(spot.annotation)))
    listed = ", ".join(repr(tag) for tag in tags)
    if detail["type"] == "union_tag_not_found":
        return ConfigProblem(path=path, text=f"`{dotted(path)}` is missing; it is one of {listed}")
    given = detail["ctx"]["tag"]
    meant = _closest(given, tags)
    text = f"`{dotted(path)}` is {given!r}, but must be one of {listed}"
    return ConfigProblem(path=path, text=f"{text}; did you mean {meant!r}?" if meant else text)


def _broken_rule(spot: _Spot, detail: ErrorDetails) -> ConfigProblem:
    """A rule of our own schema. Its message has the key in backticks, so that the line can be found."""
    text = str(detail["ctx"]["error"])
    named = re.search(r"`([\w.-]+)`", text)
    path = (*spot.path, *named.group(1).split(".")) if named else spot.path
    return ConfigProblem(path=path, text=f"`{dotted(spot.path)}`: {text}" if spot.path else text)


def _expectation(detail: ErrorDetails) -> str:
    return _EXPECTATIONS.get(detail["type"], detail["msg"]).format(**detail.get("ctx", {}))


def _purpose(spot: _Spot) -> str:
    """What the key is for, as an additional sentence."""
    if spot.field is None:
        return ""
    inner = _sections_in(spot.field.annotation)
    text = spot.field.description or (inner[0].__doc__ if len(inner) == 1 else None)
    return f" {text}" if text else ""


def _advise(spot: _Spot) -> str:
    """Where an unknown key may belong."""
    name = str(spot.path[-1])
    ours = FAMILIAR_NAMES.get(dotted(spot.path)) or FAMILIAR_NAMES.get(name)
    if ours is not None:
        return f"here it is called `{ours}`"
    homes = [label for label, section in _all_sections() if name in section.model_fields]
    if len(homes) in {1, 2}:
        return f"it belongs {' or '.join(homes)}"
    keys = list(spot.section.model_fields)
    meant = _closest(name, keys)
    return f"did you mean `{meant}`?" if meant else f"the keys here are {', '.join(keys)}"


def _all_sections() -> Iterator[tuple[str, type[BaseModel]]]:
    yield "at the top level", RunConfig
    for name, field in RunConfig.model_fields.items():
        sections = _sections_in(field.annotation)
        for section in sections:
            yield (f"under `{name}`" if len(sections) == 1 else f"to a `{name}` of type {_tag(section)!r}"), section


def _sections_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for member in get_args(annotation) for section in _sections_in(member)]


def _literals_in(field: FieldInfo | None) -> list[object]:
    def collect(annotation: object) -> Iterator[object]:
        for member in get_args(annotation):
            yield from collect(member) if get_args(member) else ([member] if isinstance(member, str) else [])

    return list(collect(field.annotation)) if field else []


def _tag(section: type[BaseModel]) -> str:
    (tag,) = get_args(section.model_fields["type"].annotation)
    return str(tag)


def _closest(given: str, names: Iterable[str]) -> str | None:
    matches = difflib.get_close_matches(given.lower(), list(names), n=1)
    return matches[0] if matches else None


def _shown(value: object) -> str:
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
