from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event

import pytest
import torch

from verifine.checkpoints.store import CheckpointStore
from verifine.config.memory import MemoryPlan
from verifine.errors import DiskError
from verifine.learner.learner import LearnerState
from verifine.machine.blocks import Content
from verifine.machine.disk import LOCAL_DISK, Disk, LocalDisk
from verifine.models.chat.prompt import prompt_text
from verifine.runs.directory import RunDirectory
from verifine.runs.events import CheckpointSaved, EventSink, read_events
from verifine.testing import FakeLearner, load_tiny_model
from verifine.testing.disk import FULL, Fault, FaultyDisk
from verifine.training.checkpointing import LEAST_S, Saver, SavingPlan
from verifine.training.recorder import Recorder
from verifine.training.state import RunState
from verifine.training.trainer import Progress

MEMORY = MemoryPlan(micro_batch_tokens=1, cache_bytes=1, recompute=False)
PLENTY, NOTHING = 1 << 40, 0
PATIENCE_S = 60.0
"""After which a test fails rather than hangs."""


class Learner(FakeLearner):
    """One whose state is there to be changed."""

    def __init__(self) -> None:
        super().__init__()
        self.tensor = torch.zeros(1000)

    def state(self) -> LearnerState:
        return LearnerState(tensors={"policy/weight": self.tensor}, updates=0, limit=None)

    def restore(self, state: LearnerState) -> None:
        self.tensor.copy_(state.tensors["policy/weight"])


@dataclass(slots=True)
class GatedDisk(LocalDisk):
    """One that writes nothing before its gate is open."""

    reached: Event = field(default_factory=Event)
    gate: Event = field(default_factory=Event)

    def write(self, path: Path, content: Iterable[Content]) -> None:
        self.reached.set()
        assert self.gate.wait(PATIENCE_S)
        super(GatedDisk, self).write(path, content)


@dataclass(slots=True)
class Scene:
    saver: Saver
    learner: Learner
    store: CheckpointStore
    directory: RunDirectory
    now: list[float]

    def save(self, step: int) -> None:
        self.saver.save(RunState(memory=MEMORY, progress=Progress(step=step)), {})

    def saved(self) -> list[object]:
        return [
            record.event.step
            for record in read_events(self.directory.events)
            if isinstance(record.event, CheckpointSaved)
        ]


def make_scene(tmp_path: Path, disk: Disk = LOCAL_DISK, unused: int = PLENTY) -> Scene:
    model = load_tiny_model(tmp_path / "base")
    directory = RunDirectory.create(tmp_path / "run", "name", datetime(2026, 1, 1, tzinfo=UTC))
    recorder = Recorder(
        directory, partial(prompt_text, model), EventSink(directory.events, lambda: datetime(2026, 1, 1, tzinfo=UTC))
    )
    learner, store, now = Learner(), CheckpointStore(directory.checkpoints, disk), [0.0]
    saver = Saver(
        learner,
        store,
        SavingPlan(interval="auto", keep_last=2, keep_best=0),
        recorder,
        lambda: now[0],
        unused_memory=lambda: unused,
    )
    return Scene(saver=saver, learner=learner, store=store, directory=directory, now=now)


@pytest.mark.parametrize(("cost_s", "interval_s"), [(1.0, LEAST_S), (6.0, 300.0)])
def test_auto_saves_about_once_a_minute_and_less_often_where_it_takes_longer(
    cost_s: float, interval_s: float, tmp_path: Path
) -> None:
    disk = GatedDisk()
    scene = make_scene(tmp_path, disk)
    scene.now[0] = LEAST_S - 1
    assert not scene.saver.is_due(3)
    scene.now[0] = LEAST_S
    assert scene.saver.is_due(4)
    scene.save(4)
    assert disk.reached.wait(PATIENCE_S)
    scene.now[0] += cost_s
    disk.gate.set()
    scene.saver.finish()
    assert scene.saver.cost_s == cost_s
    scene.now[0] = LEAST_S + interval_s - 1
    assert not scene.saver.is_due(5)
    scene.now[0] = LEAST_S + interval_s
    assert scene.saver.is_due(6)


def test_what_is_not_written_is_copied_before_it_changes(tmp_path: Path) -> None:
    disk = GatedDisk()
    scene = make_scene(tmp_path, disk)
    scene.save(1)
    scene.saver.copy_unwritten()
    scene.learner.tensor.fill_(7.0)
    assert (scene.store.steps(), scene.saved()) == ([], [])
    disk.gate.set()
    scene.saver.finish()
    assert scene.saved() == [1]
    assert torch.equal(scene.store.load(1).tensors["policy/weight"], torch.zeros(1000))


def test_where_there_is_no_memory_for_a_copy_the_change_waits(tmp_path: Path) -> None:
    disk = GatedDisk()
    scene = make_scene(tmp_path, disk, unused=NOTHING)
    scene.save(1)
    with ThreadPoolExecutor(1) as pool:
        update = pool.submit(scene.saver.copy_unwritten)
        assert disk.reached.wait(PATIENCE_S)
        assert not update.done()
        disk.gate.set()
        update.result(PATIENCE_S)
    assert scene.saved() == [1]
    assert torch.equal(scene.store.load(1).tensors["policy/weight"], torch.zeros(1000))


def test_nothing_is_copied_or_waited_for_where_nothing_is_being_saved(tmp_path: Path) -> None:
    scene = make_scene(tmp_path, unused=NOTHING)
    scene.saver.copy_unwritten()
    assert scene.saved() == []


def test_restoring_an_earlier_checkpoint_copies_what_is_not_written_of_the_last(tmp_path: Path) -> None:
    disk = GatedDisk()
    scene = make_scene(tmp_path, disk)
    disk.gate.set()
    scene.save(1)
    scene.saver.finish()
    disk.gate.clear()
    scene.learner.tensor.fill_(2.0)
    scene.save(2)
    scene.saver.restore(1)
    assert torch.equal(scene.learner.tensor, torch.zeros(1000))
    disk.gate.set()
    scene.saver.finish()
    assert torch.equal(scene.store.load(2).tensors["policy/weight"], torch.full((1000,), 2.0))


def test_a_checkpoint_that_cannot_be_written_is_never_said_to_be_saved(tmp_path: Path) -> None:
    run = tmp_path / "run"
    draft = "write checkpoints/.step-000001.tmp/state-1-of-1.safetensors 1"
    scene = make_scene(tmp_path, FaultyDisk(root=run, fault=Fault(point=draft, moment="within", error=FULL)))
    scene.save(1)
    with pytest.raises(DiskError, match="No space left"):
        scene.saver.finish()
    assert (scene.store.steps(), scene.saved()) == ([], [])
    scene.saver.close()


def test_a_closed_saver_has_written_what_it_was_at(tmp_path: Path) -> None:
    disk = GatedDisk()
    scene = make_scene(tmp_path, disk)
    scene.save(1)
    disk.gate.set()
    scene.saver.close()
    assert scene.store.steps() == [1]
