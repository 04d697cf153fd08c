"""A real run killed with SIGKILL and resumed, beside the same run left alone: the sha256 of their final weights.

    python benchmarks/kills.py [--kills 5] [--steps 24] [--json FILE]       # 6 minutes on two cores

Both are the `verifine train` of the command line: SmolLM2-135M-Instruct, the task `largest`, 8 prompts x 8 answers, a
checkpoint after every step. The kills come at random times, one a session, and fall wherever they fall: into sampling,
an update, a checkpoint being written.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from model_folders import model_folder
from table import add_json_option, publish, render
from workloads import MODEL, TINY

from verifine.runs.directory import RunDirectory
from verifine.runs.events import TrainingResumed, TrainingStarted, last_end, read_events
from verifine.runs.metrics import read_metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHistory:
    """How a run came to its end."""

    name: str
    kills: int
    killed_after_s: list[float]
    resumed_at: list[int]
    """The step that each session went on from; 0: from the beginning."""
    steps: list[int]
    """Of the rows in metrics.jsonl."""
    seconds: float
    sha256: str
    """Of model/model.safetensors."""


def run(name: str, folder: Path, options: argparse.Namespace, random: Random) -> RunHistory:
    """Trains in `folder`, killed as often as `options` say if it is called so."""
    directory, model = RunDirectory(path=folder / name), str(model_folder(TINY if options.quick else MODEL))
    begin = [
        *("train", f"run.directory={directory.path}", f"model.name={model}", "data.task=largest", "--skip-check"),
        *("run.save_interval=1", f"run.steps={options.steps}", "data.eval_size=8", f"optim.learning_rate={2e-5}"),
    ]
    started = time.monotonic()
    killed_after_s: list[float] = []
    while True:
        command = ["resume", str(directory.path)] if directory.config.exists() else begin
        process = subprocess.Popen([sys.executable, "-m", "verifine", *command], stdout=subprocess.DEVNULL)
        seconds = None
        if name == "killed" and len(killed_after_s) < options.kills:
            seconds = random.uniform(options.least_s, options.least_s + options.most_s)
        try:
            if process.wait(seconds):
                raise SystemExit(f"verifine {' '.join(command)} ended with {process.returncode}")
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed_after_s.append(seconds or 0.0)
            if directory.events.exists() and last_end(read_events(directory.events)) is not None:
                break  # it was over, and was killed while it wrote the report
    begun = [record.event for record in read_events(directory.events)]
    return RunHistory(
        name=name,
        kills=len(killed_after_s),
        killed_after_s=killed_after_s,
        resumed_at=[
            event.step if isinstance(event, TrainingResumed) else 0
            for event in begun
            if isinstance(event, TrainingStarted | TrainingResumed)
        ],
        steps=[report.step for report in read_metrics(directory.metrics)],
        seconds=time.monotonic() - started,
        sha256=hashlib.sha256((directory.model / "model.safetensors").read_bytes()).hexdigest(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--least-s", type=float, default=5.0, help="kills come so long after a session began at least")
    parser.add_argument("--most-s", type=float, default=30.0, help="kills come so long after the least time at most")
    parser.add_argument("--seed", type=int, default=0, help="of the times at which the kills come")
    parser.add_argument("--quick", action="store_true", help="a tiny model: whether it runs at all")
    add_json_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        stories = [run(name, Path(folder), options, Random(options.seed)) for name in ("alone", "killed")]
    rows = [
        (each.name, each.kills, " ".join(map(str, each.resumed_at)), len(each.steps), each.seconds, each.sha256)
        for each in stories
    ]
    publish(
        render(("run", "kills", "went on from", "rows", "s", "sha256"), rows), [*map(asdict, stories)], options.json
    )
    if len({(each.sha256, tuple(each.steps)) for each in stories}) > 1:
        raise SystemExit("the two runs differ")


if __name__ == "__main__":
    main()
