"""A `verifine` for tests of sweeps: its runs take steps without a model, and write real run directories."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from verifine.config import RunConfig, dump_config, load_config
from verifine.launch.sweep.process import TrainingProcess
from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.evaluations import EvaluatedSample, Evaluation, write_evaluation
from verifine.runs.events import AttemptBegan, EventSink, RunEnded, TrainingResumed, TrainingStarted
from verifine.runs.metrics import MetricLog, read_metrics
from verifine.runs.run_file import Attempt, Provenance, RunFile, read_run_file, write_run_file
from verifine.runs.status import Status
from verifine.types import Json, StepReport

STEP_S = 60.0
"""How long a step takes by the events of a run."""
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class FakeTraining:
    """Starts fake processes, and remembers what it was asked.

    By the names of runs: one in `endings` ends so at its second step, one in `killed` is killed there, and one in
    `broken` ends before it has a directory.
    """

    right: Callable[[RunConfig], str] = lambda _: "1100"
    """The held-out problems that a run gets right in the end, as `1`; before training it gets none right."""
    reach: Callable[[str], None] = lambda _: None
    """Called at every point where a process can be killed, with a name for it."""
    endings: Mapping[str, RunEnded] = field(default_factory=dict)
    killed: Collection[str] = ()
    broken: Collection[str] = ()
    commands: list[tuple[str, ...]] = field(default_factory=list)
    """The verb, the name of the run, and the options of each command."""

    def __call__(self, words: Sequence[str | Path], log: Path) -> TrainingProcess:
        verb, *others = map(str, words)
        place = others.index("--run-dir") + 1 if "--run-dir" in others else 0
        directory = RunDirectory(path=Path(others[place]))
        self.commands.append((verb, directory.path.name, *others[place + 1 :]))
        log.touch()
        self.reach("start")
        config = load_config(directory.config if verb == "resume" else Path(others[0]))
        return _FakeProcess(owner=self, directory=directory, config=config, log=log)


@dataclass(slots=True, kw_only=True)
class _FakeProcess:
    owner: FakeTraining
    directory: RunDirectory
    config: RunConfig
    log: Path
    code: int = 0
    is_paused: bool = False

    def rows(self) -> Iterator[dict[str, Json]]:
        name, directory = self.directory.path.name, self.directory
        if name in self.owner.broken:
            self.code = self._say("no such model", 3)
            return
        directory.path.mkdir(parents=True, exist_ok=True)
        before = read_run_file(directory.path)
        attempt = Attempt(number=len(before.attempts) + 1, started=START, host="", pid=0, versions={})
        write_run_file(directory.path, RunFile(attempts=(*before.attempts, attempt), provenance=before.provenance))
        self.owner.reach("attempt")
        write_text(directory.config, dump_config(self.config))
        times = itertools.count()
        events = EventSink(directory.events, lambda: START + timedelta(seconds=STEP_S * next(times)))
        events.emit(AttemptBegan(number=attempt.number))
        self.owner.reach("config")
        provenance = Provenance(model="", data="", grader=None)
        write_run_file(directory.path, RunFile(attempts=(*before.attempts, attempt), provenance=provenance))
        done = len(read_metrics(directory.metrics))
        events.emit(TrainingResumed(step=done) if done else TrainingStarted())
        self._evaluate("baseline", "0" * len(self.owner.right(self.config)))
        self.owner.reach("begun")
        log = MetricLog(directory.metrics)
        for step in range(done + 1, (self.config.run.steps or 0) + 1):
            if self._ends_early(step, events):
                return
            log.append(StepReport(step=step, metrics={"reward": step / 10}))
            yield {"type": "step", "step": step, "reward": step / 10, "eta_s": STEP_S}
            self.owner.reach("step")
        self._evaluate("final", self.owner.right(self.config))
        self.owner.reach("evaluated")
        events.emit(RunEnded(status=Status.FINISHED))
        directory.checkpoints.mkdir(exist_ok=True)
        self.owner.reach("finished")

    def end(self) -> int:
        return self.code

    def pause(self) -> None:
        self.is_paused = True

    def stop(self) -> None: ...

    def _ends_early(self, step: int, events: EventSink) -> bool:
        name = self.directory.path.name
        ending = RunEnded(status=Status.PAUSED) if self.is_paused else self.owner.endings.get(name)
        if step == 2 and name in self.owner.killed:
            self.code = -9
        elif ending is not None and (step == 2 or self.is_paused):
            events.emit(ending)
            self.code = 130 if ending.error is None else self._say(ending.error, 3)
        return self.code != 0

    def _evaluate(self, name: str, right: str) -> None:
        samples = tuple(
            EvaluatedSample(
                prompt_id=str(place), prompt="", text="", score=float(each), format_ok=None, answer_ok=each == "1"
            )
            for place, each in enumerate(right)
        )
        self.directory.evaluations.mkdir(exist_ok=True)
        write_evaluation(self.directory.evaluations, Evaluation(name=name, samples=samples))

    def _say(self, message: str, code: int) -> int:
        self.log.write_text(f"a warning\nverifine: {message}\n", encoding="utf-8")
        return code
