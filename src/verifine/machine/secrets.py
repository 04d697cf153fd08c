"""Keys and tokens of the environment, kept out of everything that is written or shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from verifine.machine.blocks import Content
from verifine.machine.disk import Disk

MASK = "[secret]"

MIN_LENGTH = 8
"""Shorter values are probably words, and masking them would damage unrelated text."""

TEXT_FILES = frozenset({".json", ".jsonl", ".yaml", ".html", ".md", ".txt"})

_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH)", re.IGNORECASE)


def find_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values of variables with names such as API_KEY or HF_TOKEN, the longest first."""
    values = {value.strip() for name, value in environment.items() if _NAME.search(name)}
    return tuple(sorted((value for value in values if _is_secret(value)), key=lambda value: (-len(value), value)))


def mask(text: str, secrets: Sequence[str]) -> str:
    """The text without the secrets. A server may repeat what it was sent, and an error may show its arguments."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


class MaskingDisk:
    """A disk that masks secrets in text files."""

    def __init__(self, disk: Disk, secrets: Sequence[str]) -> None:
        self._disk = disk
        # JSON escapes quotation marks and may escape letters beyond ASCII.
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
    """Paths and plain numbers are not secrets, whatever their variable is called (SSH_AUTH_SOCK, MAX_TOKENS)."""
    return len(value) >= MIN_LENGTH and not value.startswith("/") and not value.isdecimal()
