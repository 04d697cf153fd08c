from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from verifine.models.threads import in_own_thread

HELD_TO_ONE_CORE = """
import json, os
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from verifine.machine.threads import Threads, decide_threads
from verifine.models.threads import use_threads

def count() -> int:
    return len(os.listdir("/proc/self/task"))

told = {}
torch.set_num_threads(4)  # as many as a machine may have of which this is a part
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
environment = dict(os.environ)
use_threads(decide_threads(), environment)
told["compute"], told["side by side"] = torch.get_num_threads(), torch.get_num_interop_threads()
told["tokenizers"] = environment["RAYON_NUM_THREADS"]
before = count()
torch.ones(512, 512) @ torch.ones(512, 512)
told["started by a product"] = count() - before

use_threads(Threads(compute=64, grading=64, data=5), os.environ)
told["never more"] = torch.get_num_threads()
before = count()
Tokenizer(WordLevel({"a": 0}, unk_token="a")).encode_batch(["a"] * 64)
told["started by tokenizers"] = count() - before
use_threads(Threads(compute=64, grading=64, data=3), os.environ)
told["chosen"] = os.environ["RAYON_NUM_THREADS"]
print(json.dumps(told))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are held to cores on Linux only")
def test_torch_and_tokenizers_keep_to_the_threads_that_were_decided() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith(("_NUM_THREADS", "LELISM"))}
    ended = subprocess.run(
        [sys.executable, "-c", HELD_TO_ONE_CORE], capture_output=True, text=True, check=True, env=environment
    )
    assert json.loads(ended.stdout) == {
        "compute": 1,
        "side by side": 1,
        "tokenizers": "1",
        "started by a product": 0,
        "never more": 1,
        "started by tokenizers": 5,
        "chosen": "5",
    }


TEAMS = """
import json, os, threading, time
import torch
from verifine.models.threads import in_own_thread

def product() -> float:
    return float((torch.ones(512, 512) @ torch.ones(512, 512)).sum())

def started() -> int:
    deadline = time.monotonic() + 10
    while (count := len(os.listdir("/proc/self/task")) - before) and time.monotonic() < deadline:
        time.sleep(0.01)  # threads that end
    return count

torch.set_num_threads(2)
before = len(os.listdir("/proc/self/task"))
told = {"value": in_own_thread(product)(), "left behind": started()}
before = len(os.listdir("/proc/self/task"))
product()
told["by a thread that stays"] = len(os.listdir("/proc/self/task")) - before
print(json.dumps(told))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_what_is_computed_in_a_thread_of_its_own_leaves_no_threads_that_share_the_cores() -> None:
    ended = subprocess.run([sys.executable, "-c", TEAMS], capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout) == {"value": 512.0**3, "left behind": 0, "by a thread that stays": 1}


def test_errors_of_a_thread_of_its_own_are_raised() -> None:
    def fail() -> None:
        raise KeyError("named")

    with pytest.raises(KeyError, match="named"):
        in_own_thread(fail)()
