from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from verifine.machine.priority import GIVEN_WAY

PROGRAM = """
import os
from pathlib import Path
from verifine.machine.priority import give_way
give_way()
group = Path("/proc/self/autogroup")
print(os.getpriority(os.PRIO_PROCESS, 0), group.read_text().split()[-1] if group.exists() else "none")
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no Linux")
@pytest.mark.parametrize("before", [0, 15])
def test_a_process_gives_way_with_its_session_and_never_takes_more(before: int) -> None:
    command = ["nice", "-n", str(before), sys.executable, "-c", PROGRAM]
    told = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=True).stdout
    nice, group = told.split()
    assert int(nice) == max(before, GIVEN_WAY)
    assert group in (str(GIVEN_WAY), "none")
