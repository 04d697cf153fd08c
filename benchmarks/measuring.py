"""How things are measured: seconds, peak memory, and children that report in JSON."""

from __future__ import annotations

import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The steps of one program that count. The lists have an entry a step."""

    precision: str
    """What matrix products were computed in."""
    step_s: list[float]
    generate_s: list[float] | None
    """None: the program does not say."""
    update_s: list[float] | None
    prompt_tokens: list[int]
    """Summed over rollouts, however often they were read."""
    completion_tokens: list[int]
    """Trained on, summed over rollouts."""
    peak_gib: float
    """Of the process or, on an accelerator, of its memory."""

    @property
    def median_s(self) -> float:
        return statistics.median(self.step_s)


def median_seconds(work: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """The median duration of `work`, done once more beforehand to warm up."""
    work()
    seconds = []
    for _ in range(repeats):
        begun = clock()
        work()
        seconds.append(clock() - begun)
    return statistics.median(seconds)


def peak_gib() -> float:
    """The most memory that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux hands a child its parent's ru_maxrss; VmHWM is the child's own.
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        assert found is not None
        return int(found.group(1)) * 1024 / GIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / GIB if sys.platform == "darwin" else peak * 1024 / GIB


def run_child(script: str, options: Sequence[str]) -> Any:
    """Runs a script of this folder in a process of its own and returns the JSON that it writes.

    What it prints goes to standard error. A child that fails ends this process, too.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        command = [sys.executable, str(Path(__file__).with_name(script)), *options, "--json", str(out)]
        status = subprocess.run(command, stdout=sys.stderr, check=False).returncode
        if status:
            sys.exit(f"{script} {' '.join(options)} ended with exit status {status}; what it said stands above.")
        return json.loads(out.read_text(encoding="utf-8"))
