"""The display of a sweep: a line a run, and on a terminal a footer with the run that trains."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from verifine.cli.sections import print_sections
from verifine.insights.comparison.seeds import find_troubles
from verifine.insights.comparison.sentences import name_measure
from verifine.insights.comparison.sweep_results import SweepResults, sweep_numbers, sweep_sections
from verifine.insights.outcome import describe_duration, pluralize
from verifine.insights.text_table import GAP, text_table
from verifine.launch.sweep.begin import SweepPlan
from verifine.launch.sweep.durations import RunTime, expect_all, expect_seconds
from verifine.launch.sweep.execute import RunBegan, RunOver, RunReported, SweepEvent, find_times
from verifine.launch.sweep.folder import SweepFolder
from verifine.runs.evaluations import decisive
from verifine.runs.jsonl import finite
from verifine.runs.record import RunRecord
from verifine.types import Json


class SweepDisplay(Protocol):
    """Listens to the events of a sweep."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def __call__(self, event: SweepEvent) -> None: ...

    def begin(self, *, lists_runs: bool) -> None:
        """Tells what is to be done, and how long it takes where that is known."""
        ...

    def trying(self, variant: str) -> None:
        """Tells that a variant is tried before the sweep begins."""
        ...

    def opened(self, folder: SweepFolder) -> None:
        """Tells where the runs will be."""
        ...

    def note(self, text: str) -> None: ...

    def results(self, results: SweepResults) -> None: ...

    def end(self, folder: SweepFolder, code: int, resume: str | None) -> None:
        """Tells where everything is, and the command that continues what is not complete; None: all is."""
        ...


