"""The control groups that the process is in: how a container, or a service, is held to a part of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

OWN_PROCESS = Path("/proc/self")

_ROOT, _MOUNT_POINT = 3, 4
"""Fields of a line of mountinfo; see proc_pid_mountinfo(5)."""


def find_groups(controller: str, process: Path = OWN_PROCESS) -> list[Path]:
    """Folders of the groups that the process is in, each before the one around it, as far up as can be seen from here.

    Those of version 1 that count for `controller` (`cpu`, `memory`), and those of version 2, where either is mounted.
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
    """What a file of a group says; None: there is no such file, or it is not for us."""
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return None


def _read_groups(process: Path) -> Iterator[tuple[str, str]]:
    """The path of the group by controller; version 2 has the name ''."""
    for line in (read_setting(process / "cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _read_mounts(process: Path) -> Iterator[tuple[list[str] | None, str, Path]]:
    """Controllers (None: version 2), which group is seen there, and where; one for each tree that is mounted."""
    for line in (read_setting(process / "mountinfo") or "").splitlines():
        mount, _, filesystem = line.partition(" - ")
        kind, _, source_and_options = filesystem.partition(" ")
        if kind in {"cgroup", "cgroup2"}:
            fields, options = mount.split(" "), source_and_options.rpartition(" ")[2]
            yield options.split(",") if kind == "cgroup" else None, fields[_ROOT], Path(fields[_MOUNT_POINT])


def _below(root: str, path: str) -> PurePosixPath:
    """The group's path from the one that is mounted; where it lies outside of that, the mounted one is all we see."""
    group = PurePosixPath(path)
    if ".." in group.parts or not group.is_relative_to(root):
        return PurePosixPath()
    return group.relative_to(root)
