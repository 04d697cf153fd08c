"""The end of a run: tried before the first step, and if it fails all the same, the weights are on the disk."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from verifine import resume, train
from verifine.config import RunConfig, build_config
from verifine.errors import ConfigError, DiskError, ModelError, UnexpectedError, VerifineError, full_message
from verifine.launch.checking import check_run, dry_run
from verifine.launch.options import LaunchOptions
from verifine.machine.blocks import Content
from verifine.machine.disk import LocalDisk
from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import read_evaluations
from verifine.runs.events import CheckpointDamaged, ListenerFailed, ModelSaved, RunEvent, StepDone, read_events
from verifine.runs.status import Status, find_status
from verifine.testing import save_tiny_model
from verifine.testing.disk import BROKEN, FULL, Fault, FaultyDisk
from verifine.testing.sessions import grade, hash_final_model, tiny_run

TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
UNWRITABLE = {"do_sample": False, "temperature": 0.9, "top_p": 0.6}
GRADED = build_config({"data": {"train": "x.jsonl"}, "grader": {"type": "format", "pattern": ".*"}})
UNSAVABLE = {"penalty_alpha": 0.6, "top_k": 4}
"""transformers reads these settings, and refuses to write them; they cannot be left out."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


def model_with(folder: Path, settings: dict[str, Any]) -> Path:
    save_tiny_model(folder)
    (folder / "generation_config.json").write_text(json.dumps({**TOKENS, **settings}))
    return folder


def start(config: RunConfig, **options: Any) -> RunDirectory:
    return train(config, grader=grade, check=False, options=LaunchOptions(**options)).directory


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("lora", [None, {"rank": 4}], ids=["all weights", "adapters"])
def test_a_model_that_was_read_is_written_at_the_end(lora: dict[str, int] | None, tmp_path: Path) -> None:
    base = model_with(tmp_path / "base", UNWRITABLE)
    run = start(tiny_run(tmp_path, base, model={"lora": lora}))
    assert AutoModelForCausalLM.from_pretrained(run.model).generation_config.eos_token_id == 2
    assert find_status(run).status is Status.FINISHED


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("is_checked", [True, False], ids=["with the check", "without"])
def test_a_model_that_cannot_be_saved_is_refused_before_the_first_step(is_checked: bool, tmp_path: Path) -> None:
    config = tiny_run(tmp_path, model_with(tmp_path / "base", UNSAVABLE))
    with pytest.raises(ModelError, match=r"generation_config\.json.*top_k"):
        train(config, grader=grade, check=is_checked)
    run = RunDirectory(path=tmp_path / "run")
    assert not run.metrics.exists()
    assert not run.evaluations.exists()
    assert sorted(path.name for path in run.path.glob(".*")) == [".lock"]


@pytest.mark.filterwarnings("ignore")
def test_the_check_and_a_dry_run_refuse_it_too(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, model_with(tmp_path / "base", UNSAVABLE), run={"directory": str(tmp_path / "run")})
    with pytest.raises(ModelError, match=r"generation_config\.json.*top_k"):
        check_run(config, grader=grade)
    with pytest.raises(ModelError, match=r"generation_config\.json.*top_k"):
        dry_run(config.model_copy(update={"grader": GRADED.grader}))
    assert not (tmp_path / "run").exists()


def test_whatever_fails_in_the_rehearsal_is_told_before_the_first_step_and_leaves_nothing(
    model: Path, tmp_path: Path
) -> None:
    calm = FaultyDisk(tmp_path / "calm" / "run")
    start(tiny_run(tmp_path / "calm", model), disk=calm)
    points = [point for point in calm.points if ".rehearsal.tmp" in point]
    assert {point.split()[0] for point in points} == {"write", "sync", "rename", "remove"}
    assert any("report.html" in point for point in points)
    assert any("state.json" in point for point in points)
    for number, point in enumerate(points[::4]):
        folder = tmp_path / str(number)
        disk = FaultyDisk(folder / "run", Fault(point=point, moment="before", error=(FULL, BROKEN)[number % 2]))
        with pytest.raises(DiskError):
            start(tiny_run(folder, model), disk=disk)
        run = RunDirectory(path=folder / "run")
        assert not run.metrics.exists(), point
        last_removal = point == [each for each in points if each.startswith("remove .rehearsal.tmp ")][-1]
        assert (run.path / ".rehearsal.tmp").exists() == last_removal, point


AT_THE_END = ("sync .model.tmp/config.json 1", "rename model 1", "sync .model.tmp/tokenizer.json 1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", [AT_THE_END[0], *(pytest.param(each, marks=pytest.mark.slow) for each in AT_THE_END[1:])]
)
def test_if_saving_fails_the_weights_are_on_the_disk_and_resuming_saves_the_model(
    point: str, model: Path, tmp_path: Path
) -> None:
    straight = start(tiny_run(tmp_path / "straight", model))
    config = tiny_run(tmp_path / "broken", model)
    run = RunDirectory(path=tmp_path / "broken" / "run")
    with pytest.raises(DiskError) as raised:
        start(config, disk=FaultyDisk(run.path, Fault(point=point, moment="before", error=BROKEN)))
    told = full_message(raised.value)
    assert f"The weights of all 3 steps are saved in {run.checkpoints}" in told
    assert "verifine.resume(" in told, "the grader came from a program"
    assert (run.checkpoints / "step-000003").is_dir()
    assert not run.model.exists()

    resume(run.path, grader=grade)
    assert hash_final_model(run.path) == hash_final_model(straight.path)
    assert find_status(run).status is Status.FINISHED


