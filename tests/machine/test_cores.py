from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from verifine.machine.cores import Cores, read_cores

WriteProcess = Callable[..., Path]
WriteGroup = Callable[..., None]
NOWHERE = Path("/nowhere")


@pytest.mark.parametrize(
    ("own", "around", "quota"),
    [
        ("200000 100000", "max 100000", 2.0),
        ("max 100000", "150000 100000", 1.5),  # a pod's limit holds for its containers
        ("800000 100000", "100000 50000", 2.0),
        ("max 100000", "max 100000", None),
    ],
)
def test_the_narrowest_quota_counts(
    process: Path, write_group: WriteGroup, own: str, around: str, quota: float | None
) -> None:
    write_group("tree/pod/box", {"cpu.max": own})
    write_group("tree/pod", {"cpu.max": around})
    assert read_cores({0, 1, 2, 3}, process, NOWHERE) == Cores(logical=4, physical=4, quota=quota)


@pytest.mark.parametrize(("time", "quota"), [("250000", 2.5), ("-1", None)])
def test_a_quota_of_version_1_is_read(
    write_process: WriteProcess, write_group: WriteGroup, time: str, quota: float | None
) -> None:
    process = write_process(groups=["1:cpu:/box"], mounts=[("/", "cpu", "cgroup cgroup rw,cpu")])
    write_group("cpu/box", {"cpu.cfs_quota_us": time, "cpu.cfs_period_us": "100000"})
    write_group("cpu", {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"})
    assert read_cores({0, 1, 2, 3}, process, NOWHERE).quota == quota


@pytest.mark.parametrize(
    ("logical", "quota", "available"),
    [(64, None, 64), (64, 2.0, 2), (64, 2.9, 2), (64, 0.5, 1), (2, 8.0, 2), (1, None, 1)],
)
def test_a_quota_is_rounded_down_to_whole_cores_and_leaves_one(
    logical: int, quota: float | None, available: int
) -> None:
    assert Cores(logical=logical, physical=logical, quota=quota).available == available


@pytest.mark.parametrize(
    ("allowed", "physical"), [({0, 1, 2, 3}, 2), ({0, 1}, 2), ({0, 2}, 1), ({3}, 1), ({0, 2, 3}, 2), ({0, 9}, 2)]
)
def test_hyper_threads_of_a_core_count_once(tmp_path: Path, allowed: set[int], physical: int) -> None:
    for core, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):  # two cores of two; core 9 says nothing
        folder = tmp_path / f"cpu{core}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{siblings}\n")
    cores = read_cores(allowed, NOWHERE, tmp_path)
    assert (cores.logical, cores.physical) == (len(allowed), physical)


def test_this_process_has_cores() -> None:
    cores = read_cores()
    assert 1 <= cores.physical <= cores.logical <= (os.cpu_count() or 1)
    assert 1 <= cores.available <= cores.logical


@pytest.mark.skipif(sys.platform != "linux", reason="processes are held to cores on Linux only")
def test_a_process_held_to_one_core_has_one() -> None:
    code = (
        "import os\n"
        "from verifine.machine.cores import read_cores\n"
        "os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})\n"
        "cores = read_cores()\n"
        "print(cores.logical, cores.physical, cores.available)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["1", "1", "1"]
