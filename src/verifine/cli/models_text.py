"""What `verifine models` prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verifine.launch.models.summary import ModelSummary, TrainingMode

_HEADINGS = ("model", "weights", "context", "licence", "thinks", "full", "LoRA", "here")
_RIGHT_ALIGNED = (1, 2, 5, 6, 7)


def describe_model_list(summaries: Sequence[ModelSummary]) -> str:
    """A row a model, and what the columns mean."""
    from verifine.insights.text_table import text_table

    table = text_table([_HEADINGS, *map(_cells, summaries)], _RIGHT_ALIGNED)
    note = (
        "full, LoRA: memory that training takes at the least, on one accelerator (estimated); `verifine models show`\n"
        "says more, and `verifine models pull` fetches a model. A licence with * has to be accepted on the hub first.\n"
        "Any other hub id or folder of a supported architecture works as well."
    )
    return "\n".join([*table, "", note])


def describe_pulled(summary: ModelSummary, folder: Path) -> str:
    """What was pulled, and what is missing of it."""
    revision = f", revision {summary.revision}" if summary.revision else ""
    lines = [
        f"{summary.name} is here: {_size(summary.stored_bytes)} in {folder}{revision}",
        f"licence {summary.licence or 'not known'}",
    ]
    if not summary.has_chat_template:
        lines.append(_without_template(folder))
    return "\n".join(lines)


def describe_summary(summary: ModelSummary) -> str:
    """All facts, one a line, and the memory by the number of accelerators."""
    from verifine.insights.text_table import text_table
    from verifine.launch.models.summary import ACCELERATORS, ESTIMATED_FOR

    source = summary.sources
    facts = [
        ("hub id", summary.hub_id or ("none: it comes with Verifine" if summary.is_shipped else "none: a folder"), ""),
        ("here", _here(summary), ""),
        ("architecture", summary.model_type, "" if source is None else source.sizes),
        ("weights", f"{summary.parameters:,}", ""),
        ("context", f"{summary.context_length:,} tokens", ""),
        ("licence", _licence(summary), "" if source is None else source.licence),
        ("stop tokens", " ".join(summary.stop_tokens) or "none named", "" if source is None else source.chat),
        ("thinking", _thinking(summary), ""),
        ("LoRA targets", " ".join(summary.lora_targets), ""),
    ]
    lines = [summary.name, *(f"  {line}" for line in text_table([(name, value) for name, value, _ in facts]))]
    if not summary.has_chat_template:
        lines.append(f"  {_without_template(None)}")
    rows = [
        ("training", "learns", "rate", *(_accelerators(count) for count in ACCELERATORS)),
        ("full", *_mode(summary.full)),
        ("LoRA", *_mode(summary.lora)),
    ]
    lengths = f"{ESTIMATED_FOR.prompt} tokens of prompt and {ESTIMATED_FOR.answer:g} of answer"
    lines += ["", *(f"  {line}" for line in text_table(rows, range(1, len(rows[0]))))]
    lines += [
        "",
        f"  Memory is the least of each accelerator, estimated for {lengths}, one answer at a time;",
        "  with more, steps are faster. Several divide weights, gradients and moments; this version trains on one.",
    ]
    named = [f"  {name}: {where}" for name, _, where in facts if where]
    return "\n".join([*lines, "", "  Sources", *(f"  {line}" for line in named)] if named else lines)


def _cells(summary: ModelSummary) -> tuple[str, ...]:
    return (
        summary.name,
        _count(summary.parameters),
        f"{summary.context_length:,}",
        _licence(summary),
        "yes" if summary.thinking_switch else "",
        _size(summary.full.memory[1]),
        _size(summary.lora.memory[1]),
        _size(summary.stored_bytes) if summary.stored_bytes else "",
    )


def _without_template(folder: Path | None) -> str:
    place = "chat_template.jinja in its folder" if folder is None else str(folder / "chat_template.jinja")
    return f"It has no chat template and cannot be trained yet: write one to {place}."


def _mode(mode: TrainingMode) -> tuple[str, ...]:
    return (_count(mode.trainable), f"{mode.learning_rate:g}", *(_size(size) for size in mode.memory.values()))


def _here(summary: ModelSummary) -> str:
    if not summary.stored_bytes:
        return "no; `verifine models pull` fetches it"
    revision = f", revision {summary.revision}" if summary.revision else ""
    return f"{_size(summary.stored_bytes)}{revision}"


def _licence(summary: ModelSummary) -> str:
    return f"{summary.licence or 'not known'}{' *' if summary.gated else ''}"


def _thinking(summary: ModelSummary) -> str:
    switch = summary.thinking_switch
    return f"yes; model.chat_template_kwargs: {{{switch}: false}} turns it off" if switch else "no switch"


def _accelerators(count: int) -> str:
    return "1 accelerator" if count == 1 else f"{count}"


def _count(number: int) -> str:
    return f"{number / 1e9:.1f} B" if number >= 999_500_000 else f"{number / 1e6:.0f} M"


def _size(size: int) -> str:
    from verifine.preflight.memory import describe_bytes

    return describe_bytes(size)
