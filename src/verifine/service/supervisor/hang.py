"""Whether a job hangs: pure functions of what its heartbeat said, and of when that was seen to change.

When is told by the clock of whoever looks: what the machine slept through, and a clock that was set, do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from verifine.insights.diagnosis.progress import STALLED_STEPS, usual_step_s
from verifine.runs.heartbeat import TRAINING, Heartbeat
from verifine.types import StepReport

SILENT_S = 300.0
"""How long a process may write no heartbeat; it writes one every 5 seconds, whatever it does."""
STARTING_S = 600.0
"""How long it may take to write its first one, and to end after its last."""
LEAST_S = 300.0
"""No step hangs before that."""
UNKNOWN_S = 3600.0
"""How long each of the first KNOWN_STEPS may take."""
KNOWN_STEPS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """The last heartbeat, and when what it says was first seen, in seconds of the clock of whoever looks."""

    beat: Heartbeat | None
    """None: there is no process that writes one."""
    seen_s: float
    moved_s: float
    """When its step, stage or process was other than before."""


def take_pulse(before: Pulse | None, beat: Heartbeat | None, now_s: float) -> Pulse:
    """The pulse now, from the one before; `before` None: this is the first look."""
    if before is None:
        return Pulse(beat=beat, seen_s=now_s, moved_s=now_s)
    if beat is None or before.beat is None:
        return before if beat is before.beat else Pulse(beat=beat, seen_s=now_s, moved_s=now_s)
    has_moved = replace(beat, written=before.beat.written) != before.beat
    seen_s = now_s if beat.written != before.beat.written else before.seen_s
    return Pulse(beat=beat, seen_s=seen_s, moved_s=now_s if has_moved else before.moved_s)


def find_hang(pulse: Pulse, now_s: float, read_steps: Callable[[], Sequence[StepReport]]) -> str | None:
    """Why the job has to be started again; None: it goes on.

    Loading, evaluation and saving may take as long as they do. `read_steps` gives the steps that were taken.
    """
    silent_s, still_s = now_s - pulse.seen_s, now_s - pulse.moved_s
    if silent_s > (STARTING_S if pulse.beat is None else SILENT_S):
        return f"it gave no sign of life for {silent_s:.0f} s"
    if pulse.beat is None or pulse.beat.stage != TRAINING or still_s <= LEAST_S:
        return None
    steps = read_steps()
    usual_s = usual_step_s(steps)
    if usual_s is None or len(steps) < KNOWN_STEPS:
        return f"it has been at one step for {still_s:.0f} s" if still_s > UNKNOWN_S else None
    if still_s <= STALLED_STEPS * usual_s:
        return None
    return f"it has been at one step for {still_s:.0f} s, and a step usually takes {usual_s:.1f} s"
