"""The models that can be asked for: the catalogue, and those on this machine."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from verifine.errors import ModelError
from verifine.launch.models.summary import ModelSummary, summarize_entry
from verifine.models.provision.cache import ModelCache, StoredModel
from verifine.models.provision.catalogue import CATALOGUE, find_entry


def list_summaries(cache: ModelCache) -> list[ModelSummary]:
    """The catalogue in its order, then other models in the cache.

    Raises:
        ModelError: transformers does not know one of those.
    """
    stored = {each.hub_id: each for each in cache.stored()}
    known = [_with_stored(summarize_entry(name, entry), stored.get(entry.hub_id)) for name, entry in CATALOGUE.items()]
    in_catalogue = {entry.hub_id for entry in CATALOGUE.values()}
    others = [each for hub_id, each in stored.items() if hub_id not in in_catalogue]
    return known + [_inspect(each.hub_id, each.folder, each.hub_id, each.size) for each in others]


def find_summary(name: str, cache: ModelCache) -> ModelSummary:
    """What is known of a catalogue name, a stored hub id, or a folder.

    Raises:
        ModelError: there is none of that name, or its files do not say what it is.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _inspect(name, folder, None, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
    entry = find_entry(name)
    if entry is not None:
        short = next(short for short, each in CATALOGUE.items() if each is entry)
        return _with_stored(summarize_entry(short, entry), cache.find(entry.hub_id))
    stored = cache.find(name)
    if stored is None:
        raise ModelError(
            f'"{name}" is not in the catalogue and not on this machine{near_matches(name, cache)}; '
            "`verifine models pull OWNER/NAME` fetches a model of the hub"
        )
    return _inspect(name, stored.folder, name, stored.size)


def remove_stored(name: str, cache: ModelCache, tell_waiting: Callable[[], None]) -> tuple[str, int]:
    """Removes a model from the cache; returns its hub id and its size.

    Raises:
        ModelError: it is not there.
        DiskError: it cannot be removed.
    """
    entry = find_entry(name)
    hub_id = name if entry is None else entry.hub_id
    partial = cache.partial_of(hub_id)
    with cache.hold(hub_id, tell_waiting):
        stored = cache.find(hub_id)
        if stored is None and not partial.is_dir():
            here = ", ".join(each.hub_id for each in cache.stored()) or "none"
            raise ModelError(f'"{name}" is not among the models on this machine; there are: {here}')
        folder = partial if stored is None else stored.folder
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        cache.remove(hub_id)
    return hub_id, size


def near_matches(name: str, cache: ModelCache) -> str:
    """A clause with the models of the nearest names, or an empty text."""
    known = [*CATALOGUE, *(entry.hub_id for entry in CATALOGUE.values()), *(each.hub_id for each in cache.stored())]
    nearest = get_close_matches(name, known, n=3)
    return f" (did you mean {' or '.join(nearest)}?)" if nearest else ""


def _with_stored(summary: ModelSummary, stored: StoredModel | None) -> ModelSummary:
    return summary if stored is None else summary.with_stored(stored.size, stored.revision)


def _inspect(name: str, folder: Path, hub_id: str | None, size: int) -> ModelSummary:
    # Only models outside the catalogue need transformers, which takes seconds to import.
    from verifine.launch.models.inspect import summarize_folder

    return summarize_folder(name, folder, hub_id, size)
