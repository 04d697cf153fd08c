"""What a model is made of, in pairs of a name and Markdown; what is not known is left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from verifine.insights.card.markdown import code, literal
from verifine.insights.card.subject import CardSubject
from verifine.insights.outcome import describe_duration, pluralize
from verifine.runs.events import last_end
from verifine.runs.record import RunRecord
from verifine.runs.run_file import InputFacts
from verifine.runs.status import SOLVED, Status

_HUB = "https://huggingface.co"
_VERSIONS = {"python": "Python", "verifine": "Verifine", "torch": "torch", "transformers": "transformers"}


def base_name(record: RunRecord) -> str:
    """The starting model without its owner or folder."""
    inputs = record.run_file.inputs
    name = record.model_name if inputs is None or inputs.hub_id is None else inputs.hub_id
    return name.rstrip("/").rpartition("/")[2]


def data_name(record: RunRecord) -> str:
    """The built-in task, the dataset on the hub, or the name of the file."""
    data = record.config.data
    if data.task is not None:
        return data.task
    return data.train.name if data.train is not None else ""


def model_facts(record: RunRecord, subject: CardSubject) -> list[tuple[str, str]]:
    return [
        *_base(record),
        *_training(record),
        *_data(record),
        *_advantages(record),
        *_grader(record),
        *_form(subject),
        *_versions(record),
    ]


def _base(record: RunRecord) -> Iterator[tuple[str, str]]:
    inputs = record.run_file.inputs or InputFacts()
    name = code(base_name(record))
    if inputs.hub_id is not None:
        name = f"[{literal(inputs.hub_id)}]({_HUB}/{inputs.hub_id})"
    if inputs.revision is not None:
        name += f", revision {code(inputs.revision)}"
    yield "Base model", name
    if record.run_file.provenance is not None:
        yield "sha256 of its files", code(record.run_file.provenance.model)
    if inputs.licence is not None:
        yield "Licence of the base model", code(inputs.licence)


def _training(record: RunRecord) -> Iterator[tuple[str, str]]:
    config, lora = record.config, record.config.model.lora
    trained = "all weights" if lora is None else f"LoRA adapters of rank {lora.rank} and alpha {lora.alpha}"
    if lora is not None and lora.base_bits is not None:
        trained += f" on a base in {lora.base_bits} bits"
    yield "Method", f"reinforcement fine-tuning with {literal(config.algorithm.name.upper())}, {trained}"
    each = pluralize(config.sampling.prompts_per_step, "prompt")
    effort = f"{pluralize(record.steps, 'step')} of {each} and {config.sampling.group_size} answers to each"
    duration = "" if record.duration_s is None else f", {describe_duration(record.duration_s)} in all"
    yield "Training", f"{effort}{duration}"
    if (early := _why_early(record)) is not None:
        planned = config.run.steps
        of_all = "" if planned is None else f" of the {planned} planned"
        yield "Ended early", f"after {pluralize(record.steps, 'step')}{of_all}: {literal(early)}"


def _why_early(record: RunRecord) -> str | None:
    """None: it took all its steps, had time as its only limit, or is at a checkpoint and not at its end."""
    end = last_end(record.events)
    if end is None or end.status is Status.FINISHED:
        return None
    match end.status:
        case Status.OUT_OF_TIME:
            return None if record.config.run.steps is None else "its time was up"
        case Status.NO_SIGNAL if end.reason == SOLVED:
            return "nearly all answers were right, so there was nothing left to learn"
        case Status.NO_SIGNAL:
            return "too many steps in a row had nothing to learn from"
        case Status.NO_PROGRESS:
            return "evaluations did not get better any more"
        case Status.INTERRUPTED:
            return "it was told to stop"
        case Status.FAILED:
            return f"it failed ({end.error})"
    return "it was paused, and may go on"


def _data(record: RunRecord) -> Iterator[tuple[str, str]]:
    data, inputs = record.config.data, record.run_file.inputs or InputFacts()
    place = f"the built-in task {code(data_name(record))}" if data.task is not None else code(data_name(record))
    if data.train is not None and not isinstance(data.train, Path):
        place = f"[{literal(data.train.name)}]({_HUB}/datasets/{data.train.name}), split {code(data.train.split)}"
    counts = [
        f"{pluralize(count, 'prompt')} {purpose}"
        for count, purpose in ((inputs.train_examples, "to train on"), (inputs.held_out_examples, "held out"))
        if count is not None
    ]
    yield "Data", ": ".join([place, *([" and ".join(counts)] if counts else [])])
    if record.run_file.provenance is not None:
        yield "sha256 of the data", code(record.run_file.provenance.data)


def _advantages(record: RunRecord) -> Iterator[tuple[str, str]]:
    own = None if record.environment is None else record.environment.own_advantages
    if own is not None:
        yield "Advantages", f"{code(own)}, a function of the Python program that trained it"


def _grader(record: RunRecord) -> Iterator[tuple[str, str]]:
    own = record.environment is not None and record.environment.own_grader
    grader = record.config.grader
    if own:
        yield "Grader", "a function of the Python program that trained it"
    elif grader is not None:
        name = "" if grader.name == grader.type else f"{code(grader.name)}, of type "
        yield "Grader", f"{name}{code(grader.type)} (in full below)"
    elif record.config.data.task is not None:
        yield "Grader", f"that of the task {code(record.config.data.task)}"
    provenance = record.run_file.provenance
    if provenance is not None and provenance.grader is not None:
        yield "sha256 of the grader", code(provenance.grader)


def _form(subject: CardSubject) -> Iterator[tuple[str, str]]:
    match subject.form:
        case "merged":
            yield "Weights", f"{subject.numbers}, for transformers and vLLM"
        case "adapter":
            yield "Weights", "LoRA adapters in peft's form; they need the base model"
        case "gguf":
            yield "Weights", f"GGUF, {subject.numbers}"


def _versions(record: RunRecord) -> Iterator[tuple[str, str]]:
    attempts = record.run_file.training_attempts
    if attempts:
        found = ((called, attempts[-1].versions.get(name)) for name, called in _VERSIONS.items())
        yield "Versions", ", ".join(f"{called} {literal(version)}" for called, version in found if version is not None)
