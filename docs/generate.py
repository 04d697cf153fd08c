"""Writes docs/reference from the code; `--check` says which pages have drifted and exits with 1."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
import typer
from api_page import api_page
from pydantic import BaseModel, JsonValue
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from transformers import AutoModelForCausalLM

from verifine.cli.main import app
from verifine.config import GRADER_PRESETS, REWARD_TYPES, AnyGrader, CriticConfig, RunConfig
from verifine.config.graders import SingleGrader
from verifine.config.graders.judge_input import (
    InputAudio,
    InputImage,
    InputText,
    JudgeMessage,
    JudgeSampling,
    OutputText,
)
from verifine.config.graders.schema import Template
from verifine.config.recipes import RECIPES, Recipe
from verifine.launch.models.summary import ACCELERATORS, ModelSummary, summarize_entry, summarize_shipped
from verifine.models.architectures import SUPPORTED, SupportedArchitecture
from verifine.models.network.decoder import is_known_decoder
from verifine.models.provision.catalogue import CATALOGUE
from verifine.models.provision.shipped import SHIPPED
from verifine.runs.metrics import METRICS
from verifine.testing import EVERY_ARCHITECTURE, Architecture, tiny_config
from verifine.testing.architecture_conformance import ARCHITECTURE_CHECKS, HEAD_CHECKS, ArchitectureCheck

REFERENCE = Path(__file__).parent / "reference"
NOTICE = "<!-- Written by docs/generate.py from the code. Edit the code. -->"
EXIT_CODES = """\
0 done · 1 unexpected · 2 usage or configuration · 3 environment or model · 4 data or grader, or a no-go of the check
· 5 training failed · 130 interrupted, the model saved · 141 the reader of the output has closed it, as `head` does

