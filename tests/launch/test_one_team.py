"""Whatever computes before the engine's thread does so in a thread that is over by then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from verifine.machine.cores import read_cores
from verifine.machine.threads import share_out
from verifine.testing import save_tiny_model

OPENED = """
import json, os, sys
from contextlib import ExitStack
from pathlib import Path
import torch
from verifine.launch.chat import ChatOptions, open_chat
from verifine.launch.endpoint import EndpointOptions, open_endpoint
from verifine.launch.options import DEFAULT_OPTIONS

def started_by_a_product() -> int:
    before = set(os.listdir("/proc/self/task"))
    torch.ones(512, 512) @ torch.ones(512, 512)
    return len(set(os.listdir("/proc/self/task")) - before)  # others may end meanwhile

what, precision, other = sys.argv[1:]
torch.set_num_threads(2)
with ExitStack() as stack:
    if what == "endpoint":
        options = EndpointOptions(model="pico", port=0, precision=precision)
        stack.enter_context(open_endpoint(options, 0.0, lambda _: None).listener)
    elif what == "chat":
        options = ChatOptions(model="pico", versus=other, precision=precision)
        stack.enter_context(open_chat(options, DEFAULT_OPTIONS))
    print(json.dumps([started_by_a_product(), started_by_a_product()]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
@pytest.mark.skipif(share_out(read_cores(), {}).compute < 2, reason="a team has two threads")
@pytest.mark.parametrize("precision", ["float32", "auto"])
@pytest.mark.parametrize("what", ["endpoint", "chat"])
def test_opening_leaves_the_thread_that_opens_without_a_team(what: str, precision: str, tmp_path: Path) -> None:
    """A thread's first product starts its team, and no later one does."""
    other = save_tiny_model(tmp_path / "other")
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    ended = subprocess.run(
        [sys.executable, "-c", OPENED, what, precision, str(other)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert json.loads(ended.stdout.splitlines()[-1]) == [1, 0]
