from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from verifine.graders.sandbox import Call, Limits
from verifine.graders.sandbox.cgroup import HEADROOM_BYTES, Hierarchy, find_hierarchies, make_group
from verifine.graders.sandbox.inside.guard import MAX_TASKS
from verifine.graders.sandbox.plan import find_plans
from verifine.graders.sandbox.process import IsolationError, start_worker


def version_1(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir()
        (root / name / "cgroup.procs").touch()
    return root


def version_2(root: Path, controllers: str) -> Path:
    (root / "cgroup.procs").touch()
    (root / "cgroup.subtree_control").write_text(controllers)
    return root


def test_trees_of_version_1_are_found(tmp_path: Path) -> None:
    assert find_hierarchies(version_1(tmp_path, "memory", "pids", "cpu")) == [
        Hierarchy(folder=tmp_path / "memory", memory="memory.limit_in_bytes", tasks=None),
        Hierarchy(folder=tmp_path / "pids", memory=None, tasks="pids.max"),
    ]


@pytest.mark.parametrize(
    ("controllers", "memory", "tasks"),
    [("cpu memory pids\n", "memory.max", "pids.max"), ("memory\n", "memory.max", None), ("pids\n", None, "pids.max")],
)
def test_the_tree_of_version_2_is_found(
    tmp_path: Path, controllers: str, memory: str | None, tasks: str | None
) -> None:
    root = version_2(tmp_path, controllers)
    assert find_hierarchies(root) == [Hierarchy(folder=root, memory=memory, tasks=tasks)]


def test_a_tree_that_counts_neither_is_of_no_use(tmp_path: Path) -> None:
    assert find_hierarchies(version_2(tmp_path, "cpu hugetlb\n")) == []
    assert find_hierarchies(tmp_path / "nowhere") == []
    assert make_group([]) is None


def test_a_group_has_its_limits_and_takes_processes_in(tmp_path: Path) -> None:
    group = make_group(find_hierarchies(version_2(tmp_path, "memory pids")))
    assert group is not None
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert folder.name.startswith(f"verifine-{os.getpid()}-")
    assert (folder / "pids.max").read_text() == str(MAX_TASKS)
    group.take_in(4711)
    assert (folder / "cgroup.procs").read_text() == "4711"
    for asked, granted in ((100, 100), (50, 100), (200, 200)):
        group.allow(asked)
        assert (folder / "memory.max").read_text() == str(HEADROOM_BYTES + granted)


def test_groups_of_the_dead_are_removed_and_those_of_the_living_stay(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    dead, alive, other = tmp_path / f"verifine-{ended.pid}-0", tmp_path / "verifine-1-0", tmp_path / "elsewhere"
    for folder in (dead, alive, other):
        folder.mkdir()
    assert make_group(find_hierarchies(version_2(tmp_path, "memory"))) is not None
    assert not dead.exists()
    assert alive.exists()
    assert other.exists()


def test_a_worker_lives_in_a_group_of_its_own_and_takes_it_along() -> None:
    hierarchies = find_hierarchies()
    if not hierarchies:
        pytest.skip("control groups cannot be written here; they can as root")
    own = f"verifine-{os.getpid()}-*"  # other tests make groups at the same time
    before = {path for each in hierarchies for path in each.folder.glob(own)}
    plan = next(plan for plan in find_plans(None) if plan.has_group)
    try:
        worker = start_worker(plan)
    except IsolationError as error:
        pytest.skip(str(error))
    groups = {path for each in hierarchies for path in each.folder.glob(own)} - before
    assert len(groups) == len(hierarchies)
    outcome = worker.run(Call(source="def f(): return 1", function="f"), Limits(memory_bytes=1 << 30))
    assert outcome.value == 1
    for group in groups:
        assert len((group / "cgroup.procs").read_text().split()) >= 1
    limits = [int((group / "memory.limit_in_bytes").read_text()) for group in groups if "memory" in group.parts]
    assert limits == [HEADROOM_BYTES + (1 << 30)] * len(limits)
    worker.end()
    assert not any(group.exists() for group in groups)
