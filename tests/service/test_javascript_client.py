"""OpenAI's client for JavaScript, where it is installed: `npm install --prefix FOLDER openai`."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from verifine.testing import save_tiny_model
from verifine.testing.serve_command import ServeCommand

SCRIPT = Path(__file__).with_name("openai_service.mjs")
FOLDER = os.environ.get("OPENAI_JS")


@pytest.mark.slow
@pytest.mark.skipif(FOLDER is None, reason="OPENAI_JS names no folder with the npm package openai")
def test_the_javascript_client_trains_a_model_and_asks_it(tmp_path: Path) -> None:
    service = ServeCommand.start(tmp_path / "data", {"tiny": save_tiny_model(tmp_path / "tiny")})
    key = service.client.headers["authorization"].removeprefix("Bearer ")
    try:
        command = ["node", str(SCRIPT), str(service.client.base_url).rstrip("/"), key, "tiny"]
        ended = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=300, check=False)
    finally:
        service.end(signal.SIGTERM)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "25 cases\n"
