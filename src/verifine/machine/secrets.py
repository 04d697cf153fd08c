"""Keys and tokens of the environment, kept out of everything that is written down or shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from verifine.machine.blocks import Content
from verifine.machine.disk import Disk

MASK = "[secret]"

MIN_LENGTH = 8
"""Shorter values are words rather than secrets, and would be found where nobody meant them."""

TEXT_FILES = frozenset({".json", ".jsonl", ".yaml", ".html"})

_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH)", re.IGNORECASE)


def find_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values of variables whose names say that they are secret, the longest first."""
    values = {value.strip() for name, value in environment.items() if _NAME.search(name)}
    return tuple(sorted((value for value in values if _is_secret(value)), key=lambda value: (-len(value), value)))


def mask(text: str, secrets: Sequence[str]) -> str:
    """The text without the secrets: a server may repeat what it was sent, a grader's error what it was called with."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


class MaskingDisk:
    """A disk on which no text file holds a secret."""

    def __init__(self, disk: Disk, secrets: Sequence[str]) -> None:
        self._disk = disk
        # In JSON, a quotation mark or a letter beyond ASCII may be written in another way.
        written = {
            form
            for secret in secrets
            for form in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
        }
        self._secrets = sorted((form.encode() for form in written), key=lambda form: (-len(form), form))

    def write(self, path: Path, content: Iterable[Content]) -> None:
        if TEXT_FILES.intersection(path.suffixes):
            content = [self._masked(b"".join(content))]
        self._disk.write(path, content)

    def append(self, path: Path, content: bytes) -> None:
        self._disk.append(path, self._masked(content))

    def sync(self, path: Path) -> None:
        self._disk.sync(path)

    def rename(self, source: Path, target: Path) -> None:
        self._disk.rename(source, target)

    def remove(self, path: Path) -> None:
        self._disk.remove(path)

    def _masked(self, content: bytes) -> bytes:
        for secret in self._secrets:
            content = content.replace(secret, MASK.encode())
        return content


def _is_secret(value: str) -> bool:
    """A path or a plain number is none, whatever the variable is called (SSH_AUTH_SOCK, MAX_TOKENS)."""
    return len(value) >= MIN_LENGTH and not value.startswith("/") and not value.isdecimal()
