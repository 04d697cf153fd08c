"""The models that can be asked for: those that come with Verifine, the catalogue, and others on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from verifine.errors import ModelError
from verifine.launch.models.summary import ModelSummary, summarize_entry, summarize_shipped
from verifine.models.provision.cache import ModelCache, StoredModel
from verifine.models.provision.catalogue import CATALOGUE, find_entry, is_hub_id, nearest_names
from verifine.models.provision.folder import check_folder, check_tokenizer
from verifine.models.provision.shipped import SHIPPED, find_shipped


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelListing:
    """The models that can be asked for."""

    summaries: tuple[ModelSummary, ...]
    """Of those that come with Verifine, of the catalogue in its order, then of other models in the cache."""
    faults: tuple[str, ...]
    """Why some models in the cache cannot be used."""


def list_models(cache: ModelCache) -> ModelListing:
    """All of them. Models that an earlier version stored, and this one refuses, are told as faults."""
    stored = {each.hub_id: each for each in cache.stored()}
    known = [summarize_shipped(name, model) for name, model in SHIPPED.items()]
    known += [_with_stored(summarize_entry(name, entry), stored.get(entry.hub_id)) for name, entry in CATALOGUE.items()]
    in_catalogue = {entry.hub_id for entry in CATALOGUE.values()}
    faults: list[str] = []
    for hub_id, each in stored.items():
        if hub_id not in in_catalogue:
            try:
                known.append(_inspect(hub_id, each.folder, hub_id, each.size))
            except ModelError as error:
                faults.append(str(error))
    return ModelListing(summaries=tuple(known), faults=tuple(faults))


def find_summary(name: str, cache: ModelCache) -> ModelSummary:
    """What is known of a shipped or a catalogue name, a stored hub id, or a folder.

    Raises:
        ModelError: there is none of that name, or its files are no model that can be trained.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        check_folder(folder)
        check_tokenizer(folder, name)
        return _inspect(name, folder, None, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
    shipped = find_shipped(name)
    if shipped is not None:
        return summarize_shipped(name.lower(), shipped)
    entry = find_entry(name)
    if entry is not None:
        short = next(short for short, each in CATALOGUE.items() if each is entry)
        return _with_stored(summarize_entry(short, entry), cache.find(entry.hub_id))
    stored = cache.find(name) if is_hub_id(name) else None
    if stored is None:
        nearest = nearest_names(name, [each.hub_id for each in cache.stored()])
        hint = f" (did you mean {' or '.join(nearest)}?)" if nearest else ""
        raise ModelError(
            f'"{name}" is not in the catalogue and not on this machine{hint}; '
            "`verifine models pull OWNER/NAME` fetches a model of the hub"
        )
    return _inspect(name, stored.folder, name, stored.size)


def remove_stored(name: str, cache: ModelCache, tell_waiting: Callable[[], None]) -> tuple[str, int]:
    """Removes a model from the cache; returns its hub id and its size.

    Raises:
        ModelError: it is not there, or comes with Verifine.
        DiskError: it cannot be removed.
    """
    if find_shipped(name) is not None:
        raise ModelError(f"{name} comes with Verifine and cannot be removed; it takes no room in the cache")
    entry = find_entry(name)
    if entry is None and not is_hub_id(name):
        raise _not_here(name, cache)
    hub_id = name if entry is None else entry.hub_id
    partial = cache.partial_of(hub_id)
    with cache.hold(hub_id, tell_waiting):
        stored = cache.find(hub_id)
        if stored is None and not partial.is_dir():
            raise _not_here(name, cache)
        folder = partial if stored is None else stored.folder
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        cache.remove(hub_id)
    return hub_id, size


def _not_here(name: str, cache: ModelCache) -> ModelError:
    here = ", ".join(each.hub_id for each in cache.stored()) or "none"
    return ModelError(f'"{name}" is not among the models on this machine; there are: {here}')


def _with_stored(summary: ModelSummary, stored: StoredModel | None) -> ModelSummary:
    return summary if stored is None else summary.with_stored(stored.size, stored.revision)


def _inspect(name: str, folder: Path, hub_id: str | None, size: int) -> ModelSummary:
    # Only models outside the catalogue need transformers, which takes seconds to import.
    from verifine.launch.models.inspect import summarize_folder

    return summarize_folder(name, folder, hub_id, size)
