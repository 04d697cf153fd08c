from __future__ import annotations

from pathlib import Path

import pytest

from verifine.launch.attempt import open_attempt
from verifine.runs.directory import RunDirectory
from verifine.runs.environment import describe_environment
from verifine.runs.events import EvaluationDone, RunEvent, StageBegan, StepDone, TrainingResumed, TrainingStarted
from verifine.runs.heartbeat import TRAINING, read_heartbeat
from verifine.types import StepReport

LOADING, ASKING = StageBegan(text="loading the model"), StageBegan(text="asking 64 held-out problems")
ANSWERED = EvaluationDone(name="baseline")
STEP = StepDone(report=StepReport(step=3, metrics={}), eta_s=None)


@pytest.mark.parametrize(
    ("events", "stage"),
    [
        ((LOADING,), "loading the model"),
        ((LOADING, TrainingStarted()), TRAINING),
        ((LOADING, TrainingResumed(step=3)), TRAINING),
        ((TrainingStarted(), ASKING), "asking 64 held-out problems"),
        ((TrainingStarted(), ASKING, ANSWERED), TRAINING),  # the step that follows may hang
        ((ASKING, ANSWERED, STEP), TRAINING),
    ],
)
def test_the_heartbeat_says_whether_a_step_is_being_taken(
    tmp_path: Path, events: tuple[RunEvent, ...], stage: str
) -> None:
    directory = RunDirectory(path=tmp_path)
    with open_attempt(directory, describe_environment(), []) as attempt:
        for event in events:
            attempt.events.emit(event)
    beat = read_heartbeat(directory.heartbeat)
    assert beat is not None
    assert beat.stage == stage
