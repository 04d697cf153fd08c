"""What a job leaves behind: its checkpoints and its model, each once, whatever happens to the supervisor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from verifine.machine.disk import LOCAL_DISK
from verifine.runs.directory import RunDirectory
from verifine.runs.events import RunEnded
from verifine.runs.run_config import load_run_config
from verifine.runs.status import Status
from verifine.service.database.paging import PageQuery
from verifine.service.jobs.claims import LEASE_S
from verifine.service.jobs.states import JobState
from verifine.service.models.model import JobCheckpoint
from verifine.service.models.store import UnknownModelError
from verifine.testing.clock import ManualClock
from verifine.testing.supervised_jobs import SupervisedJob


def checkpoints(world: SupervisedJob) -> list[JobCheckpoint]:
    page = world.parts.models.list_checkpoints(world.job.id, PageQuery(limit=100, is_ascending=True))
    return list(page.items)


def steps(world: SupervisedJob) -> list[int]:
    return [each.step for each in checkpoints(world)]


def folders(world: SupervisedJob) -> list[str]:
    """The checkpoints that lie in the job's folder."""
    return sorted(path.name for path in (world.folder / "kept" / "checkpoints").glob("step-*"))


def advance(world: SupervisedJob, step: int, reward: float) -> None:
    """The run evaluates the weights after this step, and saves them."""
    world.run.steps(step, step)
    world.run.evaluate(f"step-{step}", reward)
    world.run.checkpoint(step)


def finish(world: SupervisedJob, step: int) -> None:
    world.run.save_model(step)
    world.end(RunEnded(status=Status.FINISHED))
    world.supervisor.tick()
    assert world.state is JobState.SUCCEEDED


def test_the_three_best_checkpoints_are_kept_and_told_once(world: SupervisedJob) -> None:
    world.start()
    for step, reward in ((1, 0.1), (2, 0.5), (3, 0.5), (4, 0.2), (5, 0.9)):
        advance(world, step, reward)
        world.supervisor.tick()
        world.supervisor.tick()
    assert steps(world) == [2, 3, 5]
    assert folders(world) == ["step-000002", "step-000003", "step-000005"]
    told = [message for message in world.messages if message.startswith("Checkpoint")]
    assert told == [f"Checkpoint created at step {step}" for step in range(1, 6)]
    assert checkpoints(world)[0].metrics == {"train_reward_mean": 0.2, "valid_reward_mean": 0.5}


def test_a_kept_checkpoint_stays_when_the_run_removes_it(world: SupervisedJob) -> None:
    world.start()
    advance(world, 1, 0.9)
    world.supervisor.tick()
    LOCAL_DISK.remove(world.run.directory.checkpoints / "step-000001")
    advance(world, 2, 0.1)
    world.supervisor.tick()
    assert steps(world) == [1, 2]
    found = world.parts.models.find("local", checkpoints(world)[0].model_id)
    assert found.checkpoint == world.folder / "kept" / "checkpoints" / "step-000001"
    assert (found.checkpoint / "MANIFEST.json").read_text() == "1\n"
    assert found.base == str(world.folder.parent.parent / "tiny")


def test_a_checkpoint_that_the_run_has_removed_before_it_was_kept_is_not_promised(world: SupervisedJob) -> None:
    world.start()
    advance(world, 1, 0.9)
    LOCAL_DISK.remove(world.run.directory.checkpoints / "step-000001")
    advance(world, 2, 0.1)
    world.supervisor.tick()
    assert steps(world) == [2]


def test_the_weights_that_training_began_with_are_no_checkpoint(world: SupervisedJob) -> None:
    world.start()
    world.run.evaluate("baseline", 1.0)
    world.run.checkpoint(0)
    world.supervisor.tick()
    assert steps(world) == []


def test_the_measure_of_the_run_decides_and_not_the_reward(world: SupervisedJob) -> None:
    world.start()
    for step, (reward, accuracy) in enumerate(((0.1, 0.9), (0.9, 0.1), (0.8, 0.2), (0.7, 0.3)), start=1):
        world.run.evaluate(f"step-{step}", reward, answer_accuracy=accuracy)
        world.run.checkpoint(step)
    world.supervisor.tick()
    assert steps(world) == [1, 3, 4]


def test_the_last_weights_count_by_the_final_evaluation(world: SupervisedJob) -> None:
    world.start()
    for step in (1, 2, 3):
        advance(world, step, 0.1 * step)
    world.run.checkpoint(4)
    world.run.save_model(4)
    world.run.evaluate("final", 0.8)
    world.end(RunEnded(status=Status.FINISHED))
    world.supervisor.tick()
    assert steps(world) == [2, 3, 4]


def test_the_name_of_a_model_says_what_it_is(world: SupervisedJob) -> None:
    world.start()
    finish(world, 7)
    job = world.parts.jobs.find("local", world.job.id)
    assert job.fine_tuned_model == f"ft:tiny:local::{job.id[-8:]}"
    assert world.messages[-2:] == [
        f"New fine-tuned model created: {job.fine_tuned_model}",
        "The job has successfully completed",
    ]
    found = world.parts.models.find("local", job.fine_tuned_model)
    assert (found.base, found.adapter) == (str(world.run.directory.model), None)
    assert found.merged == world.run.directory.model


