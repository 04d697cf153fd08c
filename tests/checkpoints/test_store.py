from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from verifine.checkpoints.manifest import MANIFEST
from verifine.checkpoints.store import FACTS, CheckpointStore, Draft
from verifine.checkpoints.tensors import snapshot
from verifine.errors import CheckpointError, DiskError
from verifine.machine.disk import LOCAL_DISK, remove_drafts
from verifine.testing.disk import BROKEN, FULL, Fault, FaultyDisk
from verifine.types import Json


def tensors(step: int) -> dict[str, Tensor]:
    return {
        "policy/weights/a": torch.full((3, 5), float(step)),
        "policy/weights/b": torch.arange(7, dtype=torch.bfloat16).view(7, 1).T,
        "policy/step/a": torch.tensor(float(step)),
        "empty": torch.zeros(0, 4),
        "flags": torch.tensor([True, False]),
    }


SHARD = "state-1-of-4.safetensors"
FACT: Mapping[str, Json] = {"text": "é", "number": 0.1, "step": 3}


def checkpoint(step: int) -> Draft:
    return Draft(step=step, tensors=snapshot(tensors(step)), facts=FACT)


def same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype for name in ours
    )


def make_store(folder: Path, steps: tuple[int, ...] = (1, 2)) -> CheckpointStore:
    store = CheckpointStore(folder, LOCAL_DISK)
    for step in steps:
        store.save(checkpoint(step))
    return store


