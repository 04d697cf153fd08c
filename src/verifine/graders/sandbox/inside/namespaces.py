"""Namespaces of our own, without bubblewrap: a root directory with little in it, no network, no other process."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence

from verifine.graders.sandbox.inside import kernel

_NEW_MOUNTS, _NEW_CGROUP, _NEW_UTS, _NEW_IPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
_NEW_USER, _NEW_PID, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
_ALL_BUT_USER = _NEW_MOUNTS | _NEW_CGROUP | _NEW_UTS | _NEW_IPC | _NEW_PID | _NEW_NETWORK

_MS_NOSUID, _MS_NODEV, _MS_REC, _MS_PRIVATE = 1 << 1, 1 << 2, 1 << 14, 1 << 18
_MNT_DETACH = 2
_OPEN_TREE_CLONE, _AT_RECURSIVE, _AT_EMPTY_PATH = 1, 0x8000, 0x1000
_MOVE_FROM_EMPTY_PATH = 4
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_EXEC = 1, 2, 4, 8


def fork_into(channel: socket.socket) -> None:
    """Only the first process of new namespaces returns from this; it still sees all files.

    The process that called waits outside, without the channel, until that one ends.
    """
    os.umask(0o022)  # the folders of the new root are for everybody
    user, group = os.getuid(), os.getgid()
    kernel.unshare(_ALL_BUT_USER | (_NEW_USER if user else 0))
    if user:
        _map_identity(user, group)
    first = os.fork()
    if first:
        channel.close()
        os.waitpid(first, 0)
        os._exit(0)
    kernel.set_host_name(b"sandbox")


def change_root(read: Sequence[str], devices: Sequence[str], links: Sequence[Sequence[str]]) -> None:
    """Leave only these folders, files, devices and symbolic links visible, all of them read-only."""
    kernel.mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    # The new root hides a folder of the old one, so open first what must stay visible.
    trees = [(path, _clone(path)) for path in (*read, *devices)]
    root = os.path.dirname(os.__file__)  # noqa: PTH120 - any folder will do; this one certainly exists
    kernel.mount("sandbox", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=0755")
    for path, tree in trees:
        _attach(tree, root + path, _READ_ONLY | _NO_SUID | (0 if path in devices else _NO_DEVICES))
    for path, target in links:
        os.makedirs(os.path.dirname(root + path), exist_ok=True)  # noqa: PTH103, PTH120
        os.symlink(target, root + path)  # noqa: PTH211
    os.chdir(root)
    kernel.pivot_root(".", ".")
    kernel.unmount(".", _MNT_DETACH)
    os.chdir("/")
    _set_attributes("/", _READ_ONLY | _NO_SUID | _NO_DEVICES | _NO_EXEC, recursive=False)


def _map_identity(user: int, group: int) -> None:
    """The same numbers inside as outside; without this, files could not be looked up."""
    for name, line in (
        ("setgroups", "deny"),
        ("gid_map", f"{group} {group} 1"),
        ("uid_map", f"{user} {user} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - no pathlib inside
            file.write(line)


def _clone(path: str) -> int:
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_RECURSIVE
    return kernel.system_call(kernel.OPEN_TREE, kernel.AT_FDCWD, path.encode(), flags)


def _attach(tree: int, target: str, attributes: int) -> None:
    if os.path.isdir(f"/proc/self/fd/{tree}"):  # noqa: PTH112
        os.makedirs(target, exist_ok=True)  # noqa: PTH103
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
    kernel.system_call(kernel.MOVE_MOUNT, tree, b"", kernel.AT_FDCWD, target.encode(), _MOVE_FROM_EMPTY_PATH)
    os.close(tree)
    _set_attributes(target, attributes, recursive=True)


def _set_attributes(target: str, attributes: int, *, recursive: bool) -> None:
    changes = struct.pack("=4Q", attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    kernel.system_call(kernel.MOUNT_SETATTR, kernel.AT_FDCWD, target.encode(), flags, changes, len(changes))
