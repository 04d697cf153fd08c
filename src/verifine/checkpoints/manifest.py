"""The manifest of a checkpoint: it reveals every missing, truncated or changed file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from verifine.errors import CheckpointError

MANIFEST = "MANIFEST.json"

VERSION = 1
"""The layout's version. Raised when older versions of Verifine cannot read newer checkpoints."""

READ_BYTES = 1 << 20


class FileRecord(BaseModel):
    """The size and hash of a file as it was written."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """Every file of a checkpoint, by name, except the manifest itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: int
    step: int
    files: Mapping[str, FileRecord]

    def encode(self) -> bytes:
        """The manifest as a file: its content, then the content's hash."""
        content = self.model_dump_json()
        return f"{content}\n{_sha256(content.encode())}\n".encode()


class HashingWriter:
    """Counts and hashes the content of a file while it is being written."""

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
    """Reads every file of a checkpoint and compares it with the manifest.

    Raises:
        CheckpointError: a file is missing, unexpected or changed.
    """
    manifest = _read_manifest(folder)
    found = {path.name for path in folder.iterdir()} - {MANIFEST}
    for name in sorted(found ^ manifest.files.keys()):
        what = "is missing" if name in manifest.files else "does not belong to the checkpoint"
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
        raise CheckpointError(f"{path} is damaged: its sha256 differs from that of what was written")


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise CheckpointError(f"{path} is missing")
    content = path.read_bytes()
    text, _, rest = content.partition(b"\n")
    if rest != f"{_sha256(text)}\n".encode():
        raise CheckpointError(f"{path} is damaged: its sha256 differs from that of what was written")
    try:
        version = json.loads(text)["version"]
        if version != VERSION:
            raise CheckpointError(
                f"{path} has layout {version}, and this version of Verifine reads layout {VERSION}; use the version "
                "that wrote it"
            )
        return Manifest.model_validate_json(text)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
