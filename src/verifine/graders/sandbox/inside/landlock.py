"""Landlock: which files a process may see, and that it cannot reach processes outside."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from verifine.graders.sandbox.inside.kernel import (
    LANDLOCK_ADD_RULE,
    LANDLOCK_CREATE_RULESET,
    LANDLOCK_RESTRICT_SELF,
    system_call,
)

_VERSION_FLAG = 1
_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_READ = _READ_FILE | _READ_DIR

_FILE_RIGHTS = ((1, 13), (2, 14), (3, 15), (5, 16))
"""From which version on the kernel knows how many rights on files."""
_CONNECT_AND_BIND = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11
_NETWORK_SINCE, _SCOPES_SINCE = 4, 6


def find_version() -> int:
    """The version of Landlock's interface; 0 where the kernel has none."""
    try:
        return system_call(LANDLOCK_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def restrict(read: Iterable[str], devices: Iterable[str]) -> None:
    """From now on: files below `read` can be read, `devices` read and written, and all else is out of reach."""
    version = find_version()
    rights = max(count for since, count in _FILE_RIGHTS if version >= since)
    network = _CONNECT_AND_BIND if version >= _NETWORK_SINCE else 0
    ruleset = _create(version, files=(1 << rights) - 1, network=network)
    for path in read:
        _allow(ruleset, path, _READ if os.path.isdir(path) else _READ_FILE)  # noqa: PTH112 - no pathlib inside
    for path in devices:
        _allow(ruleset, path, _READ_FILE | _WRITE_FILE)
    system_call(LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def isolate() -> bool:
    """Cut this process off from signals to, and abstract sockets of, those outside; whether the kernel can."""
    version = find_version()
    if version < _SCOPES_SINCE:
        return False
    ruleset = _create(version, scoped=_ABSTRACT_SOCKETS_AND_SIGNALS)
    system_call(LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return True


def _create(version: int, *, files: int = 0, network: int = 0, scoped: int = 0) -> int:
    words = [files]
    if version >= _NETWORK_SINCE:
        words.append(network)
    if version >= _SCOPES_SINCE:
        words.append(scoped)
    attributes = struct.pack(f"={len(words)}Q", *words)
    return system_call(LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)


def _allow(ruleset: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    system_call(LANDLOCK_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    os.close(descriptor)
