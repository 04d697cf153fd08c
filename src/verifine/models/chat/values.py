"""The variables that a chat template reads, and values that become a part of it.

A value is written into the template as its default, so training, evaluation, the saved model and whatever serves it
later prompt alike, and a caller of the saved model can still give another value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from jinja2 import Environment, TemplateError, TemplateSyntaxError, meta, nodes

from verifine.config.chat_template import is_free
from verifine.data.suggestion import did_you_mean
from verifine.errors import ConfigError, ModelError
from verifine.types import Json

ChatTemplate = str | dict[str, str]
"""A template, or several by name, of which the renderer chooses one by whether there are tools."""

_GENERATION_TAG = re.compile(r"\{%[+-]?\s*(?:end)?generation\s*[+-]?%\}")
"""A tag of transformers' own around what the assistant says."""
_LONGEST_SHOWN = 200


def check_syntax(template: ChatTemplate, model: str) -> None:
    """ModelError if the template is not Jinja; `model` is what people call the model."""
    for name, source in [("", template)] if isinstance(template, str) else template.items():
        try:
            # Compiled, not only parsed: that finds unknown filters as well.
            _environment().compile(_GENERATION_TAG.sub("", source), raw=True)
        except TemplateSyntaxError as error:
            which = f'the chat template "{name}"' if name else "the chat template"
            lines = source.splitlines()[error.lineno - 1 : error.lineno]
            shown = f', at "{_cut(lines[0].strip())}"' if lines else ""
            fault = _cut(" ".join(str(error.message).split()).rstrip("."))
            raise ModelError(
                f"{which} of {model} has an error in line {error.lineno}{shown}: {fault}. "
                "Fix it (chat_template.jinja, or tokenizer_config.json), or use another model (model.name)."
            ) from error


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def _environment() -> Environment:
    """As transformers has it, as far as syntax is concerned."""
    return Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols"],
        autoescape=False,  # noqa: S701 - nothing is rendered
    )


def with_values(template: ChatTemplate, values: Mapping[str, Json], model: str) -> ChatTemplate:
    """The template with values for some of its variables; `model` is what people call the model.

    Raises:
        ConfigError: the template never reads one of them.
    """
    if not values:
        return template
    known = free_variables(template)
    for name in values:
        if name not in known:
            reads = f"it reads {', '.join(sorted(known))}" if known else "it reads nothing that can be set"
            raise ConfigError(
                f"model.chat_template_kwargs: the chat template of {model} never reads {name}"
                f"{did_you_mean(name, sorted(known))}; {reads}"
            )
    # The newline is dropped: transformers renders with trim_blocks.
    defaults = "".join(f"{{% set {name} = {name} | default({_literal(value)}) %}}\n" for name, value in values.items())
    if isinstance(template, str):
        return _beginning_with(defaults, template)
    return {name: _beginning_with(defaults, each) for name, each in template.items()}


def _beginning_with(defaults: str, template: str) -> str:
    """The template of a model that was trained with the same values begins with them already."""
    return template if template.startswith(defaults) else defaults + template


def free_variables(template: ChatTemplate) -> frozenset[str]:
    """The variables that a caller may set; empty also for a template that is not Jinja."""
    sources = [template] if isinstance(template, str) else list(template.values())
    environment = _environment()
    found: set[str] = set()
    for source in sources:
        try:
            parsed = environment.parse(_GENERATION_TAG.sub("", source))
        except TemplateError:
            continue
        found |= meta.find_undeclared_variables(parsed) & _read_first(parsed)
    return frozenset(name for name in found if is_free(name))


def _read_first(template: nodes.Template) -> set[str]:
    """The names that are read before they are set, if they are set: Jinja takes one set inside `if` for undeclared."""
    first: dict[str, str] = {}
    for name in _names(template):
        first.setdefault(name.name, name.ctx)
    return {name for name, context in first.items() if context == "load"}


def _names(node: nodes.Node) -> Iterator[nodes.Name]:
    """In the order of execution."""
    if isinstance(node, nodes.Name):
        yield node
    children = [node.node, node.target] if isinstance(node, nodes.Assign) else node.iter_child_nodes()
    for child in children:
        yield from _names(child)


def _literal(value: Json) -> str:
    """The value in Jinja."""
    match value:
        case None:
            return "none"
        case dict():
            return f"{{{', '.join(f'{_literal(key)}: {_literal(each)}' for key, each in value.items())}}}"
        case list():
            return f"[{', '.join(map(_literal, value))}]"
        case _:
            return json.dumps(value, ensure_ascii=False)
