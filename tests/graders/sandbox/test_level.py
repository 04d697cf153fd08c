"""What is found on machines that lack something: the kernel is made to refuse it to a process of its own."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

from verifine.graders.sandbox import Level, find_level
from verifine.graders.sandbox.plan import IsolationPlan, Namespaces, find_plans
from verifine.graders.sandbox.process import IsolationError, start_worker
from verifine.graders.sandbox.selftest import ATTACKS, prove

REPORT = """
import json, struct, sys
from verifine.errors import SandboxUnavailableError
from verifine.graders.sandbox import Sandbox, find_level
from verifine.graders.sandbox.inside import kernel

refused = json.loads(sys.argv[1])
program = [(0x20, 0, 0, 0)]
for number in refused:
    program += [(0x15, 0, 1, number), (6, 0, 0, 0x50001)]
program.append((6, 0, 0, 0x7FFF0000))
if refused:
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.filter_system_calls(b"".join(struct.pack("=HBBI", *each) for each in program))
report = find_level()
try:
    Sandbox(workers=1).close()
    message = ""
except SandboxUnavailableError as error:
    message = str(error)
print(json.dumps([report.level, report.missing, dict(report.details), message]))
"""
LANDLOCK, UNSHARE = 444, {"x86_64": 272, "aarch64": 97}[platform.machine()]


def report(*refused: int, path: str = "") -> tuple[str | None, list[str], dict[str, str], str]:
    environment = {**os.environ, "PATH": path}
    command = [sys.executable, "-W", "error", "-c", REPORT, json.dumps(refused)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stderr == ""  # nothing is left open where a plan does not work
    level, missing, details, message = json.loads(done.stdout)
    return level, missing, details, message


def test_without_landlock_untrusted_code_is_refused() -> None:
    level, missing, _, message = report(LANDLOCK)
    assert level is None
    assert any(each.startswith("Landlock 1 for the level full") for each in missing)
    assert all("use Linux 6.2 or newer" in each for each in missing)
    assert message.startswith("sandbox_unavailable: ")
    assert "Missing: Landlock" in message


def test_without_namespaces_what_is_missing_is_named_with_the_way_out() -> None:
    level, missing, details, message = report(UNSHARE)
    if level is None:  # where root's Python is not for others
        assert "cannot be read by user" in message
    else:
        assert (level, details["namespaces"], message) == ("kernel", "none", "")
    namespaces = next(each for each in missing if each.startswith("full by unshare"))
    assert "PermissionError: [Errno 1] Operation not permitted" in namespaces
    assert "allow unprivileged user namespaces" in namespaces
    bubblewrap = next(each for each in missing if each.startswith("full by bubblewrap"))
    assert "bubblewrap (bwrap) is not installed" in bubblewrap
    assert "apt install bubblewrap" in bubblewrap


def test_nothing_is_missing_for_the_best_level() -> None:
    found = find_level()
    assert (found.missing == ()) == (found.level is Level.FULL)
    assert found.details["landlock"].startswith("version ")


def test_each_level_has_its_plans_best_first() -> None:
    assert [plan.level for plan in find_plans(None)] == [Level.FULL, Level.FULL, Level.KERNEL]
    assert [plan.level for plan in find_plans(Level.KERNEL)] == [Level.KERNEL]
    (unsafe,) = find_plans(Level.UNSAFE)
    assert unsafe == IsolationPlan(level=Level.UNSAFE, namespaces=Namespaces.NONE)
    assert {plan.drops_root for plan in find_plans(None)} == {os.geteuid() == 0}


def test_the_self_test_finds_walls_that_do_not_stand() -> None:
    worker = start_worker(IsolationPlan(level=Level.UNSAFE, namespaces=Namespaces.NONE))
    try:
        with pytest.raises(IsolationError, match="its self-test: reading a file was not refused"):
            prove(worker)
    finally:
        worker.end()


def test_the_self_test_holds_ten_attacks_and_more() -> None:
    assert len(ATTACKS) >= 10


def test_nothing_untrusted_runs_as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be tempted")
    with pytest.raises(IsolationError, match="untrusted code must not run as root"):
        start_worker(IsolationPlan(level=Level.KERNEL, namespaces=Namespaces.NONE))
