"""A training step of Verifine beside the same step of TRL 1.16: seconds and peak memory.

    pip install trl==1.16.0
    python benchmarks/against_trl.py                                  # about 40 minutes on two cores
    python benchmarks/against_trl.py --workload short --quick         # 5 minutes
    python benchmarks/against_trl.py --same-precision --json FILE

Each side trains SmolLM2-135M-Instruct in a process of its own, one after the other, on the same prompts, group size,
answer lengths and optimiser (`benchmarks/workloads.py`). The first step of each is left out; the others' medians are
compared. Both sides count the tokens they trained on: where answers have an exact length, the counts must be equal.

Verifine computes in what a user gets (what this machine multiplies faster) and TRL in the same, unless
`--ours-precision` and `--precision` say otherwise; TRL's own default is bfloat16. `ratio` is TRL's seconds by ours,
`peak_memory_ratio` our peak by TRL's. Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec

from measuring import Measurement, run_child
from table import add_json_option, publish, render
from workloads import COMPARED, MODEL, WORKLOADS, Workload, with_micro_batch

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A workload, done by both. Seconds are those of a step, in the median."""

    workload: str
    precision: str
    """TRL's."""
    ours_precision: str
    ours_s: float
    ours_generate_s: float
    ours_update_s: float
    trl_s: float
    ratio: float
    ours_peak_gib: float
    trl_peak_gib: float
    peak_memory_ratio: float
    ours_completion_tokens: float
    trl_completion_tokens: float
    """Of a step, on average."""


def compare(workload: Workload, model: str, precision: str, ours_precision: str, steps: tuple[int, int]) -> Comparison:
    """Measures both sides; `steps` are ours and TRL's. TRL's precision `auto` is that of ours."""
    common = ("--workload", workload.name, "--model", model)
    ours = _run("step.py", [*common, "--precision", ours_precision, "--steps", str(steps[0])])
    theirs = ours.precision if precision == "auto" else precision
    micro_batch = str(workload.trl_micro_batch)
    trl = _run("trl_step.py", [*common, "--precision", theirs, "--steps", str(steps[1]), "--micro-batch", micro_batch])
    check_same_work(workload, ours, trl)
    return contrast(workload, ours, trl)


def _run(script: str, options: Sequence[str]) -> Measurement:
    measured = Measurement(**run_child(script, options))
    seconds = " ".join(f"{each:.2f}" for each in measured.step_s)
    print(f"{script} {' '.join(options)}: {seconds} s, {measured.peak_gib:.2f} GiB", file=sys.stderr, flush=True)
    return measured


def check_same_work(workload: Workload, ours: Measurement, trl: Measurement) -> None:
    """Stops where one side read other prompts, or trained on fewer tokens, than the other."""
    assert {*ours.prompt_tokens} == {*trl.prompt_tokens}, (ours.prompt_tokens, trl.prompt_tokens)
    if not workload.stops:
        expected = {workload.rollouts * workload.max_new_tokens}
        assert {*ours.completion_tokens} == expected, (ours.completion_tokens, expected)
        assert {*trl.completion_tokens} == expected, (trl.completion_tokens, expected)


def contrast(workload: Workload, ours: Measurement, trl: Measurement) -> Comparison:
    assert ours.generate_s is not None
    assert ours.update_s is not None
    return Comparison(
        workload=workload.name,
        precision=trl.precision,
        ours_precision=ours.precision,
        ours_s=ours.median_s,
        ours_generate_s=statistics.median(ours.generate_s),
        ours_update_s=statistics.median(ours.update_s),
        trl_s=trl.median_s,
        ratio=trl.median_s / ours.median_s,
        ours_peak_gib=ours.peak_gib,
        trl_peak_gib=trl.peak_gib,
        peak_memory_ratio=ours.peak_gib / trl.peak_gib,
        ours_completion_tokens=statistics.mean(ours.completion_tokens),
        trl_completion_tokens=statistics.mean(trl.completion_tokens),
    )


def describe(rows: Sequence[Comparison]) -> str:
    header = ("workload", "ours s", "generate", "update", "TRL s", "ratio", "ours GiB", "TRL GiB", "precisions")
    cells = [
        (
            row.workload,
            row.ours_s,
            row.ours_generate_s,
            row.ours_update_s,
            row.trl_s,
            row.ratio,
            row.ours_peak_gib,
            row.trl_peak_gib,
            f"{row.ours_precision}, {row.precision}",
        )
        for row in rows
    ]
    return render(header, cells)


def without_trl() -> str | None:
    """What to say where TRL is not installed."""
    return (
        None
        if find_spec("trl")
        else "TRL is not installed, so there is nothing to compare with: pip install trl==1.16.0"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", nargs="+", choices=tuple(WORKLOADS), default=[each.name for each in COMPARED])
    parser.add_argument("--model", default=MODEL, help="a catalogue name, a folder, or tiny")
    parser.add_argument(
        "--precision", nargs="+", choices=PRECISIONS, default=["auto"], help="TRL's, a row for each; auto: as ours"
    )
    parser.add_argument("--ours-precision", choices=PRECISIONS, default="auto")
    parser.add_argument("--same-precision", action="store_true", help="bfloat16 on both sides")
    parser.add_argument("--steps", type=int, help="measured steps of each side")
    parser.add_argument("--quick", action="store_true", help="one measured step of each side")
    parser.add_argument("--micro-batch", type=int, help="rollouts that TRL reads at a time: fewer take less memory")
    add_json_option(parser)
    options = parser.parse_args()
    if missing := without_trl():
        sys.exit(missing)
    ours_precision = "bfloat16" if options.same_precision else options.ours_precision
    rows = []
    for workload in (with_micro_batch(WORKLOADS[name], options.micro_batch) for name in options.workload):
        steps = (1, 1) if options.quick else (options.steps or workload.steps, options.steps or workload.trl_steps)
        for precision in ["bfloat16"] if options.same_precision else options.precision:
            rows.append(compare(workload, options.model, precision, ours_precision, steps))
            print(describe(rows[-1:]), file=sys.stderr, flush=True)
    publish(describe(rows), [asdict(row) for row in rows], options.json)


if __name__ == "__main__":
    main()
