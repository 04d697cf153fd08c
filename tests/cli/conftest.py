from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from verifine.cli.main import main
from verifine.graders.sandbox import find_level


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


@pytest.fixture(scope="module")
def held() -> Sequence[str]:
    """The words that let Python graders run, on a machine that cannot hold them too."""
    return () if find_level().level is not None else ("--unsafe-grader-exec",)
