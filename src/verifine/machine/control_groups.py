"""The control groups of the process, which limit a container or a service to a part of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

OWN_PROCESS = Path("/proc/self")

_ROOT, _MOUNT_POINT = 3, 4
"""Fields of a line of mountinfo; see proc_pid_mountinfo(5)."""


def find_groups(controller: str, process: Path = OWN_PROCESS) -> list[Path]:
    """Folders of the groups that the process is in, each before its parent, as far up as they are visible.

    These are the groups of version 1 for `controller` (`cpu`, `memory`) and the groups of version 2, if mounted.
    """
    groups = dict(_read_groups(process))
    found: list[Path] = []
    for controllers, root, folder in _read_mounts(process):
        if controllers is None:
            path = groups.get("")
        elif controller in controllers:
            path = groups.get(controller)
        else:
            continue
        if path is not None:
            below = _below(root, path)
            found += [folder / each for each in (below, *below.parents)]
    return found


def read_setting(file: Path) -> str | None:
    """The content of a group's file; None: there is no such file, or it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return None


def _read_groups(process: Path) -> Iterator[tuple[str, str]]:
    """The path of the group for each controller; for version 2 the controller is ''."""
    for line in (read_setting(process / "cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _read_mounts(process: Path) -> Iterator[tuple[list[str] | None, str, Path]]:
    """For each mounted tree: its controllers (None: version 2), the group at its root, and its folder."""
    for line in (read_setting(process / "mountinfo") or "").splitlines():
        mount, _, filesystem = line.partition(" - ")
        kind, _, source_and_options = filesystem.partition(" ")
        if kind in {"cgroup", "cgroup2"}:
            fields, options = mount.split(" "), source_and_options.rpartition(" ")[2]
            yield options.split(",") if kind == "cgroup" else None, fields[_ROOT], Path(fields[_MOUNT_POINT])


def _below(root: str, path: str) -> PurePosixPath:
    """The group's path relative to the mounted one; empty if it lies outside and only the mounted one is visible."""
    group = PurePosixPath(path)
    if ".." in group.parts or not group.is_relative_to(root):
        return PurePosixPath()
    return group.relative_to(root)