def test_what_was_saved_is_loaded_to_the_bit(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    for step in (1, 2):
        loaded = store.load(step)
        assert same(loaded.tensors, tensors(step))
        assert loaded.facts == FACT
    assert store.steps() == [1, 2]
    newest = store.newest()
    assert (newest.checkpoint and newest.checkpoint.step, newest.damaged) == (2, ())


def test_the_tensors_are_in_plain_safetensors_files(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    files = sorted(store.path(1).glob("*.safetensors"))
    assert [path.name for path in files] == [f"state-{number}-of-4.safetensors" for number in (1, 2, 3, 4)]
    assert same({name: tensor for path in files for name, tensor in load_file(path).items()}, tensors(1))


def test_a_learner_without_tensors_is_saved_too(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, LOCAL_DISK)
    store.save(Draft(step=1, tensors=snapshot({}), facts=FACT))
    assert (store.load(1).tensors, store.load(1).facts) == ({}, FACT)


def test_a_folder_without_checkpoints_has_none(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "missing", LOCAL_DISK)
    remove_drafts(tmp_path / "missing", LOCAL_DISK)
    assert store.steps() == []
    assert store.newest().checkpoint is None
    with pytest.raises(CheckpointError, match="step-000003"):
        store.load(3)


@pytest.mark.slow
def test_every_flipped_bit_of_every_file_is_found_and_the_one_before_is_taken(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    tried = 0
    for path in sorted(store.path(2).iterdir()):
        content = path.read_bytes()
        for place in range(len(content)):
            flipped = bytearray(content)
            flipped[place] ^= 1 << (place % 8)
            path.write_bytes(flipped)
            found = store.newest()
            assert found.checkpoint is not None
            assert found.checkpoint.step == 1, f"{path.name} byte {place}"
            assert path.name in found.damaged[0]
            tried += 1
        path.write_bytes(content)
    assert store.newest().damaged == ()
    print(f"{tried} flipped bits, all found")


@pytest.mark.slow
def test_every_truncation_and_every_longer_file_is_found(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    for path in sorted(store.path(2).iterdir()):
        content = path.read_bytes()
        for changed in [content[:length] for length in range(len(content))] + [content + b" "]:
            path.write_bytes(changed)
            found = store.newest()
            assert found.checkpoint is not None
            assert found.checkpoint.step == 1, f"{path.name} cut to {len(changed)}"
        path.write_bytes(content)


@pytest.mark.parametrize("name", [SHARD, FACTS, MANIFEST])
def test_a_missing_file_is_found(name: str, tmp_path: Path) -> None:
    store = make_store(tmp_path)
    (store.path(2) / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        store.load(2)


def test_a_file_too_many_and_another_steps_name_are_found(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    (store.path(2) / "more").write_text("")
    with pytest.raises(CheckpointError, match="/more "):
        store.load(2)
    store.path(1).rename(store.path(3))
    with pytest.raises(CheckpointError, match="step-000003 holds step 1"):
        store.load(3)


def test_when_all_are_damaged_each_is_named(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    for step in (1, 2):
        (store.path(step) / FACTS).write_text("{}")
    found = store.newest()
    assert found.checkpoint is None
    assert [str(store.path(step)) in text for step, text in zip((2, 1), found.damaged, strict=True)] == [True, True]


def test_retention_leaves_what_is_asked_for_and_nothing_else(tmp_path: Path) -> None:
    store = make_store(tmp_path, (1, 2, 3, 4))
    store.prune({2, 4})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000002", "step-000004"]


def test_what_a_crash_left_is_cleared(tmp_path: Path) -> None:
    make_store(tmp_path)
    (tmp_path / ".step-000003.tmp").mkdir()
    (tmp_path / ".step-000003.tmp" / SHARD).write_bytes(b"half")
    remove_drafts(tmp_path, LOCAL_DISK)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000001", "step-000002"]


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.save(Draft(step=2, tensors=snapshot({"a": torch.ones(1)}), facts={}))
    assert same(store.load(2).tensors, {"a": torch.ones(1)})


@pytest.mark.parametrize("error", [FULL, BROKEN], ids=["full", "broken"])
@pytest.mark.parametrize("moment", ["before", "within", "after"])
def test_a_disk_that_fails_anywhere_leaves_the_checkpoints_before_and_nothing_else(
    error: int, moment: str, tmp_path: Path
) -> None:
    def save(folder: Path, fault: Fault | None) -> list[str]:
        make_store(folder)
        disk = FaultyDisk(folder, fault)
        store = CheckpointStore(folder, disk)
        (folder / "metrics.jsonl").write_text("")
        failures = []
        try:
            store.save(checkpoint(3), [folder / "metrics.jsonl"])
            store.prune({2, 3})
        except DiskError as failure:
            failures.append(failure.is_full == (error == FULL))
        does_fail = fault is not None and (moment != "within" or fault.point.startswith("write"))
        assert failures == [True] * does_fail
        return disk.points

    points = save(tmp_path / "clean", None)
    assert len(points) > 8
    for number, point in enumerate(points):
        folder = tmp_path / str(number)
        save(folder, Fault(point=point, moment=moment, error=error))  # type: ignore[arg-type]
        store = CheckpointStore(folder, LOCAL_DISK)
        found = store.newest()
        assert found.damaged == ()
        assert found.checkpoint is not None
        assert found.checkpoint.step in {2, 3}
        assert same(found.checkpoint.tensors, tensors(found.checkpoint.step))
        remove_drafts(folder, LOCAL_DISK)
        names = {path.name for path in folder.iterdir()} - {"metrics.jsonl"}
        assert all(name.startswith("step-") for name in names)


def test_a_strange_device_error_is_named(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path, Fault(point="write .step-000001.tmp/state.json 1", moment="before", error=errno.EROFS))
    with pytest.raises(DiskError, match=os.strerror(errno.EROFS)):
        CheckpointStore(tmp_path, disk).save(checkpoint(1))


@pytest.mark.slow
def test_every_file_is_synced_before_the_checkpoint_has_its_name(tmp_path: Path) -> None:
    """The order of system calls shows it: a power cut cannot leave a final name without its files."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    program = (
        "import sys, torch; from pathlib import Path\n"
        "from verifine.checkpoints.store import CheckpointStore, Draft\n"
        "from verifine.checkpoints.tensors import snapshot\n"
        "from verifine.machine.disk import LOCAL_DISK\n"
        "folder = Path(sys.argv[1]); (folder / 'metrics.jsonl').write_text('row')\n"
        "draft = Draft(step=1, tensors=snapshot({'a': torch.ones(3), 'b': torch.ones(3)}), facts={})\n"
        "CheckpointStore(folder / 'checkpoints', LOCAL_DISK).save(draft, [folder / 'metrics.jsonl'])\n"
    )
    run, log = tmp_path / "run", tmp_path / "log"
    run.mkdir()
    strace = ["strace", "-f", "-y", "-e", "trace=fsync,rename,renameat,renameat2", "-o", str(log)]
    subprocess.run([*strace, sys.executable, "-c", program, str(run)], check=True)
    calls = [
        (call, name.replace(str(run), ""))
        for call, name in re.findall(r"\b(fsync|rename)[a-z0-9]*\((?:\d+<|\")([^>\"]+)", log.read_text())
        if str(run) in name
    ]
    draft = "/checkpoints/.step-000001.tmp"
    files = {f"{draft}/{name}" for name in ("state-1-of-2.safetensors", "state-2-of-2.safetensors", "state.json")}
    assert calls[0] == ("fsync", "/metrics.jsonl")
    assert set(calls[1:4]) == {("fsync", file) for file in files}, "side by side, in any order"
    assert calls[4:] == [
        ("fsync", f"{draft}/MANIFEST.json"),
        ("fsync", draft),
        ("rename", draft),
        ("fsync", "/checkpoints"),
    ]
