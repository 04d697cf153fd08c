"""What a broken-off run has saved, and the command that continues it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from verifine.config import build_config
from verifine.insights.saved_work import command_to_resume, describe_saved_work
from verifine.runs.directory import RunDirectory
from verifine.runs.environment import describe_environment
from verifine.runs.events import (
    AttemptBegan,
    CheckpointSaved,
    EventSink,
    ModelSaved,
    RunEnded,
    RunEvent,
    TrainingResumed,
    TrainingStarted,
)
from verifine.runs.run_config import write_run_config
from verifine.runs.run_file import Provenance, RunFile, write_run_file
from verifine.runs.status import Status

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FAILED = RunEnded(status=Status.FAILED, error="x")
BEGAN = (AttemptBegan(number=1), TrainingStarted(model="m", steps=9))
AGAIN = (AttemptBegan(number=2), TrainingResumed(step=4, steps=9))


def make_run(
    path: Path,
    events: Sequence[RunEvent],
    *,
    has_begun: bool = True,
    own_grader: bool = False,
    own_advantages: str | None = None,
) -> RunDirectory:
    directory = RunDirectory.create(path, "run", NOW)
    environment = replace(describe_environment(), own_grader=own_grader, own_advantages=own_advantages)
    write_run_config(directory, build_config({"data": {"task": "add"}}), environment)
    if has_begun:
        write_run_file(directory.path, RunFile(provenance=Provenance(model="a", data="b", grader="c")))
    sink = EventSink(directory.events, lambda: NOW)
    for event in events:
        sink.emit(event)
    return directory


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ((*BEGAN, FAILED), "No checkpoint was written yet; `verifine resume RUN` starts from the first step again."),
        ((*BEGAN, CheckpointSaved(step=4)), "Step 4 is saved in RUN/checkpoints; `verifine resume RUN` continues"),
        ((*BEGAN, CheckpointSaved(step=8), *AGAIN, FAILED), "Step 4 is saved"),
        ((*BEGAN, CheckpointSaved(step=4), FAILED, *BEGAN, FAILED), "No checkpoint was written yet"),
        (
            (*BEGAN, CheckpointSaved(step=9), FAILED),
            "The weights of all 9 steps are saved in RUN/checkpoints; `verifine",
        ),
        ((*BEGAN, CheckpointSaved(step=9), ModelSaved(step=9), FAILED), "The trained model is saved in RUN/model; `ve"),
        (
            (*BEGAN, CheckpointSaved(step=9), ModelSaved(step=9), RunEnded(status=Status.FINISHED)),
            "The trained model is saved in RUN/model; `verifine report RUN` writes the report.",
        ),
        ((*BEGAN, ModelSaved(step=3), CheckpointSaved(step=3), *AGAIN, FAILED), "Step 4 is saved"),
    ],
)
def test_what_is_saved_follows_from_the_events(events: Sequence[RunEvent], words: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", events)
    told = describe_saved_work(run)
    assert told is not None
    assert told.replace(str(run.path), "RUN").startswith(words)


def test_a_run_that_has_not_begun_has_nothing_to_save(tmp_path: Path) -> None:
    assert describe_saved_work(make_run(tmp_path / "run", [AttemptBegan(number=1), FAILED], has_begun=False)) is None


def test_a_path_with_spaces_is_quoted(tmp_path: Path) -> None:
    run = make_run(tmp_path / "my run", BEGAN)
    words = shlex.split(command_to_resume(run).strip("`"))
    assert words == ["verifine", "resume", str(run.path)]


def test_the_run_of_a_program_is_continued_by_it(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", BEGAN, own_grader=True)
    assert command_to_resume(run) == f'`verifine.resume(Path("{run.path}"), grader=...)`'
    both = make_run(tmp_path / "both", BEGAN, own_grader=True, own_advantages="mine")
    assert command_to_resume(both) == f'`verifine.resume(Path("{both.path}"), grader=..., advantages=...)`'
