from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from verifine.graders import python_source
from verifine.graders.python_worker import GRACE_S

WORKER = Path(python_source.__file__).with_name("python_worker.py")


def run_worker(*requests: dict[str, object]) -> subprocess.CompletedProcess[str]:
    lines = "".join(json.dumps({"id": index, **request}) + "\n" for index, request in enumerate(requests))
    return subprocess.run(
        [sys.executable, "-I", WORKER], input=lines, capture_output=True, text=True, check=False, timeout=60
    )


def test_worker_ends_when_nobody_asks_any_more_even_if_the_source_has_left_a_thread() -> None:
    thread = "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    source = thread + "def grade(sample, item): return item['x']"
    ended = run_worker({"source": source, "timeout_s": 5}, {"sample": {}, "item": {"x": 2}, "timeout_s": 5})
    assert ended.returncode == 0
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [{"id": 0}, {"id": 1, "score": 2.0}]


def test_worker_that_nobody_kills_ends_itself_some_time_after_the_limit() -> None:
    ended = run_worker({"source": "while True: pass", "timeout_s": 0.1 - GRACE_S})
    assert ended.returncode == -signal.SIGALRM
    assert ended.stdout == ""


def test_a_source_that_cannot_be_loaded_may_be_followed_by_one_that_can() -> None:
    good = "def grade(sample, item): return 1"
    ended = run_worker({"source": "x x", "timeout_s": 5}, {"source": good, "timeout_s": 5})
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [
        {"id": 0, "error": "line 1: SyntaxError: invalid syntax"},
        {"id": 1},
    ]
