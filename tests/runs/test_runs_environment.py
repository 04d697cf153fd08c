from __future__ import annotations

import platform
import sys
from pathlib import Path

from verifine.runs.environment import describe_environment, read_environment, write_environment


def test_this_machine_is_described_and_the_description_reads_back(tmp_path: Path) -> None:
    environment = describe_environment()
    assert environment.python == platform.python_version()
    assert environment.cores >= 1
    assert environment.memory_bytes > 2**27
    assert environment.cpu
    write_environment(tmp_path / "env.json", environment)
    assert read_environment(tmp_path / "env.json") == environment


def test_describing_the_environment_does_not_load_torch() -> None:
    loaded = "torch" in sys.modules
    describe_environment()
    assert ("torch" in sys.modules) == loaded
