"""The key of the local owner, in a file for its user alone: `verifine jobs` takes it on the same machine."""

from __future__ import annotations

import stat
from pathlib import Path

from verifine.machine.disk import LOCAL_DISK, Disk, refuse_failure
from verifine.service.access.key import KeyText
from verifine.service.access.key_store import KeyStore
from verifine.service.access.scopes import SCOPES
from verifine.service.database.owners import LOCAL

KEY_FILE = "key"
"""Its name in the folder of a service."""


def keep_local_key(keys: KeyStore, path: Path, disk: Disk = LOCAL_DISK) -> None:
    """Sees to it that `path` holds a key with all scopes, mode 0600. One that can still be used stays.

    A key of a version of Verifine that had no table of keys is taken in. A file that others could read gets a new key,
    and the old one is revoked.

    Raises:
        DiskError: it cannot be read or written.
    """
    with refuse_failure(path):
        key = _read(path)
        if key is not None and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            if keys.find(key.reveal()) is not None:
                keys.revoke(key.id)
            key = None
        if key is not None and (keys.find(key.reveal()) is not None or keys.adopt(LOCAL, key, SCOPES)):
            return
        _, new = keys.create(LOCAL, SCOPES)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.tmp")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600, exist_ok=False)
        draft.write_text(f"{new.reveal()}\n", encoding="ascii")
        disk.rename(draft, path)


def _read(path: Path) -> KeyText | None:
    try:
        return KeyText.parse(path.read_text(encoding="ascii", errors="replace").strip())
    except FileNotFoundError:
        return None
