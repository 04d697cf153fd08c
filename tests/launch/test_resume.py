"""Going on equals never having stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from verifine import resume, train
from verifine.checkpoints.store import CheckpointStore, read_checkpoint
from verifine.config import RunConfig, dump_config, load_config
from verifine.errors import CheckpointError, ConfigError
from verifine.launch import session
from verifine.launch.options import LaunchOptions
from verifine.launch.session import TrainedRun
from verifine.machine.disk import LOCAL_DISK
from verifine.runs.directory import RunDirectory
from verifine.runs.events import CheckpointDamaged, KernelsChanged, RunEvent, StepDone, TrainingResumed, read_events
from verifine.runs.lock import hold
from verifine.runs.metrics import read_metrics
from verifine.runs.requests import RunRequest
from verifine.runs.rollouts import read_rollouts
from verifine.runs.run_file import read_run_file
from verifine.runs.status import Status
from verifine.testing import save_tiny_model
from verifine.testing.sessions import grade, hash_final_model, tiny_run

TIMES = ("timing/", "step_time", "tokens_per_second", "grader/latency")

SECTIONS: dict[str, dict[str, Any]] = {
    **{
        name: {"algorithm": {"name": name}}
        for name in ("grpo", "dr_grpo", "dapo", "rloo", "reinforce_pp", "reinforce_pp_baseline", "ppo", "gspo", "cispo")
    },
    "ppo with a critic of its own": {"algorithm": {"name": "ppo", "critic": {"kind": "model"}}},
    "a reference": {"algorithm": {"name": "grpo", "beta": 0.1}},
    "adapters": {"model": {"lora": {"rank": 4}}},
    "adapters on 8 bits": {"model": {"lora": {"rank": 4, "base_bits": 8}}},
    "batches used twice": {"algorithm": {"name": "grpo", "epochs": 2, "mini_batches": 2}},
    "evaluations between": {"run": {"eval_interval": 2}},
    "the best weights": {"run": {"eval_interval": 1}, "evaluation": {"samples": 3, "keep": "best"}},
    "data gone through twice": {"sampling": {"prompts_per_step": 5}},
    "rounds, and prompts left out": {
        "sampling": {"prompts_per_step": 5, "rounds": {"until": "balanced", "rounds": 2}, "skip": {}},
        "evaluation": {"pass_score": 0.9},
    },
    "answers shared out": {"sampling": {"prompts_per_step": 5, "allocation": {}}, "evaluation": {"pass_score": 0.5}},
}

FAST = ("grpo", "rounds, and prompts left out")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_tiny_model(folder)
    return folder


def with_run(sections: dict[str, Any], **run: Any) -> dict[str, Any]:
    return {**sections, "run": {**sections.get("run", {}), **run}}


def start(config: RunConfig, request: Callable[[], RunRequest | None] = lambda: None) -> TrainedRun:
    return train(config, grader=grade, check=False, options=LaunchOptions(request=request))


def pause_after(step: int) -> tuple[Any, Callable[[], RunRequest | None]]:
    """A listener, and what asks for a pause once it has seen `step`."""
    seen: list[int] = []

    def listen(event: RunEvent) -> None:
        if isinstance(event, StepDone):
            seen.append(event.report.step)

    return listen, lambda: RunRequest.PAUSE if step in seen else None


def story(directory: RunDirectory) -> dict[str, object]:
    """Everything a run says that is no time."""
    metrics = [
        {name: value for name, value in report.metrics.items() if not name.startswith(TIMES)}
        for report in read_metrics(directory.metrics)
    ]
    rollouts = [
        (record, path.with_suffix(".safetensors").read_bytes())
        for path in sorted(directory.rollouts.glob("*.jsonl"))
        for record in read_rollouts(path)
    ]
    evaluations = {path.name: json.loads(path.read_text()) for path in directory.evaluations.glob("*")}
    return {"metrics": metrics, "rollouts": rollouts, "evaluations": evaluations}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in SECTIONS]
)
def test_pausing_and_going_on_twice_equals_one_go(name: str, model: Path, tmp_path: Path) -> None:
    sections = with_run(SECTIONS[name], steps=5)
    straight = start(tiny_run(tmp_path / "straight", model, **sections))

    config = tiny_run(tmp_path / "broken", model, **sections)
    listener, request = pause_after(2)
    first = train(config, grader=grade, check=False, options=LaunchOptions(listeners=[listener], request=request))
    assert (first.summary.ending, first.summary.progress.step) == (Status.PAUSED, 2)
    listener, request = pause_after(3)
    second = resume(first.directory.path, grader=grade, options=LaunchOptions(listeners=[listener], request=request))
    assert (second.summary.ending, second.summary.progress.step) == (Status.PAUSED, 3)
    third = resume(first.directory.path, grader=grade)
    assert third.summary.ending is Status.FINISHED

    assert story(third.directory) == story(straight.directory)
    assert hash_final_model(third.directory.path) == hash_final_model(straight.directory.path)
    assert [report.step for report in read_metrics(third.directory.metrics)] == [1, 2, 3, 4, 5]
    started = [
        event.event.kind for event in read_events(third.directory.events) if event.event.kind in {"started", "resumed"}
    ]
    assert started == ["started", "resumed", "resumed"]


@pytest.mark.slow
def test_a_finished_run_made_longer_equals_a_longer_run(model: Path, tmp_path: Path) -> None:
    straight = start(tiny_run(tmp_path / "straight", model, run={"steps": 4}))
    short = start(tiny_run(tmp_path / "short", model, run={"steps": 2}))
    longer = resume(short.directory.path, steps=4, grader=grade)
    assert hash_final_model(longer.directory.path) == hash_final_model(straight.directory.path)
    assert story(longer.directory) == story(straight.directory)
    assert load_config(longer.directory.config).run.steps == 4


@pytest.mark.slow
def test_steps_after_the_newest_checkpoint_are_taken_again(model: Path, tmp_path: Path) -> None:
    straight = start(tiny_run(tmp_path / "straight", model, run={"steps": 4}))
    run = start(tiny_run(tmp_path / "run", model, run={"steps": 4, "keep_last": 4})).directory
    CheckpointStore(run.checkpoints, LOCAL_DISK).prune({2})
    run.path.joinpath("model", "model.safetensors").unlink()
    assert resume(run.path, grader=grade).summary.ending is Status.FINISHED
    assert story(run) == story(straight.directory)
    assert hash_final_model(run.path) == hash_final_model(straight.directory.path)


@pytest.mark.slow
def test_steps_taken_again_ask_the_same_prompts_for_the_same_answers(model: Path, tmp_path: Path) -> None:
    """What is remembered of prompts is that of the checkpoint, and not of the steps after it."""
    sections = with_run(SECTIONS["rounds, and prompts left out"], steps=7)
    straight = start(tiny_run(tmp_path / "straight", model, **sections)).directory
    run = start(tiny_run(tmp_path / "run", model, **with_run(sections, keep_last=7))).directory
    CheckpointStore(run.checkpoints, LOCAL_DISK).prune({4})
    run.path.joinpath("model", "model.safetensors").unlink()
    assert resume(run.path, grader=grade).summary.ending is Status.FINISHED
    assert story(run) == story(straight)
    metrics = read_metrics(straight.metrics)
    assert sum(report.metrics["prompts/skipped_right"] + report.metrics["prompts/skipped_wrong"] for report in metrics)
    assert {report.metrics["groups/answers_max"] for report in metrics} == {6.0}
    assert metrics[-1].metrics["prompts/known"] == 1.0


@pytest.mark.slow
def test_a_run_killed_before_its_first_checkpoint_begins_again(model: Path, tmp_path: Path) -> None:
    straight = start(tiny_run(tmp_path / "straight", model))
    run = start(tiny_run(tmp_path / "run", model)).directory
    CheckpointStore(run.checkpoints, LOCAL_DISK).prune(())
    resume(run.path, grader=grade)
    assert story(run) == story(straight.directory)
    assert hash_final_model(run.path) == hash_final_model(straight.directory.path)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(model: Path, tmp_path: Path) -> None:
    run = start(tiny_run(tmp_path / "run", model)).directory
    before = hash_final_model(run.path)
    damaged = run.checkpoints / "step-000003" / "state-1-of-4.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    resume(run.path, grader=grade)
    events = read_events(run.events)
    assert [each.event.error for each in events if isinstance(each.event, CheckpointDamaged)] == [
        f"{damaged} is damaged: its sha256 differs from that of what was written"
    ]
    assert [each.event.step for each in events if isinstance(each.event, TrainingResumed)] == [2]
    assert hash_final_model(run.path) == before


@pytest.mark.slow
def test_a_file_called_pause_pauses_and_is_gone_when_the_run_goes_on(model: Path, tmp_path: Path) -> None:
    config = tiny_run(tmp_path, model)
    run = RunDirectory(path=tmp_path / "run")

    def listen(event: RunEvent) -> None:
        if isinstance(event, StepDone) and event.report.step == 1:
            (run.requests / "pause").touch()

    paused = train(config, grader=grade, check=False, options=LaunchOptions(listeners=[listen]))
    assert (paused.summary.ending, paused.summary.progress.step) == (Status.PAUSED, 1)
    assert resume(run.path, grader=grade).summary.ending is Status.FINISHED
    assert not list(run.requests.iterdir())


@pytest.mark.parametrize(
    ("request_file", "status", "has_model"), [("cancel", Status.INTERRUPTED, False), ("stop", Status.INTERRUPTED, True)]
)
def test_a_run_that_is_asked_to_end_goes_on_with_a_resume(
    model: Path, tmp_path: Path, request_file: str, status: Status, has_model: bool
) -> None:
    run = RunDirectory(path=tmp_path / "run")

    def listen(event: RunEvent) -> None:
        if isinstance(event, StepDone) and event.report.step == 1:
            (run.requests / request_file).touch()

    options = LaunchOptions(listeners=[listen])
    ended = train(tiny_run(tmp_path, model), grader=grade, check=False, options=options)
    assert (ended.summary.ending, ended.summary.progress.step) == (status, 1)
    assert run.model.exists() is has_model
    assert resume(run.path, grader=grade).summary.ending is Status.FINISHED


@pytest.mark.slow
def test_a_resume_with_other_kernels_is_told_and_recorded(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pause(run: RunDirectory, step: int) -> LaunchOptions:
        return LaunchOptions(
            listeners=[
                lambda event: (
                    (run.requests / "pause").touch()
                    if isinstance(event, StepDone) and event.report.step == step
                    else None
                )
            ]
        )

    def changes() -> list[KernelsChanged]:
        return [each.event for each in read_events(run.events) if isinstance(each.event, KernelsChanged)]

    run = RunDirectory(path=tmp_path / "run")
    train(tiny_run(tmp_path, model), grader=grade, check=False, options=pause(run, 1))
    resume(run.path, grader=grade, options=pause(run, 2))
    assert changes() == []
    kernels = read_run_file(run.path).attempts[-1].kernels
    monkeypatch.setattr(session, "describe_kernels", lambda _model: {**kernels, "device": "another"})
    resume(run.path, grader=grade)
    assert changes() == [KernelsChanged(before={"device": kernels["device"]}, now={"device": "another"})]
    assert read_run_file(run.path).attempts[-1].kernels["device"] == "another"


def test_a_run_directory_may_be_moved(model: Path, tmp_path: Path) -> None:
    listener, request = pause_after(1)
    run = train(
        tiny_run(tmp_path, model),
        grader=grade,
        check=False,
        options=LaunchOptions(listeners=[listener], request=request),
    ).directory
    moved = run.path.rename(tmp_path / "elsewhere")
    assert resume(moved, grader=grade).directory.path == moved
    assert load_config(moved / "config.yaml").run.directory == moved
    assert not run.path.exists()


def test_another_model_other_data_and_another_grader_are_refused_by_name(model: Path, tmp_path: Path) -> None:
    config = tiny_run(tmp_path, model)
    listener, request = pause_after(1)
    run = train(
        config, grader=grade, check=False, options=LaunchOptions(listeners=[listener], request=request)
    ).directory

    def other(sample: object, item: object) -> float:
        return 0.5

    with pytest.raises(CheckpointError, match="the grader changed since the run began"):
        resume(run.path, grader=other)

    with (tmp_path / "data.jsonl").open("a") as file:
        file.write('{"prompt": "one more"}\n')
    with pytest.raises(CheckpointError, match="the data changed since"):
        resume(run.path, grader=grade)

    moved = model.rename(model.with_name("other"))
    try:
        save_tiny_model(model, "qwen3")
        with pytest.raises(CheckpointError, match="the starting model and the data changed since"):
            resume(run.path, grader=grade)
    finally:
        for path in model.iterdir():
            path.unlink()
        model.rmdir()
        moved.rename(model)


def test_a_run_whose_grader_a_program_brought_needs_that_program(model: Path, tmp_path: Path) -> None:
    run = start(tiny_run(tmp_path, model)).directory
    with pytest.raises(ConfigError, match=r"`verifine.resume\(path, grader="):
        resume(run.path)


def test_a_run_with_nothing_left_to_do_is_refused_with_a_hint(model: Path, tmp_path: Path) -> None:
    run = start(tiny_run(tmp_path, model)).directory
    with pytest.raises(ConfigError, match="all its 3 steps.*--steps 6"):
        resume(run.path, grader=grade)


def test_two_processes_do_not_train_in_one_directory(model: Path, tmp_path: Path) -> None:
    run = start(tiny_run(tmp_path, model)).directory
    with hold(run), pytest.raises(ConfigError, match="another process is training in it"):
        resume(run.path, grader=grade, steps=5)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such folder"):
        resume(tmp_path / "nothing")


def test_a_checkpoint_holds_what_training_changes_and_no_pickle(model: Path, tmp_path: Path) -> None:
    run = start(tiny_run(tmp_path, model)).directory
    newest = run.checkpoints / "step-000003"
    shards = [f"state-{number}-of-4.safetensors" for number in (1, 2, 3, 4)]
    assert sorted(path.name for path in newest.iterdir()) == ["MANIFEST.json", *shards, "state.json"]
    owners = {"/".join(name.split("/")[:2]) for shard in shards for name in load_file(newest / shard)}
    assert owners == {"policy/weights", "policy/exp_avg", "policy/exp_avg_sq", "policy/step"}


def test_the_resolved_config_begins_the_same_run(model: Path, tmp_path: Path) -> None:
    first = start(tiny_run(tmp_path / "first", model))
    again = load_config(first.directory.config)
    again = again.model_copy(update={"run": again.run.model_copy(update={"directory": tmp_path / "again"})})
    assert dump_config(again)
    assert hash_final_model(start(again).directory.path) == hash_final_model(first.directory.path)
    assert replace(first.directory, path=tmp_path / "again").config.is_file()


@pytest.mark.slow
@pytest.mark.parametrize("sections", [{}, {"model": {"lora": {"rank": 4}}}], ids=["all weights", "adapters"])
def test_a_run_may_begin_with_the_weights_of_another(sections: dict[str, Any], model: Path, tmp_path: Path) -> None:
    first = start(tiny_run(tmp_path / "first", model, **sections)).directory
    for name, source in (("run", first.path), ("step", first.checkpoints / "step-000003")):
        config = {**sections, "model": {**sections.get("model", {}), "start_from": str(source)}, "run": {"steps": 1}}
        second = start(tiny_run(tmp_path / name, model, **config)).directory
        before, after = (
            json.loads((run.evaluations / each).read_text()) for run, each in _last_and_first(first, second)
        )
        assert [sample["text"] for sample in after["samples"]] == [sample["text"] for sample in before["samples"]]
        weights = read_checkpoint(second.checkpoints / "step-000001").tensors
        assert all(int(weights[each]) == 1 for each in weights if each.startswith("policy/step/"))


@pytest.mark.slow
def test_a_run_with_the_weights_of_another_needs_that_one_at_its_beginning_only(model: Path, tmp_path: Path) -> None:
    first = start(tiny_run(tmp_path / "first", model)).directory
    sections: dict[str, Any] = {"model": {"start_from": str(first.path)}}
    straight = start(tiny_run(tmp_path / "straight", model, **sections)).directory
    named = load_config(straight.config).model.start_from
    assert named == first.checkpoints / "step-000003"

    listener, request = pause_after(1)
    config = tiny_run(tmp_path / "paused", model, **sections)
    paused = train(
        config, grader=grade, check=False, options=LaunchOptions(listeners=[listener], request=request)
    ).directory
    resume(first.path, grader=grade, steps=5)  # its newest checkpoint is another one now
    CheckpointStore(first.checkpoints, LOCAL_DISK).prune(())
    resume(paused.path, grader=grade)
    assert hash_final_model(paused.path) == hash_final_model(straight.path)

    CheckpointStore(straight.checkpoints, LOCAL_DISK).prune(())
    with pytest.raises(CheckpointError, match="step-000003 holds no checkpoint"):
        resume(straight.path, grader=grade)


@pytest.mark.slow
@pytest.mark.parametrize("other", [None, "step-000002"], ids=["none", "another"])
def test_another_start_is_refused_before_the_first_checkpoint(other: str | None, model: Path, tmp_path: Path) -> None:
    first = start(tiny_run(tmp_path / "first", model)).directory
    second = start(tiny_run(tmp_path / "second", model, model={"start_from": str(first.path)})).directory
    CheckpointStore(second.checkpoints, LOCAL_DISK).prune(())
    config = load_config(second.config)
    start_from = None if other is None else first.checkpoints / other
    changed = config.model_copy(update={"model": config.model.model_copy(update={"start_from": start_from})})
    second.config.write_text(dump_config(changed))
    with pytest.raises(CheckpointError, match=r"the checkpoint with the starting weights changed.*`model.start_from`"):
        resume(second.path, grader=grade)


def _last_and_first(
    first: RunDirectory, second: RunDirectory
) -> tuple[tuple[RunDirectory, str], tuple[RunDirectory, str]]:
    return (first, "final.json"), (second, "baseline.json")


def test_weights_of_another_model_and_a_folder_without_any_are_refused(model: Path, tmp_path: Path) -> None:
    first = start(tiny_run(tmp_path / "first", model)).directory
    with pytest.raises(CheckpointError, match="weights of a different model"):
        start(tiny_run(tmp_path / "second", model, model={"lora": {}, "start_from": str(first.path)}))
    with pytest.raises(CheckpointError, match="holds no checkpoint; give a run directory"):
        start(tiny_run(tmp_path / "third", model, model={"start_from": str(tmp_path)}))
