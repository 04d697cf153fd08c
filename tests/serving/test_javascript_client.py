"""OpenAI's client for JavaScript, where it is installed: `npm install --prefix FOLDER openai`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.serving.conftest import TOOL_LIMITS

from verifine.serving import ServedModel
from verifine.testing.servers import running_server

SCRIPT = Path(__file__).with_name("openai_client.mjs")
FOLDER = os.environ.get("OPENAI_JS")


@pytest.mark.slow
@pytest.mark.skipif(FOLDER is None, reason="OPENAI_JS names no folder with the npm package openai")
def test_the_javascript_client_is_answered(tool_model: ServedModel) -> None:
    with running_server(tool_model, limits=TOOL_LIMITS) as server:
        command = ["node", str(SCRIPT), f"{server.url}/v1", "tools"]
        ended = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "19 cases\n"
