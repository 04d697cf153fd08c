from __future__ import annotations

import os
import subprocess
import sys

import pytest

from verifine.machine.waiting import SPINS, wait_briefly


def test_what_a_user_set_stays() -> None:
    untouched, patient, passive = {"HOME": "/root"}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "passive"}
    for environment in (untouched, patient, passive):
        wait_briefly(environment)
    assert untouched == {"HOME": "/root", "GOMP_SPINCOUNT": str(SPINS)}
    assert patient == {"GOMP_SPINCOUNT": "7"}
    assert passive == {"OMP_WAIT_POLICY": "passive"}


@pytest.mark.slow
def test_torch_takes_it_up_when_it_is_imported() -> None:
    code = "import os\nfrom verifine.machine.waiting import wait_briefly\nwait_briefly(os.environ)\nimport torch\n"
    environment = {
        name: value for name, value in os.environ.items() if name not in {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
    }
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment | {"OMP_DISPLAY_ENV": "verbose"},
    )
    if "GOMP_SPINCOUNT" not in ended.stderr:
        pytest.skip("this torch is built with another OpenMP than GNU's")
    assert f"GOMP_SPINCOUNT = '{SPINS}'" in ended.stderr
