"""Checks the functions that a model is told it may call, in OpenAI's format for chat tools."""

from __future__ import annotations

import re
from collections.abc import Mapping

from verifine.data.field_path import open_json
from verifine.data.kinds import kind_of
from verifine.data.rows import RowError
from verifine.types import Json

_FORM = 'a tool is {"type": "function", "function": {"name": ..., "parameters": {...}}}'
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FUNCTION_FIELDS = ("name", "description", "parameters", "strict")


def parse_tools(value: Json) -> tuple[Mapping[str, Json], ...]:
    """The tools in a row's `tools`; null is none.

    Raises:
        RowError: the message names the field and how to fix it.
    """
    if value is None:
        return ()
    if not isinstance(value, list):
        raise RowError(f'"tools" is {kind_of(value)}; it must be a list, and {_FORM}')
    tools = tuple(_tool(_opened(tool), f"tools[{index}]") for index, tool in enumerate(value))
    names: set[str] = set()
    for index, (_, name) in enumerate(tools):
        if name in names:
            raise RowError(f'"tools[{index}]" has the name "{name}" again; give each function its own')
        names.add(name)
    return tuple(tool for tool, _ in tools)


def without_nulls(value: Json) -> Json:
    """`value` without null fields, because a table's structs have the fields of all rows."""
    if isinstance(value, dict):
        return {field: without_nulls(each) for field, each in value.items() if each is not None}
    if isinstance(value, list):
        return [without_nulls(each) for each in value]
    return value


def _opened(tool: Json) -> Json:
    """A tool in which the tool, its function and its parameters are objects, also where they are JSON text."""
    tool = open_json(tool)
    function = open_json(tool.get("function")) if isinstance(tool, dict) else None
    if not isinstance(tool, dict) or not isinstance(function, dict):
        return tool
    parameters = {"parameters": open_json(function["parameters"])} if "parameters" in function else {}
    return {**tool, "function": {**function, **parameters}}


def _tool(tool: Json, where: str) -> tuple[Mapping[str, Json], str]:
    """A tool, and the name of its function."""
    if not isinstance(tool, dict):
        raise RowError(f'"{where}" is {kind_of(tool)}; {_FORM}')
    for field in tool:
        if field not in ("type", "function"):
            hint = "; it belongs inside function" if field in _FUNCTION_FIELDS else ""
            raise RowError(f'"{where}" has the field "{field}"{hint}; {_FORM}')
    if tool.get("type") != "function":
        raise RowError(f'"{where}.type" must be "function"; {_FORM}')
    function = tool.get("function")
    if not isinstance(function, dict):
        raise RowError(f'"{where}.function" is {"missing" if function is None else kind_of(function)}; {_FORM}')
    return tool, _function(function, f"{where}.function")


def _function(function: Mapping[str, Json], where: str) -> str:
    for field in function:
        if field not in _FUNCTION_FIELDS:
            raise RowError(f'"{where}" has the field "{field}"; it may have {", ".join(_FUNCTION_FIELDS)}')
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RowError(f'"{where}.name" must be 1 to 64 letters, digits, underscores and hyphens')
    if not isinstance(function.get("description", ""), str):
        raise RowError(f'"{where}.description" is {kind_of(function["description"])}; it must be text')
    if not isinstance(function.get("strict"), bool | None):
        raise RowError(f'"{where}.strict" is {kind_of(function["strict"])}; it must be true or false')
    parameters = function.get("parameters", {})
    if not isinstance(parameters, dict):
        raise RowError(f'"{where}.parameters" is {kind_of(parameters)}; it must be a JSON schema')
    if parameters.get("type", "object") != "object" or not isinstance(parameters.get("properties", {}), dict):
        raise RowError(f'"{where}.parameters" must be the JSON schema of an object, with its fields under properties')
    return name
