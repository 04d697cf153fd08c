"""vLLM for CPUs as one of the engines of benchmarks/engines.py: its settings, and the process it runs in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from generation import PASSES, Job, Speed, median_speed
from vllm_environment import default_environment, make_vllm


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmSettings:
    """How vLLM is started."""

    dtype: str
    enforce_eager: bool
    """False: compiled with torch.compile, which is vLLM's default where it has a C++ compiler."""
    block_size: int | None
    """Tokens of a block of keys and values, the unit of which prompts are shared; None: vLLM's own choice."""

    def __str__(self) -> str:
        mode = "eager" if self.enforce_eager else "compiled"
        return f"{self.dtype}, {mode}" + (f", blocks of {self.block_size}" if self.block_size else "")


VLLM_SETTINGS = (
    VllmSettings(dtype="float32", enforce_eager=True, block_size=None),
    VllmSettings(dtype="bfloat16", enforce_eager=True, block_size=None),
    VllmSettings(dtype="float32", enforce_eager=False, block_size=None),
    VllmSettings(dtype="bfloat16", enforce_eager=False, block_size=None),
    # Prompts of less than a block are read once a row, not once a group.
    VllmSettings(dtype="float32", enforce_eager=False, block_size=32),
)


def vllm(job: Job) -> list[Speed]:
    """The fastest setting at each number of rows. What each gave goes to standard error."""
    python = job.vllm_python or make_vllm(default_environment())
    found: list[Speed] = []
    for settings in VLLM_SETTINGS:
        found += run_vllm(python, job, settings)
    best = [
        max((each for each in found if each.rows == rows), key=lambda each: each.tokens_per_s, default=None)
        for rows in job.rows
    ]
    return [each for each in best if each is not None]


def run_vllm(python: Path, job: Job, settings: VllmSettings) -> list[Speed]:
    """One start of vLLM, in one setting. Nothing where it fails, which is told."""
    passes = [prompts for rows in job.rows for prompts in job.passes(rows)]
    asked = {
        **asdict(settings),
        "model": str(job.folder),
        "context": job.prompt_tokens + job.new_tokens,
        "max_rows": max(job.rows),
        "group_size": job.group_size,
        "new_tokens": job.new_tokens,
        "passes": passes,
    }
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder) / "out.json", Path(folder) / "log"
        with log.open("w", encoding="utf-8") as file:
            status = subprocess.run(
                [str(python), str(Path(__file__).with_name("vllm_generate.py")), str(out)],
                input=json.dumps(asked),
                text=True,
                stdout=file,
                stderr=file,
                env={**os.environ, **vllm_variables(python)},
                check=False,
            ).returncode
        if status:
            print(f"vllm ({settings}) failed:\n{last_lines(log)}", file=sys.stderr, flush=True)
            return []
        seconds = json.loads(out.read_text(encoding="utf-8"))["seconds"]
    speeds = []
    for index, rows in enumerate(job.rows):
        counted = seconds[index * (1 + PASSES) + 1 : (index + 1) * (1 + PASSES)]
        speeds.append(median_speed("vllm", str(settings), rows, [rows * job.new_tokens / each for each in counted]))
        print(f"vllm ({settings}), {rows} rows: {speeds[-1].tokens_per_s:.0f} tokens/s", file=sys.stderr, flush=True)
    return speeds


def vllm_variables(python: Path) -> dict[str, str]:
    """Every processor for its worker, where it would keep one back; its OpenMP instead of torch's, if it is there."""
    openmp = python.parent.parent / "lib" / "libiomp5.so"
    preload = {"LD_PRELOAD": str(openmp)} if openmp.exists() else {}
    processors = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    return {"VLLM_CPU_OMP_THREADS_BIND": processors, **preload}


def last_lines(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8").splitlines()[-15:])
