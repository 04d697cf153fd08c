"""What a checkpoint consists of, so that a missing, cut or changed file is always found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from verifine.errors import CheckpointError

MANIFEST = "MANIFEST.json"

VERSION = 1
"""Of the layout. Raised when an older Verifine could not read a newer checkpoint."""

READ_BYTES = 1 << 20


class FileRecord(BaseModel):
    """A file as it was written."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """Every file of a checkpoint but this one, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: int
    step: int
    files: Mapping[str, FileRecord]

    def encode(self) -> bytes:
        """The file: what it says, then the hash of what it says."""
        content = self.model_dump_json()
        return f"{content}\n{_sha256(content.encode())}\n".encode()


class Ledger:
    """Counts and hashes a file's content on its way to the disk."""

    def __init__(self, content: Iterable[bytes | memoryview]) -> None:
        self._content = content
        self._digest = hashlib.sha256()
        self._bytes = 0

    def __iter__(self) -> Iterator[bytes | memoryview]:
        for part in self._content:
            self._digest.update(part)
            self._bytes += len(part)
            yield part

    @property
    def record(self) -> FileRecord:
        return FileRecord(bytes=self._bytes, sha256=self._digest.hexdigest())


def verify(folder: Path) -> Manifest:
    """Reads every file of a checkpoint and compares.

    Raises:
        CheckpointError: the first thing that is not as it was written.
    """
    manifest = _read_manifest(folder)
    found = {path.name for path in folder.iterdir()} - {MANIFEST}
    for name in sorted(found ^ manifest.files.keys()):
        what = "is missing" if name in manifest.files else "does not belong there"
        raise CheckpointError(f"{folder / name} {what}")
    for name, record in manifest.files.items():
        _verify_file(folder / name, record)
    return manifest


def _verify_file(path: Path, record: FileRecord) -> None:
    size = path.stat().st_size
    if size != record.bytes:
        raise CheckpointError(f"{path} has {size} bytes, but {record.bytes} were written")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(READ_BYTES):
            digest.update(part)
    if digest.hexdigest() != record.sha256:
        raise CheckpointError(f"{path} is not what was written: its sha256 differs")


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise CheckpointError(f"{path} is missing")
    content = path.read_bytes()
    said, _, rest = content.partition(b"\n")
    if rest != f"{_sha256(said)}\n".encode():
        raise CheckpointError(f"{path} is not what was written: its sha256 differs")
    try:
        version = json.loads(said)["version"]
        if version != VERSION:
            raise CheckpointError(
                f"{path} is of layout {version}, and this Verifine reads layout {VERSION}; use the Verifine that "
                "wrote it"
            )
        return Manifest.model_validate_json(said)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
