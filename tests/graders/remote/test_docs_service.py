"""The web service on the page of graders checks the signature and grades, as the page says."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from verifine.config.graders import EndpointGraderConfig
from verifine.graders import Services, build_grader
from verifine.types import Grade, Sample

PAGE = (Path(__file__).parents[3] / "docs" / "graders.md").read_text(encoding="utf-8")
(PROGRAM,) = [
    text for text in re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE) if "serve_forever" in text
]
SECRET, OTHER = "whsec_" + "YWJj" * 8, "whsec_" + "eHl6" * 8


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    service = tmp_path / "service.py"
    service.write_text(PROGRAM.replace("9000", str(port)))
    process = subprocess.Popen(
        [sys.executable, service], env={**os.environ, "GRADER_SECRET": SECRET}, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def graded(port: int, secret: str, answer: str) -> Grade:
    config = EndpointGraderConfig(
        type="endpoint", url=f"http://127.0.0.1:{port}/grade", secret_env="GRADER_SECRET", max_retries=0
    )
    grader = build_grader(config, Services(environment={"GRADER_SECRET": secret}))
    try:
        (grade,) = grader.grade([Sample(output_text=answer, item={"gt_answer": "56"})])
    finally:
        grader.close()
    return grade


def test_the_service_on_the_page_grades_what_is_signed_and_nothing_else(port: int) -> None:
    assert [graded(port, SECRET, answer).score for answer in (" 56\n", "57")] == [1.0, 0.0]
    forged = graded(port, OTHER, "56")
    assert forged.score is None
    assert "401" in str(forged.reason)
