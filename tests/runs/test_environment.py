from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

from verifine.machine.cores import read_cores
from verifine.machine.threads import decide_threads
from verifine.runs.environment import describe_environment, read_environment, write_environment


def test_this_machine_is_described_and_the_description_reads_back(tmp_path: Path) -> None:
    environment = describe_environment()
    assert environment.python == platform.python_version()
    assert (environment.cores, environment.core_quota) == (read_cores().available, read_cores().quota)
    assert environment.threads == decide_threads()
    assert environment.memory_bytes > 2**27
    assert environment.cpu
    write_environment(tmp_path / "env.json", environment)
    assert read_environment(tmp_path / "env.json") == environment


def test_describing_the_environment_does_not_load_torch() -> None:
    loaded = "torch" in sys.modules
    describe_environment()
    assert ("torch" in sys.modules) == loaded


def test_a_description_without_threads_is_read_too(tmp_path: Path) -> None:
    write_environment(tmp_path / "env.json", describe_environment())
    written = json.loads((tmp_path / "env.json").read_text())
    del written["threads"], written["core_quota"]
    (tmp_path / "env.json").write_text(json.dumps(written))
    read = read_environment(tmp_path / "env.json")
    assert (read.threads, read.core_quota) == (None, None)
