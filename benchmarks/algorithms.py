"""Every algorithm on the same data: the comparison figure of docs/results/algorithms.md and its numbers.

    python benchmarks/algorithms.py --out comparison

trains SmolLM2-135M-Instruct on the task `largest`, one run after the other (nothing else should run beside it): GRPO,
DAPO, RLOO, REINFORCE++ with baseline and PPO with three seeds each, the other rows of the table with one. Each run has
the quickstart's settings, but 64 answers a step, and at most five minutes. A run that is complete is not repeated, so
the script can be stopped and started again. At the end it writes what `verifine compare` writes, and `table.md`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from verifine.config.recipes import RECIPES
from verifine.launch.quickstart import quickstart_settings
from verifine.runs.directory import RunDirectory
from verifine.runs.record import RunRecord, read_run

FIGURE = ("grpo", "dapo", "rloo", "reinforce_pp_baseline", "ppo")
OTHERS = tuple(name for name in RECIPES if name not in FIGURE)
MINUTES = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("comparison"))
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each algorithm of the figure")
    arguments = parser.parse_args()
    started = time.monotonic()
    # Seeds outermost: whenever it is stopped, every algorithm has had as many runs.
    figure = [train(arguments.out, name, seed, arguments.steps) for seed in range(arguments.seeds) for name in FIGURE]
    others = [train(arguments.out, name, 0, arguments.steps) for name in OTHERS]
    for title, paths in (("figure", figure), ("others", [arguments.out / "grpo-0", *others])):
        compare(paths, arguments.out / title)
    rows = [read_run(RunDirectory.open(path)) for path in (*figure, *others)]
    (arguments.out / "table.md").write_text(table(rows), encoding="utf-8")
    print(table(rows))
    print(f"{(time.monotonic() - started) / 60:.0f} minutes")


def train(out: Path, algorithm: str, seed: int, steps: int) -> Path:
    """A finished run's directory."""
    path = out / f"{algorithm}-{seed}"
    if is_complete(path):
        return path
    shutil.rmtree(path, ignore_errors=True)
    settings = quickstart_settings("largest", minutes=MINUTES, algorithm=algorithm)
    settings["run"] |= {"seed": seed, "steps": steps, "directory": str(path)}
    if "sampling" in settings:  # so that all have 64 answers a step
        settings["sampling"]["prompts_per_step"] = 32
    print(f"{algorithm}, seed {seed} ...", flush=True)
    words = [f"{section}={json.dumps(values)}" for section, values in settings.items()]
    subprocess.run([sys.executable, "-m", "verifine", "train", *words], check=True, stdout=subprocess.DEVNULL)
    return path


def is_complete(path: Path) -> bool:
    """A run that failed or was stopped has a report, too, but no evaluation at its end."""
    if not (path / "report.html").exists():
        return False
    run = read_run(RunDirectory.open(path))
    return run.ending in {"finished", "out_of_time"} and run.final is not None


def compare(paths: list[Path], out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    words = [*map(str, paths), "--out", str(out)]
    subprocess.run([sys.executable, "-m", "verifine", "compare", *words], check=True)


def table(runs: list[RunRecord]) -> str:
    """One line a run."""
    lines = [
        "| algorithm | seed | answers before, after | format before, after | length | steps | updates | minutes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, *map(_line, runs)]) + "\n"


def _line(run: RunRecord) -> str:
    before, after = run.baseline, run.final
    assert before is not None
    assert after is not None
    answers = ", ".join(f"{each.answer_accuracy:.2f}" for each in (before, after))
    formats = ", ".join(f"{each.format_accuracy:.2f}" for each in (before, after))
    lengths = [value for value in run.series("completions/mean_length") if value is not None]
    updates = sum(value or 0.0 for value in run.series("updates"))
    minutes = (run.duration_s or 0.0) / 60
    return (
        f"| `{run.config.algorithm.name}` | {run.config.run.seed} | {answers} | {formats} | {lengths[-1]:.1f} "
        f"| {run.steps} | {updates:.0f} | {minutes:.1f} |"
    )


if __name__ == "__main__":
    main()
