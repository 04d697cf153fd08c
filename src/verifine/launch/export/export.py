"""Writes the model of a run in the form that another program reads."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from verifine.insights.card.card import write_card
from verifine.insights.card.facts import base_name
from verifine.insights.card.subject import CardSubject, ModelForm, record_at
from verifine.launch.export.new_folder import new_folder
from verifine.launch.export.source import find_source
from verifine.launch.export.target import ExportTarget
from verifine.launch.export.writing import decide_numbers, refuse_full_disk, write_form
from verifine.launch.input_facts import find_hub_id
from verifine.machine.disk import LOCAL_DISK, Disk, draft_of
from verifine.machine.secrets import MaskingDisk, find_secrets
from verifine.runs.events import Listener, StageBegan
from verifine.runs.record import RunRecord, read_run
from verifine.runs.run_file import InputFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What to write, and where."""

    form: ModelForm
    numbers: str | None = None
    """The type of the weights; None: the usual one of the form."""
    out: Path | None = None
    """None: a folder in the run directory, named after the form."""
    repository: str | None = None
    """OWNER/NAME on the hub that the folder is meant for; None: it is for this machine."""
    shows_samples: bool = True
    """Whether the card quotes held-out prompts and answers."""


def export(
    target: ExportTarget, options: ExportOptions, tell: Listener = lambda _: None, disk: Disk = LOCAL_DISK
) -> Path:
    """Writes the folder, with its model card, and returns it. It is complete, or it is not there.

    Raises:
        ConfigError: the form does not have weights of that type, or the folder is there already.
        DiskError: the disk is full or broken, or would be.
        ModelError: the model does not have that form.
        CheckpointError: the checkpoint is damaged.
    """
    numbers = decide_numbers(options.form, options.numbers)
    record = _read_record(target)
    folder = options.out or target.run.exports / _name(target, options, numbers)
    masked = MaskingDisk(disk, find_secrets(os.environ))
    with new_folder(folder, disk) as draft:
        scratch = draft_of(draft / "source")
        source = find_source(target, scratch, tell, disk)
        refuse_full_disk(source, folder, options.form, numbers)
        tell(StageBegan(text=f"writing {folder}"))
        subject = CardSubject(
            form=options.form,
            numbers=numbers,
            file=f"{base_name(record)}-{numbers}.gguf" if options.form == "gguf" else None,
            step=target.step,
            repository=options.repository,
            shows_samples=options.shows_samples,
        )
        write_form(source, draft, record, subject, disk)
        disk.remove(scratch)
        write_card(draft, record, subject, masked)
    return folder


def _read_record(target: ExportTarget) -> RunRecord:
    """What the card is about. Runs of earlier versions do not say what their base model is called on the hub."""
    record = read_run(target.run)
    if record.run_file.inputs is None:
        known = InputFacts(hub_id=find_hub_id(record.config.model.name))
        record = replace(record, run_file=replace(record.run_file, inputs=known))
    return record if target.step is None else record_at(record, target.step)


def _name(target: ExportTarget, options: ExportOptions, numbers: str) -> str:
    """`merged`, `gguf-q8_0`, or `step-000020-merged`."""
    step = [] if target.checkpoint is None else [target.checkpoint.name]
    kind = [] if numbers == decide_numbers(options.form, None) else [numbers]
    return "-".join([*step, options.form, *kind])