def test_with_lora_a_model_is_adapters_of_its_base(world: SupervisedJob) -> None:
    world.ask(JobState.CANCELLED)
    world.add_job(suffix="my model/1", verifine={"model": {"lora": {}}})
    world.start()
    finish(world, 7)
    name = f"ft:tiny:local:my-model-1:{world.job.id[-8:]}"
    found = world.parts.models.find("local", name)
    assert found.base == str(world.folder.parent.parent / "tiny")
    assert found.adapter == world.run.directory.model / "adapter"
    assert found.merged == world.run.directory.model


@pytest.mark.parametrize("status", [Status.NO_SIGNAL, Status.FAILED, Status.INTERRUPTED])
def test_a_job_that_does_not_succeed_leaves_its_checkpoints(world: SupervisedJob, status: Status) -> None:
    world.start()
    advance(world, 1, 0.5)
    world.run.save_model(1)
    world.end(RunEnded(status=status))
    world.supervisor.tick()
    assert world.state in (JobState.FAILED, JobState.CANCELLED)
    assert world.parts.jobs.find("local", world.job.id).fine_tuned_model is None
    assert steps(world) == [1]


def test_a_pause_leaves_a_checkpoint_that_no_better_one_replaces(world: SupervisedJob) -> None:
    world.start()
    world.run.steps(1, 2)
    world.ask(JobState.PAUSING)
    world.run.checkpoint(2)
    world.end(RunEnded(status=Status.PAUSED))
    world.supervisor.tick()
    assert world.state is JobState.PAUSED
    [paused] = checkpoints(world)
    assert (paused.step, paused.is_pause) == (2, True)
    assert paused.metrics == {"train_reward_mean": 0.2, "valid_reward_mean": None}
    world.ask(JobState.QUEUED)
    world.supervisor.tick()
    world.run.begin(from_step=2)
    for step in range(3, 8):
        advance(world, step, 0.1 * step)
        world.supervisor.tick()
    assert steps(world) == [2, 5, 6, 7]
    assert folders(world) == [f"step-00000{step}" for step in (2, 5, 6, 7)]


def test_a_checkpoint_is_written_down_once_after_a_rewind_and_a_takeover(
    world: SupervisedJob, clock: ManualClock
) -> None:
    world.start()
    advance(world, 1, 0.1)
    advance(world, 2, 0.2)
    world.supervisor.tick()
    before = checkpoints(world)
    clock.advance(LEASE_S + 1)
    second = world.make("second")
    second.tick()
    world.end()
    second.tick()
    world.run.begin(from_step=1)
    world.run.steps(2, 2)
    world.run.evaluate("step-2", 0.2)
    second.tick()
    assert checkpoints(world) == before
    advance(world, 3, 0.3)
    world.supervisor.tick()  # the first one comes back, and writes nothing
    assert checkpoints(world) == before
    second.tick()
    assert steps(world) == [1, 2, 3]


def test_a_checkpoint_that_a_job_starts_from_stays(world: SupervisedJob) -> None:
    world.start()
    advance(world, 1, 0.1)
    world.supervisor.tick()
    [first] = checkpoints(world)
    parent = replace(world)
    world.add_job(model=first.model_id)
    world = parent
    for step in (2, 3, 4):
        advance(world, step, 0.1 * step)
        world.supervisor.tick()
    assert steps(world) == [1, 2, 3, 4]
    assert (world.folder / "kept" / "checkpoints" / "step-000001").exists()


def test_a_deleted_checkpoint_does_not_come_back(world: SupervisedJob) -> None:
    world.start()
    advance(world, 1, 0.1)
    world.supervisor.tick()
    [first] = checkpoints(world)
    world.parts.models.delete("local", first.model_id)
    advance(world, 2, 0.2)
    world.supervisor.tick()
    assert steps(world) == [2]
    assert folders(world) == ["step-000002"]
    with pytest.raises(UnknownModelError):
        world.parts.models.find("local", first.model_id)


def test_kept_checkpoints_are_read_as_those_of_a_run(world: SupervisedJob) -> None:
    world.start()
    (world.run.directory.config).write_text((world.folder / "config.yaml").read_text())
    advance(world, 1, 0.1)
    world.supervisor.tick()
    kept = RunDirectory(path=world.folder / "kept")
    assert load_run_config(kept).model.name == str(world.folder.parent.parent / "tiny")


def test_a_checkpoint_that_cannot_be_kept_does_not_end_the_job(world: SupervisedJob, tmp_path: Path) -> None:
    world.start()
    (world.folder / "kept").touch()
    advance(world, 1, 0.1)
    world.supervisor.tick()
    assert world.state is JobState.RUNNING
    assert steps(world) == []
    (world.folder / "kept").unlink()
    advance(world, 2, 0.2)
    world.supervisor.tick()
    assert steps(world) == [1, 2]
