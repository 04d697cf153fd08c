"""Fetching the files of a model: in parts, from where an earlier attempt stopped, and compared with their hashes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from verifine.errors import DiskError, ModelError
from verifine.machine.disk import Disk, draft_of, free_bytes
from verifine.models.provision.cache import StoredFile
from verifine.models.provision.hub import Hub, HubFile, HubModel

Progress = Callable[[str, int, int], None]
"""Called with a description, the bytes that are done and the bytes in total; 0: not known."""

PART_BYTES = 1 << 20
"""Bytes that are written at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Brings the files of a model into a folder."""

    hub: Hub
    model: HubModel
    folder: Path
    disk: Disk
    progress: Progress
    part_bytes: int = PART_BYTES

    def fetch(self, files: Sequence[HubFile]) -> dict[str, StoredFile]:
        """Fetches what is missing of `files`; a file has its name in the folder once its hash was right.

        Raises:
            ModelError: a file cannot be read, or is not the one that the hub describes.
            DiskError: it cannot be written; there is not enough space, for example.
        """
        self._check_space(files)
        return {file.name: self._fetch_one(file, f"{n} of {len(files)}") for n, file in enumerate(files, start=1)}

    def _check_space(self, files: Sequence[HubFile]) -> None:
        missing = sum(file.size - self._done(file) for file in files)
        free = free_bytes(self.folder)
        if missing > free:
            raise DiskError(
                f"{self.model.hub_id} takes {missing / 1e9:.1f} GB more, and {self.folder.parent} has {free / 1e9:.1f} "
                "GB of free space; free some space, or set VERIFINE_HOME to a folder on another disk",
                is_full=True,
            )

    def _done(self, file: HubFile) -> int:
        """The bytes of a file that are here."""
        path = self.folder / file.name
        return next((each.stat().st_size for each in (path, draft_of(path)) if each.is_file()), 0)

    def _fetch_one(self, file: HubFile, place: str) -> StoredFile:
        path = self.folder / file.name
        if not path.is_file():  # else an earlier attempt has compared it
            draft = draft_of(path)
            self._read(file, draft, place)
            self.disk.rename(draft, path)
        return StoredFile(size=file.size, sha256=_sha256(path))

    def _read(self, file: HubFile, draft: Path, place: str) -> None:
        """Reads what is missing of a file, and all of it once more if what there was is not right.

        A power cut may leave blanks in the part that an earlier attempt had written.
        """
        done = draft.stat().st_size if draft.is_file() else 0
        for start in sorted({done if done <= file.size else 0, 0}, reverse=True):
            self._append(file, draft, start, place)
            if _is_right(draft, file):
                return
        self.disk.remove(draft)
        raise ModelError(
            f"{file.name} of {self.model.hub_id} is damaged: its hash is not the one that the hub names. It was "
            "removed; try again, and if it happens again, tell whoever runs the hub or its mirror (HF_ENDPOINT)"
        )

    def _append(self, file: HubFile, draft: Path, start: int, place: str) -> None:
        text = f"downloading {file.name} of {self.model.hub_id} ({place})"
        if start == 0:
            self.disk.write(draft, [])
        sink = _Sink(draft, start, self.disk, self.part_bytes, lambda size: self.progress(text, size, file.size))
        self.progress(text, start, file.size)
        self.hub.read(self.model, file, sink, start)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git_hash(path: Path) -> str:
    """The sha1 that git gives a file."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_right(path: Path, file: HubFile) -> bool:
    if path.stat().st_size != file.size:
        return False
    return _sha256(path) == file.sha256 if file.sha256 is not None else _git_hash(path) == file.git_hash


class _Sink(io.BytesIO):
    """The open file that the hub's client writes to: every part goes through the disk."""

    def __init__(self, path: Path, done: int, disk: Disk, part_bytes: int, told: Callable[[int], None]) -> None:
        super().__init__()
        self._path, self._done, self._disk = path, done, disk
        self._part_bytes, self._told = part_bytes, told

    def write(self, content: bytes) -> int:  # type: ignore[override]
        for start in range(0, len(content), self._part_bytes):
            part = content[start : start + self._part_bytes]
            self._disk.append(self._path, part)
            self._done += len(part)
            self._told(self._done)
        return len(content)

    def tell(self) -> int:
        return self._done

    def seek(self, place: int, whence: int = 0) -> int:
        assert (place, whence) == (0, 0), "the client goes back to the start alone, where a server knows no ranges"
        self._done = 0
        return 0

    def truncate(self, size: int | None = None) -> int:
        assert size is None
        self._disk.write(self._path, [])
        return self._done
