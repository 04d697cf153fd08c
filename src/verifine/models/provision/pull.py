"""Bringing a model into the cache, from the first source that has it. One process does it, others wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path

from verifine.errors import ModelError
from verifine.models.provision.cache import (
    ORIGIN_FILE,
    ModelCache,
    Origin,
    StoredModel,
    origin_content,
    read_origin,
)
from verifine.models.provision.folder import PICKLE_HINT, check_config, check_tokenizer
from verifine.models.provision.hub import Hub, HubFile, HubModel, InterruptedDownloadError
from verifine.models.provision.transfer import Progress, Transfer

WEIGHTS = "*.safetensors"
_CONSOLIDATED = "consolidated*.safetensors"
"""The same weights once more, under names that transformers does not read."""
_SMALL_FILES = ("*.json", "*.jinja", "tokenizer.model", "*.txt", "LICENSE*", "README.md")
_OTHER_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.gguf", "*.h5", "*.msgpack")

_REVISION_FILE = ".revision"
"""In a partial folder: the commit that its files are of."""

Source = Callable[[Path], Origin]
"""Fills a folder with a model. It raises ModelError if it cannot, and the next source is asked."""


def nothing_more(folder: Path, name: str) -> None:
    """Checks nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSource:
    """The Hugging Face hub, as a source of one model."""

    hub: Hub
    hub_id: str
    revision: str | None
    """None: the newest."""
    timeout_s: float
    cache: ModelCache
    progress: Progress
    check: Callable[[Path, str], object] = nothing_more
    """Called with the folder of the small files and the model's name before weights are fetched; it may raise."""

    def __call__(self, folder: Path) -> Origin:
        """Fetches the small files first, and the weights only if these could be used.

        Raises:
            ModelError: the hub does not have it, it cannot be used, or the download was interrupted.
            DiskError: it cannot be written.
        """
        disk = self.cache.disk
        self.progress(f"asking the Hugging Face hub for {self.hub_id}", 0, 0)
        model = self.find()
        small, weights = _choose(model)
        self._begin(folder, model.revision)
        transfer = Transfer(hub=self.hub, model=model, folder=folder, disk=disk, progress=self.progress)
        files = transfer.fetch(small)
        check_config(folder, self.hub_id)
        check_tokenizer(folder, self.hub_id)
        self.check(folder, self.hub_id)
        files |= transfer.fetch(weights)
        return Origin(
            hub_id=self.hub_id,
            source="Hugging Face hub",
            revision=model.revision,
            licence=model.licence,
            fetched=datetime.now(UTC),
            files=files,
        )

    def find(self) -> HubModel:
        """The commit that would be fetched.

        Raises:
            ModelError: the hub does not have it, or does not answer.
        """
        return self.hub.find(self.hub_id, self.revision, self.timeout_s)

    def _begin(self, folder: Path, revision: str) -> None:
        """Keeps what an earlier attempt fetched, if it was of the same commit."""
        marker, origin = folder / _REVISION_FILE, read_origin(folder)
        known = marker.read_text() if marker.is_file() else origin and origin.revision
        if known != revision:
            self.cache.disk.remove(folder)
            self.cache.disk.write(marker, [revision.encode()])


def pull_model(
    hub_id: str, cache: ModelCache, sources: Sequence[Source], progress: Progress, *, commit: str | None = None
) -> StoredModel:
    """The model in the cache, fetched if it is not there, or not at `commit`; None: any will do.

    Raises:
        ModelError: no source has it; the message has the reason of each.
        DiskError: it cannot be stored.
    """
    with cache.hold(hub_id, lambda: progress(f"waiting for another process that is fetching {hub_id}", 0, 0)):
        stored = cache.find(hub_id) or cache.finish(hub_id)
        if stored is not None and commit in (None, stored.revision):
            return stored
        partial = cache.partial_of(hub_id)
        origin = _ask_in_turn(hub_id, cache, sources)
        cache.disk.write(partial / ORIGIN_FILE, [origin_content(origin)])
        cache.disk.remove(partial / _REVISION_FILE)  # from here on the other file says it
        return cache.store(hub_id)


def _ask_in_turn(hub_id: str, cache: ModelCache, sources: Sequence[Source]) -> Origin:
    partial = cache.partial_of(hub_id)
    failures: list[ModelError] = []
    for source in sources:
        if failures:
            # The remains of one source are not part of another's model.
            cache.disk.remove(partial)
        try:
            return source(partial)
        except ModelError as error:
            failures.append(error)
            if isinstance(error, InterruptedDownloadError):
                break  # another source would begin anew, and be of another commit
    reasons = " ".join(f"{str(failure).rstrip('.')}." for failure in failures)
    raise ModelError(f"cannot fetch {hub_id}: {reasons} Or give a local folder that holds the model.") from failures[-1]


def _choose(model: HubModel) -> tuple[list[HubFile], list[HubFile]]:
    """The small files and the weights that are of use.

    Raises:
        ModelError: the weights are in a format that can run code.
    """
    # What lies in folders is in another format, or of training.
    top = sorted((file for file in model.files if "/" not in file.name), key=lambda file: file.name)
    weights = [file for file in top if fnmatch(file.name, WEIGHTS)]
    if any(not fnmatch(file.name, _CONSOLIDATED) for file in weights):
        weights = [file for file in weights if not fnmatch(file.name, _CONSOLIDATED)]
    if not weights:
        others = [file.name for file in top if any(fnmatch(file.name, pattern) for pattern in _OTHER_WEIGHTS)]
        found = f", only {', '.join(others[:3])}" if others else ""
        raise ModelError(f"{model.hub_id} has no *.safetensors{found}; {PICKLE_HINT}")
    small = [file for file in top if any(fnmatch(file.name, pattern) for pattern in _SMALL_FILES)]
    return small, weights