An error is one message on standard error. Exit code 1 is a fault of Verifine itself or of a library: its traceback is
in a file that the message names, in the run directory if there is one. `VERIFINE_TRACEBACK=1` prints it as well."""


def config_page() -> str:
    introduction = (
        "A run is one YAML file. Every field can be overridden on the command line: "
        "`verifine train run.yaml sampling.group_size=16`."
    )
    parts = [NOTICE, "# Configuration", introduction]
    for name, field in RunConfig.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            for title, each in _sections(name, section):
                parts += [f"{'##' if each is section else '###'} {title}", _docstring(each), _table(each)]
        else:
            parts += [f"## {name}", field.description or "", "See [graders](graders.md)."]
    return "\n\n".join(parts) + "\n"


def graders_page() -> str:
    introduction = (
        "A grader is a JSON or YAML object, told apart by `type`; what each is good for, with examples: "
        "[graders](../graders.md). `string_check`, `text_similarity`, `python`, `score_model`, `label_model` and "
        "`multi` are OpenAI's forms. A template is text that may hold `{{ item.field }}` (a field of the row) and "
        "`{{ sample.output_text }}` (the answer)."
    )
    parts = [NOTICE, "# Graders", introduction]
    for grader in typing.get_args(AnyGrader):
        parts += [f"## {_kind(grader)}", _docstring(grader), _table(grader)]
    parts += ["## Messages for a judge", _docstring(JudgeMessage), _table(JudgeMessage)]
    for part in (InputText, OutputText, InputImage, InputAudio):
        parts += [f"### {_kind(part)}", _docstring(part), _table(part)]
    parts += ["### sampling_params", _docstring(JudgeSampling), _table(JudgeSampling)]
    presets = [
        f"| `{name}` | `{preset.model_dump_json(exclude_defaults=True)}` |" for name, preset in GRADER_PRESETS.items()
    ]
    parts += ["## Presets", "\n".join(["| name | stands for |", "| --- | --- |", *presets])]
    prompts = [
        f"| `{name}` | {_escaped(each.system_prompt)} | {', '.join(f'`{stop}`' for stop in each.stop)} |"
        for name, each in REWARD_TYPES.items()
    ]
    introduced = "`--reward-type NAME` takes the preset of that name, and tells the model how to answer."
    parts += [
        "## Reward types",
        introduced,
        "\n".join(["| name | system prompt | stop |", "| --- | --- | --- |", *prompts]),
    ]
    return "\n\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    """Prose in which nothing is markup."""
    return text.replace("<", "&lt;").replace("`", "\\`")


def metrics_page() -> str:
    rows = [f"| `{metric.name}` | {metric.meaning} | {metric.unit} |" for metric in METRICS.values()]
    table = "\n".join(["| name | meaning | unit |", "| --- | --- | --- |", *rows])
    return "\n\n".join([NOTICE, "# Metrics", "One row a step in `metrics.jsonl`, with these names.", table]) + "\n"


def algorithms_page() -> str:
    introduction = (
        "The rows of `RECIPES`; pools: whether `sampling.rounds` and `sampling.allocation` mean something to them. "
        "What the columns mean, and when to take which: [the algorithms](../algorithms.md). "
        "Everything but the surrogate, the averaging and the place of the KL penalty can be set in the "
        "[configuration](config.md#algorithm)."
    )
    names = [
        "algorithm",
        "advantage",
        "surrogate",
        "clip",
        "averaging",
        "KL penalty",
        "filter",
        "overlong share",
        "pools",
        "critic",
    ]
    rows = [f"| {' | '.join(_row(row))} |" for row in RECIPES.values()]
    table = "\n".join([f"| {' | '.join(names)} |", "| --- " * len(names) + "|", *rows])
    return "\n\n".join([NOTICE, "# The table of algorithms", introduction, table]) + "\n"


def _row(row: Recipe) -> list[str]:
    critic = CriticConfig()
    return [
        f"`{row.name}`",
        f"`{row.advantage}`" + (", `whitened`" if row.whitens else ""),
        f"`{row.surrogate}`",
        f"{'-' if row.clip_low is None else f'{row.clip_low:g}'} / {row.clip_high:g}",
        f"`{row.averaging}`",
        "none" if row.kl is None else f"`{row.kl.estimator}` in the {row.kl.place}",
        "-" if row.group_filter is None else f"`{row.group_filter}`, with resampling",
        f"{row.overlong_share:g}",
        "yes" if row.takes_pools else "-",
        f"clip {critic.value_clip:g}, coefficient {critic.coefficient:g}" if row.has_critic else "-",
    ]


def models_page() -> str:
    introduction = (
        "What Verifine knows of the models that can be asked for by name, and where each fact was read; how they are "
        "fetched, and how memory is estimated: [models](../models.md). The rates are those of "
        "`optim.learning_rate: auto`. `all-linear` adapts "
        "`q_proj`, `k_proj`, `v_proj`, `o_proj`, `gate_proj`, `up_proj` and `down_proj` of every one of them."
    )
    names = [
        "model",
        "hub id",
        "type",
        "weights",
        "context",
        "licence",
        "stop tokens",
        "thinking switch",
        "rate",
        "LoRA",
    ]
    shipped = [summarize_shipped(name, model) for name, model in SHIPPED.items()]
    summaries = [*shipped, *(summarize_entry(name, entry) for name, entry in CATALOGUE.items())]
    rows = [f"| {' | '.join(_model_row(summary))} |" for summary in summaries]
    facts = "\n".join([f"| {' | '.join(names)} |", "| --- " * len(names) + "|", *rows])
    widths = " | ".join(f"{mode}, {count}" for mode in ("full", "LoRA") for count in ACCELERATORS)
    memory = "\n".join([f"| model | {widths} |", "| --- " * 9 + "|", *map(_memory_row, summaries)])
    read = "\n".join(
        [
            "| model | sizes and context | licence | stop tokens and thinking |",
            "| --- | --- | --- | --- |",
            *(
                f"| `{name}` | {entry.sources.sizes} | {entry.sources.licence} | {entry.sources.chat} |"
                for name, entry in CATALOGUE.items()
            ),
        ]
    )
    parts = [NOTICE, "# The catalogue", introduction, "A licence with * has to be accepted on the hub.", facts]
    parts += ["## Memory", "The least GiB of each of so many accelerators (estimated).", memory, "## Sources", read]
    return "\n\n".join(parts) + "\n"


def _model_row(summary: ModelSummary) -> list[str]:
    return [
        f"`{summary.name}`",
        "comes with Verifine" if summary.hub_id is None else f"`{summary.hub_id}`",
        f"`{summary.model_type}`",
        f"{summary.parameters:,}",
        f"{summary.context_length:,}",
        f"{summary.licence}{' *' if summary.gated else ''}",
        " ".join(f"`{token}`".replace("|", "\\|") for token in summary.stop_tokens),
        "-" if summary.thinking_switch is None else f"`{summary.thinking_switch}`",
        f"{summary.full.learning_rate:g}",
        f"{summary.lora.learning_rate:g}",
    ]


def _memory_row(summary: ModelSummary) -> str:
    sizes = [size / (1 << 30) for mode in (summary.full, summary.lora) for size in mode.memory.values()]
    return f"| `{summary.name}` | {' | '.join(f'{size:.1f}' for size in sizes)} |"


ARCHITECTURES_INTRODUCTION = """\
Engine, packing and learner are compared with plain transformers for each of these, on tiny models with random weights.
A name in the last column is one such model; `make check` runs every check below on every one of them
(`tests/models/test_architectures.py`)."""

OTHER_ARCHITECTURES = """\
Another text decoder that transformers knows is run as well, if it passes a probe when it is loaded: its logits on a
packed tree have to be those of transformers' own forward pass, and the sliding windows of its config have to reach its
attention. To run the checks on it, see `verifine.testing.architecture_conformance`.

