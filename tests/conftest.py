from __future__ import annotations

import os
from pathlib import Path

import pytest

# Read by the hub's client when it is imported: no test asks the hub.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("VERIFINE_HOME", str(tmp_path / "verifine-home"))
