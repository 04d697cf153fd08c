"""One side and one seed of benchmarks/learning.py, which starts it in a process of its own.

The clock begins with the process, so what a side needs is imported when it is known which side it is.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import asdict

from learning_curve import SIDES, Clock, LearningCurve, Setup, Side
from table import add_json_option, publish, render


def learn(setup: Setup, side: Side, seed: int, clock: Clock) -> LearningCurve:
    """Trains one side until its last mark."""
    if side == "verifine":
        from verifine.cli.memory import keep_freed_memory
        from verifine.machine.waiting import wait_briefly

        wait_briefly(os.environ)  # as the command line does, before torch is imported
        keep_freed_memory()
        from learning_verifine import learn as learn_side
    else:
        from learning_trl import learn as learn_side
    recorder, precision = learn_side(setup, seed, clock)
    from learning_config import settings_of, this_machine

    return LearningCurve(
        side=side,
        seed=seed,
        setup=setup,
        settings=settings_of(setup, seed),
        machine=this_machine(),
        precision=precision,
        ready_s=recorder.ready_s,
        steps=recorder.steps,
        held_out=recorder.held_out,
    )


def describe(curve: LearningCurve) -> str:
    rows = [(each.seconds, each.steps, each.accuracy) for each in curve.held_out]
    return render(("s", "steps", "held-out accuracy"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", choices=SIDES, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--problems", type=int, required=True)
    parser.add_argument("--micro-batch", type=int, required=True, help="TRL's")
    parser.add_argument("--marks", type=float, nargs="+", required=True)
    parser.add_argument("--began", type=float, required=True, help="when the process was started, by time.time()")
    add_json_option(parser)
    options = parser.parse_args()
    clock = Clock(time.monotonic, age_s=time.time() - options.began)
    setup = Setup(
        task=options.task,
        model=options.model,
        problems=options.problems,
        marks=tuple(options.marks),
        trl_micro_batch=options.micro_batch,
    )
    curve = learn(setup, options.side, options.seed, clock)
    publish(describe(curve), asdict(curve), options.json)


if __name__ == "__main__":
    main()
