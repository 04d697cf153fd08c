from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache, or asks the hub."""
    monkeypatch.setenv("VERIFINE_HOME", str(tmp_path / "verifine-home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
