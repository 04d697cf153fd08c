"""The common part of the verbs that train: train with a display, and print the outcome."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

import torch

from verifine.cli.display import Display
from verifine.cli.interrupt import Interrupt
from verifine.cli.memory import keep_freed_memory
from verifine.errors import StoppedError, notes_of
from verifine.insights.diagnosis.diagnose import diagnose
from verifine.insights.diagnosis.success import describe_success
from verifine.insights.held_out import evaluation_numbers
from verifine.insights.outcome import describe_outcome
from verifine.insights.pairs import pair_up
from verifine.insights.saved_work import command_to_resume
from verifine.launch.options import LaunchOptions
from verifine.launch.session import TrainedRun
from verifine.runs.environment import describe_environment
from verifine.runs.record import read_run
from verifine.runs.requests import RunRequest
from verifine.runs.status import SOLVED, Status
from verifine.training.health import NO_SIGNAL_LIMIT
from verifine.types import Json

_NOTES = {
    RunRequest.STOP: "finishing the step, then saving; press Ctrl-C again to stop at once",
    RunRequest.PAUSE: "finishing the step, then pausing",
}

SHOWN_PAIRS = 2
SHOWN_CHARACTERS = 100


def carry_out(
    display: Display, work: Callable[[LaunchOptions], TrainedRun], *, unsafe_grader_exec: bool = False
) -> TrainedRun:
    """Trains with a live display; `work` is called with the launch options.

    The first Ctrl-C finishes the step and saves, a SIGTERM pauses, and a second signal stops at once.
    """
    keep_freed_memory()
    try:
        with display, Interrupt(lambda request: display.note(_NOTES[request])) as interrupt:
            return work(
                LaunchOptions(
                    listeners=[display], request=lambda: interrupt.request, unsafe_grader_exec=unsafe_grader_exec
                )
            )
    except KeyboardInterrupt as interrupt:
        raise StoppedError("\n".join(["stopped at once", *notes_of(interrupt)])) from None


def tell_outcome(trained: TrainedRun, display: Display) -> None:
    """Prints the result in a sentence, a few answers before and after training, and the paths of the files."""
    display.note("")
    record, summary = read_run(trained.directory), trained.summary
    display.note(describe_outcome(record))
    if success := describe_success(record, diagnose(record)):
        display.note("\n  ".join(success))
    if summary.ending is Status.NO_SIGNAL:
        display.note(_describe_silence(trained))
    if summary.baseline is not None and summary.final is not None:
        for pair in pair_up(summary.baseline, summary.final).examples(SHOWN_PAIRS):
            display.note("")
            display.note(f"  {_short(pair.after.prompt)}")
            display.note(f"    before  {_short(pair.before.text)}  reward {_score(pair.before.score)}")
            display.note(f"    after   {_short(pair.after.text)}  reward {_score(pair.after.score)}")
    display.note("")
    if summary.ending in {Status.INTERRUPTED, Status.PAUSED}:
        display.note(f"Resume  {command_to_resume(trained.directory).strip('`')}")
    made = ("report.html", "model/", "metrics.jsonl", "rollouts/")
    there = [name for name in made if (trained.directory.path / name).exists()]
    display.note(f"Saved   {trained.directory.path} ({', '.join(there)})")


def _describe_silence(trained: TrainedRun) -> str:
    """Why a run ended for lack of signal."""
    silence = f"Training ended early: in {NO_SIGNAL_LIMIT} steps in a row all answers to each prompt scored the same"
    if trained.summary.reason == SOLVED:
        return (
            f"{silence}, and nearly all were right: these prompts teach nothing more. To learn more, take harder ones."
        )
    change = f"`verifine doctor {trained.directory.path}` says what to change"
    return f"{silence}, so there was nothing to learn from; {change}."


def outcome_row(trained: TrainedRun) -> dict[str, Json]:
    """The last line of `--json`."""
    summary = trained.summary
    return {
        "type": "done",
        "ending": summary.ending.value,
        "reason": summary.reason,
        "steps": summary.progress.step,
        "seconds": round(trained.seconds, 1),
        "baseline": None if summary.baseline is None else evaluation_numbers(summary.baseline),
        "final": None if summary.final is None else evaluation_numbers(summary.final),
        "run_dir": str(trained.directory.path),
    }


def describe_machine() -> str:
    """The machine in a line."""
    environment = describe_environment()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    memory = environment.memory_bytes / (1 << 30)
    return f"machine   {environment.cores} cores, {memory:.0f} GiB memory, {device}, torch {environment.torch}"


def exit_code(trained: TrainedRun) -> int:
    return StoppedError.exit_code if trained.summary.ending in {Status.INTERRUPTED, Status.PAUSED} else 0


def open_report(report: Path) -> None:
    """Opens the report in a browser, on a machine with a desktop."""
    has_desktop = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin"
    if sys.stdout.isatty() and has_desktop:
        webbrowser.open(report.resolve().as_uri())


def _score(score: float | None) -> str:
    return "unscorable" if score is None else f"{score:.2f}"


def _short(question: str) -> str:
    line = " ".join(question.split())
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"
