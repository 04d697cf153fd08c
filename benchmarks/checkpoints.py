"""What checkpoints cost a run: steps with one after every tenth, beside steps without.

    python benchmarks/checkpoints.py [--workload short] [--rounds 8] [--json FILE]      # 10 minutes on two cores

A round is ten steps without a checkpoint and then ten of which the first follows one, as in a run: it is written in a
thread while the steps go on, and what is not written when the first of them updates the weights is copied. What is not
written after the tenth is waited for. Rounds are taken in turns in one process, for a machine's speed drifts.
`overhead` is what ten steps with a checkpoint take longer, as a part of ten without, over all rounds. Run it with
nothing else on the machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch
from model_folders import model_folder
from step import load, make_trainer
from table import add_json_option, publish, render
from workloads import MODEL, SMOKE, TINY, WORKLOADS, Workload

from verifine.checkpoints.store import CheckpointStore
from verifine.cli.memory import keep_freed_memory
from verifine.config.memory import MemoryPlan
from verifine.machine.disk import LOCAL_DISK
from verifine.machine.waiting import wait_briefly
from verifine.models.chat.prompt import prompt_text
from verifine.models.load import LanguageModel
from verifine.runs.directory import RunDirectory
from verifine.runs.events import EventSink
from verifine.training.checkpointing import Saver, SavingPlan
from verifine.training.recorder import Recorder
from verifine.training.state import RunState
from verifine.training.step import train_step
from verifine.training.trainer import Progress, Trainer

STEPS = 10
"""Between two checkpoints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds are those of STEPS steps, a round each."""

    workload: str
    without_s: list[float]
    with_s: list[float]
    write_s: list[float]
    """From when a checkpoint is begun until it is on stable storage."""
    checkpoint_bytes: int

    @property
    def overhead(self) -> float:
        return sum(self.with_s) / sum(self.without_s) - 1


def measure(workload: Workload, model: LanguageModel, rounds: int, folder: Path) -> Cost:
    trainer = make_trainer(workload, model)
    directory = RunDirectory(path=folder)
    recorder = Recorder(directory, partial(prompt_text, model), EventSink(directory.events, lambda: datetime.now(UTC)))
    store = CheckpointStore(folder / "checkpoints", LOCAL_DISK)
    plan = SavingPlan(interval=STEPS, keep_last=2, keep_best=0)
    saver = Saver(trainer.learner, store, plan, recorder, time.perf_counter)
    progress = train_step(trainer, Progress()).progress
    without_s, with_s, write_s = [], [], []
    for _ in range(rounds):
        progress, seconds = _take(trainer, progress, None)
        without_s.append(seconds)
        progress, seconds = _take(trainer, progress, saver)
        with_s.append(seconds)
        write_s.append(saver.cost_s)
    newest = store.path(store.steps()[-1])
    return Cost(
        workload=workload.name,
        without_s=without_s,
        with_s=with_s,
        write_s=write_s,
        checkpoint_bytes=sum(path.stat().st_size for path in newest.iterdir()),
    )


def _take(trainer: Trainer, progress: Progress, saver: Saver | None) -> tuple[Progress, float]:
    """STEPS steps, after a checkpoint if there is a saver; the seconds of both."""
    begin = time.perf_counter()
    if saver is not None:
        memory = MemoryPlan(micro_batch_tokens=1, cache_bytes=1, recompute=False)
        saver.save(RunState(memory=memory, progress=progress), {})
    for _ in range(STEPS):
        progress = train_step(trainer, progress, None if saver is None else saver.copy_unwritten).progress
    if saver is not None:
        saver.finish()
    return progress, time.perf_counter() - begin


def wait_as_the_command_line_does() -> None:
    """Begins anew where torch's threads would wait otherwise, for torch has read by now how they are to."""
    before = dict(os.environ)
    wait_briefly(os.environ)
    if os.environ != before:
        os.execv(sys.executable, [sys.executable, *sys.argv])


def describe(cost: Cost) -> str:
    header = ("workload", "10 steps s", "with a checkpoint s", "overhead %", "written in s", "MB")
    medians = [statistics.median(each) for each in (cost.without_s, cost.with_s, cost.write_s)]
    row = (cost.workload, medians[0], medians[1], 100 * cost.overhead, medians[2], cost.checkpoint_bytes / 1e6)
    return render(header, [row])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=tuple(WORKLOADS), default="short")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="a tiny model and one round: whether it runs at all")
    add_json_option(parser)
    options = parser.parse_args()
    wait_as_the_command_line_does()
    keep_freed_memory()
    workload = SMOKE if options.quick else WORKLOADS[options.workload]
    model = load(model_folder(TINY if options.quick else MODEL), "auto", torch.device("cpu"))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        cost = measure(workload, model, 1 if options.quick else options.rounds, Path(folder))
    publish(describe(cost), {**asdict(cost), "overhead": cost.overhead}, options.json)


if __name__ == "__main__":
    main()
