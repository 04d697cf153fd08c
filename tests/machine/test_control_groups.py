from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from verifine.machine.control_groups import find_groups, read_setting

WriteProcess = Callable[..., Path]


def test_a_group_comes_before_those_around_it(process: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    assert find_groups("cpu", process) == [tree / "pod" / "box", tree / "pod", tree]


def test_each_controller_of_version_1_has_a_tree_of_its_own(tmp_path: Path, write_process: WriteProcess) -> None:
    process = write_process(
        groups=["3:cpu,cpuacct:/fast", "2:memory:/large/part", "1:name=systemd:/"],
        mounts=[("/", "cpu,cpuacct", "cgroup cgroup rw,cpu,cpuacct"), ("/", "memory", "cgroup cgroup rw,memory")],
    )
    cpu, memory = tmp_path / "cpu,cpuacct", tmp_path / "memory"
    assert find_groups("cpu", process) == [cpu / "fast", cpu]
    assert find_groups("memory", process) == [memory / "large" / "part", memory / "large", memory]
    assert find_groups("pids", process) == []


def test_where_both_versions_are_mounted_both_are_looked_at(tmp_path: Path, write_process: WriteProcess) -> None:
    process = write_process(
        groups=["2:memory:/", "0::/box"],
        mounts=[("/", "memory", "cgroup cgroup rw,memory"), ("/", "unified", "cgroup2 cgroup2 rw")],
    )
    assert find_groups("memory", process) == [tmp_path / "memory", tmp_path / "unified" / "box", tmp_path / "unified"]


@pytest.mark.parametrize(
    ("group", "root", "below"),
    [
        ("/docker/4f", "/docker/4f", ["seen"]),  # a container sees its own group as the top of the tree
        ("/docker/4f/inner", "/docker/4f", ["seen/inner", "seen"]),
        ("/docker/4f2", "/docker/4f", ["seen"]),  # another group, whose name only begins alike
        ("/", "/docker/4f", ["seen"]),
        ("/../../elsewhere", "/", ["seen"]),  # outside of what this namespace can name
    ],
)
def test_a_path_is_taken_from_the_group_that_is_mounted(
    tmp_path: Path, write_process: WriteProcess, group: str, root: str, below: list[str]
) -> None:
    process = write_process(groups=[f"4:memory:{group}"], mounts=[(root, "seen", "cgroup none rw,memory")])
    assert find_groups("memory", process) == [tmp_path / each for each in below]


def test_without_control_groups_none_are_found(tmp_path: Path, write_process: WriteProcess) -> None:
    assert find_groups("cpu", tmp_path / "no such process") == []
    assert find_groups("cpu", write_process(groups=["0::/box"], mounts=[])) == []


def test_a_setting_that_is_not_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert read_setting(tmp_path / "cpu.max") == "max 100000"
    assert read_setting(tmp_path / "memory.max") is None
    assert read_setting(tmp_path) is None
