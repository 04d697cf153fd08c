"""What the fields of schemas mean: the texts that stand under them in the code.

Pydantic can find them too, but when a class is made, which would cost every start of the service a third of a second.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
import typing
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from pydantic import BaseModel


def document_fields(schemas: Mapping[str, Any], roots: Iterable[object]) -> None:
    """Adds descriptions to the properties of JSON schemas, which have the names of their classes.

    `roots`: types in which all the classes occur, in any depth.
    """
    seen: set[type] = set()
    for root in roots:
        for schema in _classes_in(root, seen):
            properties = schemas.get(schema.__name__, {}).get("properties", {})
            for name, text in _texts(schema).items():
                if name in properties:
                    properties[name].setdefault("description", text)


def _classes_in(annotation: object, seen: set[type]) -> Iterator[type]:
    """Those with fields, each once."""
    for argument in typing.get_args(annotation):
        yield from _classes_in(argument, seen)
    if not isinstance(annotation, type) or annotation in seen:
        return
    if issubclass(annotation, BaseModel):
        fields: list[object] = [field.annotation for field in annotation.model_fields.values()]
    elif dataclasses.is_dataclass(annotation):
        fields = list(typing.get_type_hints(annotation).values())
    else:
        return
    seen.add(annotation)
    yield annotation
    for field in fields:
        yield from _classes_in(field, seen)


def _texts(schema: type) -> dict[str, str]:
    """The text under each field; an inherited one counts unless the class has its own."""
    found: dict[str, str] = {}
    for each in reversed(schema.__mro__):
        if each.__module__.startswith("verifine."):
            found |= dict(_own_texts(each))
    return found


def _own_texts(schema: type) -> Iterator[tuple[str, str]]:
    try:
        source = textwrap.dedent(inspect.getsource(schema))
    except (OSError, TypeError):  # it was made by a program, as a generic class with its parameter is
        return
    [definition] = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    for field, text in pairwise(definition.body):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(written))),
            ):
                yield name, re.sub(r"\bNone\b", "null", " ".join(inspect.cleandoc(written).split()))
