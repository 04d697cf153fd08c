"""Where fetched models are kept: a folder each, which is complete or not there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from verifine.machine.disk import LOCAL_DISK, Disk, draft_of, put_in_place, refuse_failure

ORIGIN_FILE = ".verifine.json"
"""Where a stored model came from. Hidden, so that it is no part of the model and of its hash."""

_PARTIAL = ".partial-"
_LOCK = ".lock-"


@checked_dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of a model as it was when it was stored."""

    size: int
    sha256: str


@checked_dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a stored model came from."""

    hub_id: str
    source: str
    """In words."""
    revision: str | None
    """The commit on the hub; None: it came from elsewhere."""
    licence: str | None
    """As the hub abbreviates it; None: it does not say."""
    fetched: datetime
    files: Mapping[str, StoredFile] = field(default_factory=dict)


_ORIGIN = TypeAdapter(Origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A complete model in the cache."""

    hub_id: str
    folder: Path
    origin: Origin | None
    """None: an earlier version of Verifine stored it."""

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    @property
    def revision(self) -> str | None:
        """The commit on the hub; None: it is not known."""
        return None if self.origin is None else self.origin.revision


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where fetched models are kept: `VERIFINE_HOME`, else the user's cache folder."""
    if home := environment.get("VERIFINE_HOME"):
        return Path(home).expanduser()
    return user_cache(environment)


def user_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """What belongs to this user on this machine, wherever models are kept."""
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "verifine"


def read_origin(folder: Path) -> Origin | None:
    """Where the model in a folder came from; None: nothing legible says."""
    try:
        return _ORIGIN.validate_json((folder / ORIGIN_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def origin_content(origin: Origin) -> bytes:
    """What `ORIGIN_FILE` holds."""
    return _ORIGIN.dump_json(origin, indent=2) + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCache:
    """The models of a cache folder."""

    folder: Path
    disk: Disk = LOCAL_DISK

    @property
    def models(self) -> Path:
        return self.folder / "models"

    def place_of(self, hub_id: str) -> Path:
        """Where a model is, or would be."""
        return self.models / hub_id.replace("/", "--")

    def partial_of(self, hub_id: str) -> Path:
        """Where a model is while it is fetched; kept if that is interrupted, so that the next attempt continues."""
        place = self.place_of(hub_id)
        return place.with_name(f"{_PARTIAL}{place.name}")

    def find(self, hub_id: str) -> StoredModel | None:
        """A stored model; None: it is not here, or not completely."""
        place = self.place_of(hub_id)
        if not place.is_dir():
            return None
        return StoredModel(hub_id=hub_id, folder=place, origin=read_origin(place))

    def stored(self) -> list[StoredModel]:
        """All complete models, by name."""
        if not self.models.is_dir():
            return []
        names = sorted(path.name for path in self.models.iterdir() if path.is_dir() and not path.name.startswith("."))
        found = (self.find(name.replace("--", "/", 1)) for name in names)
        return [each for each in found if each is not None]

    def store(self, hub_id: str) -> StoredModel:
        """Gives a model that was fetched completely its place, and removes the one that had it.

        Raises:
            DiskError: it failed; what was in that place is still there.
        """
        place, partial = self.place_of(hub_id), self.partial_of(hub_id)
        for path in sorted(partial.rglob("*")):
            self.disk.sync(path)
        put_in_place(partial, place, self.disk)
        return StoredModel(hub_id=hub_id, folder=place, origin=read_origin(place))

    def finish(self, hub_id: str) -> StoredModel | None:
        """Stores a model that was complete when its process was killed; None: there is none.

        Raises:
            DiskError: it failed.
        """
        is_complete = (self.partial_of(hub_id) / ORIGIN_FILE).is_file()
        return self.store(hub_id) if is_complete and self.find(hub_id) is None else None

    def remove(self, hub_id: str) -> None:
        """Removes a model, and what an interrupted download left of it. No part of it is ever taken for a model.

        Raises:
            DiskError: it failed.
        """
        place = self.place_of(hub_id)
        if place.is_dir():
            draft = draft_of(place)
            self.disk.remove(draft)
            self.disk.rename(place, draft)
            self.disk.remove(draft)
        self.disk.remove(self.partial_of(hub_id))

    @contextmanager
    def hold(self, hub_id: str, tell_waiting: Callable[[], None]) -> Iterator[None]:
        """Keeps other processes from fetching or removing the same model; waits for one that does so already.

        The system lets go of the lock when a process ends, however it does. The lock's file stays: if it were removed,
        a process that waits for it would hold another file than one that comes later.

        Raises:
            DiskError: the cache is in a place that cannot be written.
        """
        place = self.place_of(hub_id)
        with refuse_failure(self.models):
            self.models.mkdir(parents=True, exist_ok=True)
            lock = place.with_name(f"{_LOCK}{place.name}").open("ab")
        with lock as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                tell_waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield
