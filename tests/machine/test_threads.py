from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.machine.cores import Cores
from verifine.machine.threads import CHOICES, MAX_DATA, MAX_GRADING, Threads, decide_threads, share_out

HYPER_THREADED = Cores(logical=8, physical=4)


def test_whoever_has_the_turn_has_all_cores() -> None:
    assert share_out(Cores(logical=6, physical=6), {}) == Threads(compute=6, grading=6, data=6)


def test_hyper_threads_grade_and_read_but_do_not_compute() -> None:
    assert share_out(HYPER_THREADED, {}) == Threads(compute=4, grading=8, data=8)


def test_a_quota_of_two_on_a_large_machine_is_two_threads() -> None:
    assert share_out(Cores(logical=128, physical=64, quota=2.0), {}) == Threads(compute=2, grading=2, data=2)


def test_many_cores_do_not_start_many_graders() -> None:
    threads = share_out(Cores(logical=128, physical=64), {})
    assert threads == Threads(compute=64, grading=MAX_GRADING, data=MAX_DATA)


@pytest.mark.parametrize(
    ("environment", "compute", "data"),
    [
        ({"OMP_NUM_THREADS": "3"}, 3, 3),
        ({"OMP_NUM_THREADS": "2,1"}, 2, 2),  # a number for each level of nesting
        ({"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "1"}, 1, 1),  # torch listens to MKL's first
        ({"OMP_NUM_THREADS": "0"}, 4, 8),
        ({"OMP_NUM_THREADS": "many"}, 4, 8),
        ({"OMP_NUM_THREADS": ""}, 4, 8),
        ({"OMP_NUM_THREADS": "96"}, 4, 8),
    ],
)
def test_a_user_may_choose_fewer_and_not_more(environment: dict[str, str], compute: int, data: int) -> None:
    assert share_out(HYPER_THREADED, environment) == Threads(compute=compute, grading=8, data=data)


@given(
    logical=st.integers(1, 512),
    hyper_threads=st.sampled_from([1, 2]),
    quota=st.none() | st.floats(0.01, 600),
    environment=st.dictionaries(st.sampled_from(CHOICES), st.integers(-3, 600).map(str) | st.text(max_size=5)),
)
def test_nobody_has_more_threads_than_may_run_at_once_and_everybody_has_one(
    logical: int, hyper_threads: int, quota: float | None, environment: dict[str, str]
) -> None:
    physical = -(-logical // hyper_threads)
    threads = share_out(Cores(logical=logical, physical=physical, quota=quota), environment)
    most = logical if quota is None else max(1.0, min(logical, quota))
    assert 1 <= threads.compute <= min(most, physical)
    assert 1 <= threads.grading <= most
    assert 1 <= threads.data <= most


def test_threads_are_told_in_words() -> None:
    assert str(Threads(compute=2, grading=4, data=8)) == "2 compute, 4 grading, 8 data"


def test_the_decision_of_this_process_rests_on_its_cores_and_loads_no_torch() -> None:
    code = (
        "import os, sys\n"
        "os.environ['MKL_NUM_THREADS'] = '1'\n"
        "from verifine.machine.threads import decide_threads\n"
        "print(decide_threads().compute, 'torch' in sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["1", "False"]
    assert decide_threads().grading >= 1
