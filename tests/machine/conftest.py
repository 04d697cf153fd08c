"""Processes in control groups that are made of plain files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

WriteProcess = Callable[..., Path]
WriteGroup = Callable[..., None]


@pytest.fixture
def write_process(tmp_path: Path) -> WriteProcess:
    """Writes what /proc says of a process; a mount is the group seen there, its folder, and its filesystem."""

    def write(*, groups: list[str], mounts: list[tuple[str, str, str]]) -> Path:
        process = tmp_path / "process"
        process.mkdir()
        (process / "cgroup").write_text("\n".join(groups) + "\n")
        lines = ["22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw", "23 22 0:5 / /media/Büro rw - tmpfs none rw"]
        for number, (root, name, filesystem) in enumerate(mounts, start=30):
            lines.append(f"{number} 22 0:{number} {root} {tmp_path / name} rw,nosuid shared:{number} - {filesystem}")
        (process / "mountinfo").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return process

    return write


@pytest.fixture
def process(write_process: WriteProcess) -> Path:
    """One that is in `/pod/box` of version 2, and sees the tree from its root on."""
    return write_process(groups=["0::/pod/box"], mounts=[("/", "tree", "cgroup2 cgroup rw,nsdelegate")])


@pytest.fixture
def write_group(tmp_path: Path) -> WriteGroup:
    """Writes the files of a group, which is named by its folder."""

    def write(name: str, files: dict[str, str]) -> None:
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / file).write_text(f"{text}\n")

    return write
