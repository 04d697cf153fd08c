"""Reads YAML into values with line numbers, and writes it.

Scalars follow YAML 1.2: `1e-5` is a number, while `no`, `on` and dates are text. (PyYAML follows YAML 1.1, where it is
the other way round.) docs/decisions/0009-yaml-is-read-by-pyyaml.md says why this is not ruamel.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from verifine.errors import ConfigError

KeyPath: TypeAlias = tuple[str | int, ...]
"""The keys and list positions that lead to a value."""

_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN)$"
)
_SCALARS = (
    ("tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789")),
    ("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789.")),
    ("tag:yaml.org,2002:merge", re.compile(r"<<$"), ["<"]),
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012  # PyYAML's own way to state them

    def construct_text(self, node: yaml.ScalarNode) -> str:
        # JSON is YAML, and JSON may write an emoji as the two halves of a surrogate pair.
        return str(self.construct_scalar(node)).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


class _Dumper(yaml.SafeDumper):
    """Applies YAML 1.1's rules as well as ours, so that a text is quoted if either would misread it."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    needs_escapes = re.search("[\r\x85\u2028\u2029]", text)  # YAML would take them for line ends
    style = '"' if needs_escapes else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Loader.add_constructor("tag:yaml.org,2002:str", _Loader.construct_text)
_Dumper.add_representer(str, _represent_text)
for _tag, _pattern, _first_characters in _SCALARS:
    _Loader.add_implicit_resolver(_tag, _pattern, _first_characters)
    _Dumper.add_implicit_resolver(_tag, _pattern, _first_characters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The value of a YAML text, and the line (from 1) of each key and list item."""

    value: object
    lines: Mapping[KeyPath, int]


def parse_document(text: str, source: str) -> Document:
    """Read YAML.

    Raises:
        ConfigError: the text is not YAML, or gives a key twice; the message names `source` and line.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Document(value=None, lines={})
        lines: dict[KeyPath, int] = {}
        for path, line in _walk(node, (), set()):
            if path in lines:
                raise ConfigError(
                    f"{source}:{line}: `{dotted(path)}` is given twice, first in line {lines[path]}; keep one of them"
                )
            lines[path] = line
        return Document(value=loader.construct_document(node), lines=lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}:{mark.line + 1}" if mark else source
        raise ConfigError(f"{where}: this is not YAML: {error.problem or error.context}. {_hint(error)}") from error
    except yaml.YAMLError as error:
        reason = str(error).replace("\n", " ")
        raise ConfigError(f"{source}: this is not YAML: {reason}. Save it as plain UTF-8 text.") from error


def write_document(value: object) -> str:
    """The YAML text of plain values, keys in the order given."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def write_inline(value: object) -> str:
    """The YAML text of plain values in one line, such as `{prompt: question}`."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 30, default_flow_style=True)
    return text.rstrip("\n")


def dotted(path: KeyPath) -> str:
    """A path as people write it: `sampling.stop[0]`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def _walk(node: yaml.Node, path: KeyPath, seen: set[int]) -> Iterator[tuple[KeyPath, int]]:
    if id(node) in seen:  # an alias has the lines of its anchor, and may even be inside it
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            here = (*path, str(key.value))
            yield here, key.start_mark.line + 1
            yield from _walk(child, here, seen)
    elif isinstance(node, yaml.SequenceNode):
        for position, child in enumerate(node.value):
            yield (*path, position), child.start_mark.line + 1
            yield from _walk(child, (*path, position), seen)


def _hint(error: yaml.MarkedYAMLError) -> str:
    if "'\\t'" in str(error.problem):
        return "Indent with spaces, not tabs."
    if "mapping values are not allowed" in str(error.problem):
        return "Put quotes around a text that contains `: `, or check the indentation."
    return "Check the indentation, and put quotes around texts with special characters."