@pytest.mark.slow
def test_a_finished_run_without_its_model_saves_it_again(model: Path, tmp_path: Path) -> None:
    run = start(tiny_run(tmp_path, model))
    before = hash_final_model(run.path)
    for path in run.model.iterdir():
        path.unlink()
    run.model.rmdir()
    resume(run.path, grader=grade)
    assert hash_final_model(run.path) == before
    assert set(read_evaluations(run.evaluations)) == {"baseline", "final"}


class ExplodingDisk(LocalDisk):
    """Raises what no disk should, where a file of that name is written."""

    def __init__(self, name: str, error: Exception) -> None:
        self._name, self._error = name, error

    def write(self, path: Path, content: Iterable[Content]) -> None:
        if self._name in path.name and ".rehearsal.tmp" not in str(path):
            raise self._error
        super().write(path, content)


def test_an_unexpected_error_keeps_its_traceback_in_the_run_and_says_what_is_safe(model: Path, tmp_path: Path) -> None:
    disk = ExplodingDisk("step-000003.jsonl", KeyError("surprise"))
    config = tiny_run(tmp_path, model, run={"steps": 5})
    with pytest.raises(UnexpectedError, match="KeyError: 'surprise'") as raised:
        start(config, disk=disk)
    run = RunDirectory(path=tmp_path / "run")
    told = full_message(raised.value)
    assert f"The traceback is in {run.traceback(1)}." in told
    assert f"Step 2 is saved in {run.checkpoints}" in told
    assert isinstance(raised.value.__cause__, KeyError)
    assert "ExplodingDisk" not in told
    assert "in write" in run.traceback(1).read_text()
    status = find_status(run)
    assert (status.status, status.reason) == (Status.FAILED, "internal")
    assert resume(run.path, grader=grade).summary.progress.step == 5


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (MemoryError(), 3, "memory ran out; lower optim.micro_batch_tokens"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 3, "memory ran out"),
        (RecursionError("maximum recursion depth exceeded"), 1, "RecursionError"),
        (OSError(28, "No space left on device", "/some/where"), 3, "/some/where: No space left on device; free some"),
        (UnicodeEncodeError("ascii", "ü", 0, 1, "ordinal not in range"), 1, "UnicodeEncodeError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_exception_of_the_machine_gets_its_exit_code(
    error: Exception, expected: int, words: str, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(VerifineError) as raised:
        start(tiny_run(tmp_path, model), disk=ExplodingDisk("step-000002.jsonl", error))
    assert raised.value.exit_code == expected
    assert words in str(raised.value)
    assert "Step 1 is saved" in full_message(raised.value)


def test_a_report_that_cannot_be_made_says_that_the_model_is_there(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UnexpectedError) as raised:
        start(tiny_run(tmp_path, model), disk=ExplodingDisk("report.html", ValueError("no figure")))
    run = RunDirectory(path=tmp_path / "run")
    told = full_message(raised.value)
    assert f"The trained model is saved in {run.model}; `verifine report {run.path}` writes the report." in told
    assert find_status(run).status is Status.FINISHED


def test_a_listener_that_raises_does_not_end_a_run(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[RunEvent] = []

    def broken(event: RunEvent) -> None:
        raise ZeroDivisionError(f"told of {type(event).__name__}")

    run = start(tiny_run(tmp_path, model), listeners=[broken, told.append])
    assert find_status(run).status is Status.FINISHED
    failures = [each.event.error for each in read_events(run.events) if isinstance(each.event, ListenerFailed)]
    assert len(failures) == 1
    assert failures[0].startswith("ZeroDivisionError: told of ")
    assert "test_endings.py:" in failures[0]
    assert any(isinstance(event, ModelSaved) for event in told)
    assert any(isinstance(event, ListenerFailed) for event in told)
    assert "the run continues" in caplog.text


BEST: dict[str, Any] = {
    "run": {"eval_interval": 1, "keep_last": 2, "steps": 6},
    "evaluation": {"samples": 8, "keep": "best"},
}


def test_the_next_best_weights_become_the_model_if_the_best_are_damaged(model: Path, tmp_path: Path) -> None:
    straight = start(tiny_run(tmp_path / "straight", model, **BEST))
    (best,) = [each.event.step for each in read_events(straight.events) if isinstance(each.event, ModelSaved)]
    assert best < 6, "the best weights are not the last ones"
    run = RunDirectory(path=tmp_path / "damaged" / "run")

    def damage(event: RunEvent) -> None:
        if isinstance(event, StepDone) and event.report.step == 6:
            (run.checkpoints / f"step-{best:06d}" / "state.json").write_text("{}")

    start(tiny_run(tmp_path / "damaged", model, **BEST), listeners=[damage])
    events = [each.event for each in read_events(run.events)]
    (damaged,) = [event.error for event in events if isinstance(event, CheckpointDamaged)]
    assert f"step-{best:06d}/state.json" in damaged
    (saved,) = [event.step for event in events if isinstance(event, ModelSaved)]
    assert saved != best
    assert read_evaluations(run.evaluations)["final"].step == saved
    assert find_status(run).status is Status.FINISHED


def test_a_run_that_never_began_is_not_resumed_and_the_message_tells_the_command(model: Path, tmp_path: Path) -> None:
    config = tiny_run(tmp_path, model, sampling={"max_new_tokens": 250})
    with pytest.raises(VerifineError):
        start(config)
    with pytest.raises(ConfigError, match=rf"training never began here.*`verifine train {tmp_path}/run/config.yaml`"):
        resume(tmp_path / "run", grader=grade)


@pytest.mark.slow
def test_a_finished_run_asked_for_fewer_steps_is_told_how_to_get_more(model: Path, tmp_path: Path) -> None:
    run = start(tiny_run(tmp_path, model))
    with pytest.raises(ConfigError, match="has already done 3 steps; give it more, for example .*--steps 6"):
        resume(run.path, steps=2, grader=grade)
