from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings

from verifine.cli.main import main

# How long an example takes says how busy the machine is.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("unhurried"), max_examples=15)
settings.load_profile("unhurried")

# Read by the hub's client when it is imported: no test asks the hub.
os.environ["HF_HUB_OFFLINE"] = "1"
# And none pushes through the storage that only the real hub has.
os.environ["HF_HUB_DISABLE_XET"] = "1"


LONGEST = (
    "test_kills.py",
    "test_smoke.py",
    "test_smollm2.py",
    "test_session.py",
    "test_resume.py",
    "test_cli.py",
    "test_matrix.py",
    "test_endings.py",
    "test_limit.py",
)
"""Files whose tests take longest. They come first, or one process would still be at them when the others are done."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores: there are always tests that wait for a process or for time to pass."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture
def disk_folder() -> Iterator[Path]:
    """A folder where the system has its temporary files, while `tmp_path` may be in memory (see `in_memory.sh`)."""
    with TemporaryDirectory(prefix="verifine-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def qwen3_template() -> str:
    """The chat template of Qwen 3, as its authors publish it and as TRL has it among its files (Apache-2.0)."""
    spec = find_spec("trl")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "chat_templates" / "qwen3.jinja").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes models of the user. Compiled kernels, which take seconds to make, are theirs."""
    monkeypatch.setenv("VERIFINE_HOME", str(tmp_path / "verifine-home"))


@pytest.fixture
def verifine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process: exit code, output, errors."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["verifine", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
            raise SystemExit(0)
        captured = capsys.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else 0, captured.out, captured.err

    return run