Refused by name before any weight is read:

* encoder-decoders, models with state-space or other recurrent layers, and models that read more than text, also where
  their language model alone would do;
* layers that attend to chunks, and attention scores with a cap (Gemma 2);
* quantised weights: take those that they were made from;
* a folder with an `adapter_config.json`, from which transformers would load another model.

And after that: attention with sinks (gpt-oss), and a vocabulary head with a bias (Phi-2).

Limits:

* A mixture of experts is trained in float32, which `model.precision: auto` takes: in bfloat16 a token may go to other
  experts when it is learned from than when it was sampled. Adapters are put on its attention; its experts stay as they
  are.
* With LongRoPE (Phi-3 and Phi-4-mini of long contexts), the context ends at the length that the model was first trained
  on, such as 4,096 tokens: beyond it, transformers turns every token of a pass by other angles, so that
  log-probabilities would depend on what is computed beside an answer."""


def architectures_page() -> str:
    rows = [f"| {' | '.join(_architecture_row(each))} |" for each in SUPPORTED]
    names = ["architecture", "`model_type`", "models", "what sets it apart", "layers run by", "tested as"]
    table = "\n".join([f"| {' | '.join(names)} |", "| --- " * len(names) + "|", *rows])
    checks = [_checks(ARCHITECTURE_CHECKS)]
    checks += ["With a padded vocabulary, and a tied head where the table's model has its own and the other way round:"]
    checks += [_checks(HEAD_CHECKS)]
    parts = ["# Architectures", ARCHITECTURES_INTRODUCTION, table, "## What is checked", *checks]
    return "\n\n".join([NOTICE, *parts, "## Others", OTHER_ARCHITECTURES]) + "\n"


def _architecture_row(architecture: SupportedArchitecture) -> list[str]:
    tested = [each for each in EVERY_ARCHITECTURE if tiny_config(each).model_type == architecture.model_type]
    return [
        architecture.name,
        f"`{architecture.model_type}`",
        architecture.models,
        architecture.traits,
        "Verifine" if _is_run_by_verifine(tested[0]) else "transformers",
        ", ".join(f"`{each}`" for each in tested),
    ]


def _is_run_by_verifine(architecture: Architecture) -> bool:
    with torch.device("meta"):
        return is_known_decoder(AutoModelForCausalLM.from_config(tiny_config(architecture)))


def _checks(checks: Iterable[ArchitectureCheck]) -> str:
    return "\n".join(f"* {check.__doc__}" for check in checks)


def commands_page() -> str:
    group = typer.main.get_command(app)
    context = typer.Context(group, info_name="verifine", terminal_width=100, max_content_width=100)
    return "\n\n".join([NOTICE, "# Commands", *_commands(context), "## Exit codes", EXIT_CODES]) + "\n"


def _commands(context: typer.Context) -> list[str]:
    """The help of a command, then of those inside it, under their full names."""
    command = context.command
    parts = ["```text\n" + command.get_help(context).rstrip() + "\n```"]
    if isinstance(command, typer.core.TyperGroup):
        for name, inner in command.commands.items():
            nested = typer.Context(inner, info_name=name, parent=context, terminal_width=100, max_content_width=100)
            path = nested.command_path.split()[1:]
            parts += [f"#{'#' * len(path)} {' '.join(path)}", *_commands(nested)]
    return parts


def _sections(name: str, section: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """A section and the optional sections inside it, by their dotted names."""
    yield name, section
    for key, field in section.model_fields.items():
        for inner in typing.get_args(field.annotation):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _sections(f"{name}.{key}", inner)


def _kind(grader: type[BaseModel]) -> str:
    """What stands under `type` for it."""
    return str(typing.get_args(grader.model_fields["type"].annotation)[0])


def _docstring(schema: type[BaseModel]) -> str:
    lines = (schema.__doc__ or "").splitlines()
    return "\n".join(line.strip() for line in lines).strip()


def _table(schema: type[BaseModel]) -> str:
    rows = [
        f"| `{name}` | {_type_of(field)} | {_default(field)} | {field.description or ''} |"
        for name, field in schema.model_fields.items()
        if name not in ("type", "name") or field.description
    ]
    return "\n".join(["| field | type | default | meaning |", "| --- | --- | --- | --- |", *rows])


def _type_of(field: FieldInfo) -> str:
    is_template = any(mark in field.metadata for mark in typing.get_args(Template)[1:])
    return "template" if is_template else _type_name(field.annotation)


def _type_name(annotation: object) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type_name(arguments[0])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_name(argument) for argument in arguments)
    if annotation is type(None):
        return "null"
    if origin is tuple:
        return "list of " + _type_name(arguments[0])
    if origin is Mapping:
        inner = "graders but `multi` and `weighted`" if arguments[1] == SingleGrader else _type_name(arguments[1])
        return f"{inner}, by name"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"`{_kind(annotation)}`" if "type" in annotation.model_fields else "section"
    if annotation == JsonValue:
        return "JSON"
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path"}
    return names.get(annotation, str(annotation)) if isinstance(annotation, type) else str(annotation)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return "null"
    return f"`{list(field.default) if isinstance(field.default, tuple) else field.default}`"


PAGES = {
    "api.md": lambda: api_page(NOTICE),
    "algorithms.md": algorithms_page,
    "architectures.md": architectures_page,
    "config.md": config_page,
    "graders.md": graders_page,
    "metrics.md": metrics_page,
    "models.md": models_page,
    "commands.md": commands_page,
}


def main() -> None:
    pages = {REFERENCE / name: write() for name, write in PAGES.items()}
    drifted = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in drifted:
            print(f"{path.relative_to(REFERENCE.parent.parent)} is not what the code says; run python docs/generate.py")
        sys.exit(1 if drifted else 0)
    REFERENCE.mkdir(exist_ok=True)
    for path in drifted:
        path.write_text(pages[path], encoding="utf-8")


if __name__ == "__main__":
    main()
