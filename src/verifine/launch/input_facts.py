"""What a run is made from, for its model card: names, licence and sizes."""

from __future__ import annotations

from pathlib import Path

import yaml
from huggingface_hub.repocard import metadata_load

from verifine.launch.inputs import RunInputs
from verifine.models.provision.cache import read_origin
from verifine.models.provision.catalogue import find_entry, is_hub_id
from verifine.models.provision.shipped import find_shipped
from verifine.models.provision.stored import ProvisionedModel
from verifine.runs.run_file import InputFacts

_CARD = "README.md"


def find_input_facts(inputs: RunInputs, files: ProvisionedModel) -> InputFacts:
    """Nothing is guessed: what the model's name, the catalogue and the model's own card do not say is left out."""
    origin = read_origin(files.folder)
    return InputFacts(
        hub_id=find_hub_id(inputs.config.model.name),
        revision=None if origin is None else origin.revision,
        licence=_find_licence(inputs.config.model.name, files.folder),
        train_examples=len(inputs.train),
        held_out_examples=len(inputs.held_out),
        system_prompt=_find_system_prompt(inputs),
    )


def _find_system_prompt(inputs: RunInputs) -> str | None:
    data = inputs.config.data
    if data.task is None:
        return data.system_prompt
    first = inputs.train[0].messages[0]
    return first.content if first.role == "system" else None


def find_hub_id(name: str) -> str | None:
    """None: it is a local folder, also one that is not there any more, or comes with Verifine."""
    if Path(name).expanduser().is_dir() or find_shipped(name) is not None:
        return None
    entry = find_entry(name)
    if entry is not None:
        return entry.hub_id
    return name if is_hub_id(name) else None


def _find_licence(name: str, folder: Path) -> str | None:
    """What the model's own card says, the hub said, or the catalogue says."""
    origin, entry = read_origin(folder), None if Path(name).expanduser().is_dir() else find_entry(name)
    said = (find_licence(folder), origin and origin.licence, entry and entry.licence)
    return next((licence for licence in said if licence), None)


def find_licence(folder: Path) -> str | None:
    """The licence in the front matter of the model's card; None: it has none."""
    try:
        licence = (metadata_load(folder / _CARD) or {}).get("license")
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return licence if isinstance(licence, str) else None
