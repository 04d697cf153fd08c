from __future__ import annotations

import pytest

from verifine.machine.cores import Cores
from verifine.service.compute import build_environment, share_compute


@pytest.mark.parametrize(("cores", "job", "endpoint"), [(1, 1, 1), (2, 2, 1), (16, 16, 8)])
def test_a_job_gets_all_cores_and_a_model_that_answers_beside_it_half_of_them(
    cores: int, job: int, endpoint: int
) -> None:
    shares = share_compute(Cores(logical=cores, physical=cores), {})
    assert (shares.job, shares.endpoint, shares.child) == (job, endpoint, 1)


def test_a_user_s_limit_holds_for_all() -> None:
    shares = share_compute(Cores(logical=16, physical=16), {"OMP_NUM_THREADS": "4"})
    assert (shares.job, shares.endpoint) == (4, 2)


def test_an_environment_is_built_and_not_inherited() -> None:
    given = {"PATH": "/bin", "HF_TOKEN": "secret", "OMP_NUM_THREADS": "8", "OMP_WAIT_POLICY": "ACTIVE"}
    built = build_environment(given, threads=2)
    assert {name: built[name] for name in ("PATH", "OMP_NUM_THREADS")} == {"PATH": "/bin", "OMP_NUM_THREADS": "2"}
    assert "HF_TOKEN" not in built
    assert "GOMP_SPINCOUNT" in built, "threads that wait keep a core for too long"
