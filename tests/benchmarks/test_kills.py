"""What is killed ends as if it had been left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(folder: Path, script: str, *options: str) -> Any:
    """The JSON that a script prints, which stands alone on standard output; its files go to `folder`."""
    command = [sys.executable, str(BENCHMARKS / script), *options, "--json", "-"]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


@pytest.mark.slow
def test_kills_ends_with_the_same_weights_as_a_run_left_alone(tmp_path: Path) -> None:
    alone, killed = run(
        tmp_path, "kills.py", "--quick", "--kills", "1", "--steps", "2", "--least-s", "1", "--most-s", "1"
    )
    assert (alone["kills"], alone["steps"]) == (0, [1, 2])
    assert killed["kills"] == 1
    assert (killed["sha256"], killed["steps"]) == (alone["sha256"], alone["steps"])


@pytest.mark.slow
def test_service_kills_ends_with_the_same_weights_as_a_job_left_alone(tmp_path: Path) -> None:
    alone, killed = run(
        tmp_path, "service_kills.py", "--only", "service", "--kills", "1", "--steps", "4", "--most-s", "0.1"
    )
    assert (alone["kills"], alone["told"]) == (0, [1, 2, 3, 4])
    assert killed["kills"] <= 1  # the job may be over before
    assert (killed["sha256"], killed["told"]) == (alone["sha256"], alone["told"])