class TextDisplay:
    """For people: plain lines, and on a terminal a footer."""

    def __init__(self, console: Console, plan: SweepPlan) -> None:
        self._console, self._plan, self._times = console, plan, find_times(plan.folder, plan.sweep)
        is_live = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, transient=True, auto_refresh=False) if is_live else None
        self._others_s: float | None = None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: SweepEvent) -> None:
        match event:
            case RunBegan(others_s=others_s):
                self._others_s = others_s
                self._show(f"{event.run.name}   starting ...")
                if event.is_elsewhere:
                    self.note(f"{event.run.name} is trained by another process; waiting for its end")
            case RunReported(row=row):
                self._show(f"{event.run.name}   {describe_row(row)}{self._left(row.get('eta_s'))}")
            case RunOver():
                self.note(self._line(event))

    def begin(self, *, lists_runs: bool) -> None:
        runs, seeds = self._plan.sweep.runs, {run.config.run.seed for run in self._plan.sweep.runs}
        variants = {run.variant for run in runs}
        done = sum(time.is_complete for time in self._times)
        left = expect_all(self._times)
        parts = [
            f"{pluralize(len(runs), 'run')}: {pluralize(len(variants), 'variant')}, {pluralize(len(seeds), 'seed')}"
        ]
        if done:
            parts.append(f"{done} complete")
        if done < len(runs):
            time = "how long is known after the first one" if left is None else f"about {describe_duration(left)}"
            parts.append(time)
        self.note("; ".join(parts))
        if lists_runs:
            rows = [
                (run.name, "complete" if time.is_complete else _duration(time, self._times), " ".join(run.settings))
                for run, time in zip(runs, self._times, strict=True)
            ]
            for line in text_table([("run", "expected", "settings"), *rows]):
                self.note(f"{GAP}{line}")

    def trying(self, variant: str) -> None:
        self.note(f"trying {variant} ...")

    def opened(self, folder: SweepFolder) -> None:
        if not all(time.is_complete for time in self._times):
            self.note(f"training in {folder.path}")

    def note(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def results(self, results: SweepResults) -> None:
        self.note("")
        print_sections(sweep_sections(results))

    def end(self, folder: SweepFolder, code: int, resume: str | None) -> None:  # noqa: ARG002
        made = ("sweep.md", "compare.html", "compare.svg", "compare.png", "compare.json", "runs/")
        there = [name for name in made if (folder.path / name).exists()]
        self.note(f"\nSaved     {folder.path} ({', '.join(there)})")
        if resume is not None:
            self.note(f"Continue  {resume}")

    def _show(self, text: str) -> None:
        if self._live is not None:
            self._live.update(Text(text, style="dim"), refresh=True)

    def _left(self, eta_s: Json) -> str:
        if not isinstance(eta_s, int | float):
            return ""
        sweep = "" if self._others_s is None else f", {describe_duration(eta_s + self._others_s)} in the sweep"
        return f"   about {describe_duration(eta_s)} left{sweep}"

    def _line(self, event: RunOver) -> str:
        total, widest = len(self._plan.sweep.runs), max(len(run.name) for run in self._plan.sweep.runs)
        left = f"   about {describe_duration(event.left_s)} left" if event.left_s else ""
        head = f"{event.number:>{len(str(total))}}/{total}  {event.run.name:<{widest}}  "
        if event.problem is None:
            return f"{head}{describe_record(event.record)}{left}"
        first, *more = event.problem.splitlines()
        return "\n".join([f"{head}not complete: {first}{left}", *(f"{'':<{len(head)}}{line}" for line in more)])


class JsonLines:
    """For programs."""

    def __init__(self, stream: TextIO, plan: SweepPlan) -> None:
        self._stream, self._plan = stream, plan
        self._results: SweepResults | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __call__(self, event: SweepEvent) -> None:
        name: dict[str, Json] = {"run": event.run.name}
        match event:
            case RunBegan():
                ways: dict[str, Json] = {"resumed": event.is_resumed, "elsewhere": event.is_elsewhere}
                self._write({"type": "run_began", **name, **ways, "others_s": event.others_s})
            case RunReported(row=row):
                self._write({**name, **row})
            case RunOver(record=record):
                status = None if record is None else record.status.status.value
                self._write(
                    {"type": "run_over", **name, "status": status, "problem": event.problem, "left_s": event.left_s}
                )

    def begin(self, *, lists_runs: bool) -> None:  # noqa: ARG002
        times = find_times(self._plan.folder, self._plan.sweep)
        runs: list[Json] = [
            {
                "run": run.name,
                "variant": run.variant,
                "seed": run.config.run.seed,
                "settings": list(run.settings),
                "complete": time.is_complete,
                "expected_s": expect_seconds(time, times),
            }
            for run, time in zip(self._plan.sweep.runs, times, strict=True)
        ]
        self._write({"type": "sweep", "expected_s": expect_all(times), "runs": runs})

    def trying(self, variant: str) -> None:
        self._write({"type": "trying", "variant": variant})

    def opened(self, folder: SweepFolder) -> None:
        self._write({"type": "folder", "folder": str(folder.path)})

    def note(self, text: str) -> None: ...

    def results(self, results: SweepResults) -> None:
        self._results = results

    def end(self, folder: SweepFolder, code: int, resume: str | None) -> None:
        numbers = {} if self._results is None else sweep_numbers(self._results)
        results: Json = {key: numbers[key] for key in ("measure", "over_seeds", "verdicts", "notes") if key in numbers}
        self._write({"type": "done", "folder": str(folder.path), "code": code, "continue": resume, "results": results})

    def _write(self, row: Mapping[str, Json]) -> None:
        print(json.dumps(finite(row), allow_nan=False), file=self._stream, flush=True)


def make_sweep_display(stream: TextIO, plan: SweepPlan, *, as_json: bool) -> SweepDisplay:
    """The display for the kind of output."""
    return JsonLines(stream, plan) if as_json else TextDisplay(Console(file=stream, highlight=False), plan)


def describe_record(record: RunRecord | None) -> str:
    """A run in a line: held-out score before and after, steps, time and findings."""
    if record is None:
        return "not begun"
    parts = [pluralize(record.steps, "step")]
    if record.duration_s is not None:
        parts.append(describe_duration(record.duration_s))
    baseline, final = record.baseline, record.final
    measure = decisive(baseline, final) if baseline is not None and final is not None else None
    if measure is not None and baseline is not None and final is not None:
        scores = (baseline.average(measure) or 0.0, final.average(measure) or 0.0)
        parts.insert(0, f"{name_measure(measure)} {scores[0]:.2f} → {scores[1]:.2f}")
    elif not record.status.status.is_complete:
        parts.insert(0, record.status.status.replace("_", " "))
    return "   ".join([*parts, *find_troubles(record)])


def describe_row(row: Mapping[str, Json]) -> str:
    """What the process of a run last printed, in a few words."""
    match row:
        case {"type": "step", "step": int(step), "reward": float(reward)}:
            return f"step {step}   reward {reward:.2f}"
        case {"type": "step", "step": int(step)}:
            return f"step {step}"
        case {"type": "stage", "text": str(text)}:
            return f"{text} ..."
        case {"type": kind}:
            return f"{kind}"
    return ""


def _duration(time: RunTime, times: Sequence[RunTime]) -> str:
    seconds = expect_seconds(time, times)
    return "-" if seconds is None else describe_duration(seconds)
