"""Learning by the minute: held-out accuracy over the first five minutes, Verifine beside TRL 1.16.

    pip install trl==1.16.0
    python benchmarks/learning.py --out learning          # about 50 minutes on two cores
    python benchmarks/learning.py --seeds 0 --minutes 2 --skip-trl --out short

trains SmolLM2-135M-Instruct on the task `largest`, each side and seed in a process of its own, one after the other
(nothing else should run beside it), and asks the same held-out problems after 30, 60, 120, 180, 240 and 300 seconds.
A result that is complete is kept in the folder and not repeated, so the script can be stopped and started again. The
folder then has the figure, too (learning.png, learning.svg).

**The clock** begins with the process: imports, loading the model and everything else that a newcomer waits for counts.
It is stopped while held-out problems are asked, and in TRL's process also while what only the comparison needs is
imported and loaded. A measurement is at the first end of a step after its mark and carries its true time. Neither the
check that `verifine quickstart` makes before it trains nor its own evaluations are in it.

**Both sides** have the model, the training prompts in the same order, the grader, prompts a step, group size, answer
length, temperature, scaling of rewards, learning rate and AdamW of `verifine quickstart`, of which Verifine alone
leaves out groups that hardly move the weights (`algorithm.subsample`), in the precision that this
machine multiplies faster, weights in float32. Held-out answers are greedy and come from Verifine's engine on both
sides: TRL's weights are copied into it.

**TRL's settings** are the best that we know of for two cores: `generate`, micro-batches of 32 rollouts (11 GiB; with 8,
a step took as long in 5 GiB), no gradient checkpointing, no reference model, its own default loss (`dapo`) and, as by
default, no entropy bonus. Its learning rate is constant from the first step on: a warm-up is not its default either,
and would take most of the few steps that it makes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from against_trl import without_trl
from learning_config import quickstart_config, settings_of, this_machine
from learning_curve import RECENT, SIDES, HeldOut, LearningCurve, Setup, Side, TrainingStep, sides_of
from learning_figure import NAMES, draw_learning
from measuring import run_child
from table import Cell, add_json_option, publish, render
from workloads import MODEL, TINY

from verifine.config.run import TaskName
from verifine.insights.charts import to_png, to_svg
from verifine.insights.inference import wilson_interval
from verifine.launch.inputs import load_inputs
from verifine.machine.disk import write_whole

MARKS = (30.0, 60.0, 120.0, 180.0, 240.0, 300.0)
MOMENTS = (30.0, 60.0, 120.0, 300.0)
"""Seconds after which the table says what a newcomer sees."""
QUICK_S = 1.0


def read_curve(row: dict[str, Any]) -> LearningCurve:
    """A curve from the JSON of a child."""
    parts = {
        "setup": Setup(**{**row["setup"], "marks": tuple(row["setup"]["marks"])}),
        "steps": [TrainingStep(**each) for each in row["steps"]],
        "held_out": [HeldOut(**each) for each in row["held_out"]],
    }
    return LearningCurve(**{**row, **parts})


def learn(
    side: Side, seed: int, setup: Setup, out: Path, run: Callable[[str, Sequence[str]], Any] = run_child
) -> LearningCurve:
    """The curve of a side and a seed: the one that is kept in `out`, or else of a child that is run now."""
    path = out / f"{side}-{seed}.json"
    if path.exists():
        return read_kept(path, seed, setup)
    told = {"side": side, "seed": seed, "task": setup.task, "model": setup.model, "problems": setup.problems}
    words = [word for name, value in told.items() for word in (f"--{name}", str(value))]
    words += ["--micro-batch", str(setup.trl_micro_batch), "--marks", *map(str, setup.marks)]
    print(f"{NAMES[side]}, seed {seed}, {setup.minutes:g} minutes ...", file=sys.stderr, flush=True)
    row = run("learning_side.py", [*words, "--began", str(time.time())])
    write_whole(path, json.dumps(row, indent=2).encode())
    return read_curve(row)


def read_kept(path: Path, seed: int, setup: Setup) -> LearningCurve:
    """A result of an earlier start; ends the process if it would come out otherwise now."""
    curve = read_curve(json.loads(path.read_bytes()))
    if (curve.setup, curve.settings, curve.machine) != (setup, settings_of(setup, seed), this_machine()):
        sys.exit(
            f"{path} was made with other options, other settings of the quickstart or on another machine; remove it, "
            "or name another folder with --out."
        )
    return curve


def describe_runs(curves: Sequence[LearningCurve]) -> str:
    header = ("side", "seed", "precision", "ready s", "steps", "s a step", "before", "after", "95 % interval", "at s")
    return render(header, [_run_row(curve) for curve in curves])


def _run_row(curve: LearningCurve) -> list[Cell]:
    first, last = curve.held_out[0], curve.held_out[-1]
    low, high = wilson_interval(round(last.accuracy * curve.setup.problems), curve.setup.problems)
    ends = [curve.ready_s, *(step.seconds for step in curve.steps)]
    return [
        NAMES[curve.side],
        curve.seed,
        curve.precision,
        curve.ready_s,
        len(curve.steps),
        statistics.median(end - begin for begin, end in itertools.pairwise(ends)),
        first.accuracy,
        last.accuracy,
        f"{low:.2f} to {high:.2f}",
        last.seconds,
    ]


def describe_moments(curves: Sequence[LearningCurve]) -> str:
    """What a newcomer sees, in the mean of the seeds."""
    header = ("after s", "side", "steps", f"reward of the last {RECENT}", "held-out accuracy", "measured at s")
    moments = [moment for moment in MOMENTS if moment <= curves[0].setup.marks[-1]]
    return render(header, [_moment_row(seconds, side, curves) for seconds in moments for side in sides_of(curves)])


def _moment_row(seconds: float, side: Side, curves: Sequence[LearningCurve]) -> list[Cell]:
    seen = [curve.seen_at(seconds) for curve in curves if curve.side == side]
    rewards = [each.reward for each in seen if each.reward is not None]
    return [
        round(seconds),
        NAMES[side],
        statistics.fmean(each.steps for each in seen),
        statistics.fmean(rewards) if rewards else None,
        statistics.fmean(each.held_out.accuracy for each in seen),
        statistics.fmean(each.held_out.seconds for each in seen),
    ]


def refuse_too_many_problems(setup: Setup) -> None:
    """Ends the process where the task would have less to learn from than is held out."""
    inputs = load_inputs(quickstart_config(setup, 0))
    total = len(inputs.train) + len(inputs.held_out)
    if len(inputs.train) < len(inputs.held_out):
        sys.exit(f"the task {setup.task} has {total} problems, so give at most --problems {total // 2}.")


def setup_of(options: argparse.Namespace) -> Setup:
    end = QUICK_S if options.quick else 60 * options.minutes
    marks = {*(mark for mark in options.marks if mark < end), end}
    return Setup(
        task=options.task,
        model=TINY if options.quick else options.model,
        problems=8 if options.quick else options.problems,
        marks=tuple(sorted(marks)),
        trl_micro_batch=options.micro_batch,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=get_args(TaskName), default="largest")
    parser.add_argument("--model", default=MODEL, help="a catalogue name, a folder, or tiny")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--marks", type=float, nargs="+", default=MARKS, help="seconds after which it is measured")
    parser.add_argument("--problems", type=int, default=256, help="held-out problems")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--micro-batch", type=int, default=32, help="rollouts that TRL reads at a time: fewer take less memory"
    )
    parser.add_argument("--skip-trl", action="store_true", help="Verifine's side alone")
    parser.add_argument("--out", type=Path, default=Path("learning"), help="the folder for results and the figure")
    parser.add_argument("--quick", action="store_true", help="a tiny model for a step or two: whether it runs at all")
    add_json_option(parser)
    options = parser.parse_args()
    sides = SIDES[:1] if options.skip_trl else SIDES
    if "trl" in sides and (missing := without_trl()):
        sys.exit(f"{missing} (or --skip-trl)")
    setup = setup_of(options)
    refuse_too_many_problems(setup)
    options.out.mkdir(parents=True, exist_ok=True)
    # Seeds outermost: whenever it is stopped, both sides have had as many runs.
    curves = [learn(side, seed, setup, options.out) for seed in options.seeds for side in sides]
    figure = draw_learning(curves)
    write_whole(options.out / "learning.png", to_png(figure))
    write_whole(options.out / "learning.svg", to_svg(figure, "learning").encode())
    publish(f"{describe_runs(curves)}\n\n{describe_moments(curves)}", [asdict(curve) for curve in curves], options.json)


if __name__ == "__main__":
    main()
