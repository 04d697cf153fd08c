from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from verifine.runs.heartbeat import Heartbeat
from verifine.service.supervisor.hang import LEAST_S, SILENT_S, STARTING_S, UNKNOWN_S, Pulse, find_hang, take_pulse
from verifine.types import StepReport

START = datetime(2026, 1, 2, tzinfo=UTC)
BEAT = Heartbeat(host="h", pid=7, process_started=0.0, attempt=1, step=3, stage="training", since=START, written=START)


def steps(count: int, seconds: float) -> list[StepReport]:
    return [StepReport(step=step, metrics={"step_time": seconds}) for step in range(1, count + 1)]


def judged(waiting_s: float, known: list[StepReport], **fields: object) -> str | None:
    """What is found of a process that beats, and moves no more."""
    beat = replace(BEAT, **fields)  # type: ignore[arg-type]
    pulse = take_pulse(Pulse(beat=beat, seen_s=0.0, moved_s=0.0), later(beat, 1), waiting_s)
    return find_hang(pulse, waiting_s, lambda: known)


def later(beat: Heartbeat, seconds: float) -> Heartbeat:
    return replace(beat, written=beat.written + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("count", "seconds", "waiting_s", "hangs"),
    [
        (3, 100.0, 2001, True),  # twenty usual steps
        (3, 100.0, 1999, False),
        (3, 0.1, LEAST_S + 1, True),
        (3, 0.1, LEAST_S, False),
        (2, 0.1, UNKNOWN_S, False),  # too few steps to know what is usual
        (0, 0.0, UNKNOWN_S + 1, True),
    ],
)
def test_a_step_hangs_after_many_usual_ones(count: int, seconds: float, waiting_s: float, hangs: bool) -> None:
    found = judged(waiting_s, steps(count, seconds))
    assert (found is not None) is hangs
    if found:
        assert f"{waiting_s:.0f} s" in found


@pytest.mark.parametrize("stage", ["starting", "asking 64 held-out problems", "saving the model"])
def test_what_is_no_step_takes_as_long_as_it_does(stage: str) -> None:
    assert judged(9 * UNKNOWN_S, steps(5, 0.1), stage=stage) is None


def test_a_process_that_writes_no_heartbeat_hangs_whatever_it_does() -> None:
    pulse = take_pulse(None, replace(BEAT, stage="starting"), 10.0)
    pulse = take_pulse(pulse, replace(BEAT, stage="starting"), 10.0 + SILENT_S)
    assert find_hang(pulse, 10.0 + SILENT_S, list) is None
    assert "no sign of life" in (find_hang(pulse, 11.0 + SILENT_S, list) or "")


def test_a_process_that_never_writes_one_hangs_later() -> None:
    pulse = take_pulse(take_pulse(None, None, 0.0), None, STARTING_S)
    assert find_hang(pulse, STARTING_S, list) is None
    assert find_hang(pulse, STARTING_S + 1, list) is not None


def test_a_step_and_a_stage_are_progress_and_a_heartbeat_alone_is_not() -> None:
    first = take_pulse(None, BEAT, 0.0)
    beaten = take_pulse(first, later(BEAT, 5), 5.0)
    assert (beaten.seen_s, beaten.moved_s) == (5.0, 0.0)
    stepped = take_pulse(beaten, replace(later(BEAT, 10), step=4), 10.0)
    assert (stepped.seen_s, stepped.moved_s) == (10.0, 10.0)


def test_it_counts_anew_for_another_process() -> None:
    pulse = take_pulse(take_pulse(None, BEAT, 0.0), None, 100.0)
    pulse = take_pulse(pulse, replace(BEAT, pid=8), 200.0)
    assert (pulse.seen_s, pulse.moved_s) == (200.0, 200.0)
