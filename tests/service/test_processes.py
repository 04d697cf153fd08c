from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from verifine.service.compute import build_environment
from verifine.service.supervisor import recorder
from verifine.service.supervisor.processes import RecordedProcesses


@pytest.fixture
def processes() -> RecordedProcesses:
    return RecordedProcesses(os.environ)


def recorders_of(folder: Path) -> list[psutil.Process]:
    """Other tests in this process may have children of their own, of which some have ended and are not waited for."""
    alive = [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
    return [each for each in alive if str(folder) in each.cmdline()]


def recorder_of(folder: Path) -> psutil.Process:
    [child] = recorders_of(folder)
    return child


def test_what_a_command_prints_and_how_it_ends_are_kept(tmp_path: Path, processes: RecordedProcesses) -> None:
    processes.start(tmp_path, ["--version"])
    assert processes.is_alive(tmp_path)
    recorder_of(tmp_path).wait()
    assert not processes.is_alive(tmp_path)
    assert (tmp_path / recorder.LOG).read_text().startswith("verifine ")
    assert (tmp_path / recorder.END).read_text() == '{"code": 0}'


def test_why_a_command_failed_is_in_its_own_words(tmp_path: Path, processes: RecordedProcesses) -> None:
    processes.start(tmp_path, ["report", "missing"])
    recorder_of(tmp_path).wait()
    assert not processes.is_alive(tmp_path)
    assert "missing: there is no such folder" in processes.why_ended(tmp_path)


def test_no_secret_of_the_service_reaches_a_job(tmp_path: Path) -> None:
    processes = RecordedProcesses(build_environment({**os.environ, "OPENAI_API_KEY": "sk-secret"}, threads=1))
    processes.start(tmp_path, ["--version"])
    child = recorder_of(tmp_path)
    assert "OPENAI_API_KEY" not in child.environ()
    child.wait()
    assert not processes.is_alive(tmp_path)


def test_a_process_is_found_by_another_service_and_killed_with_all_that_it_started(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    leader = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.call({command!r})"], start_new_session=True
    )
    started = psutil.Process(leader.pid).create_time()
    (tmp_path / recorder.PROCESS).write_text(f'{{"pid": {leader.pid}, "started": {started}}}')
    later = RecordedProcesses({})
    assert later.is_alive(tmp_path)
    while not (below := psutil.Process(leader.pid).children()):
        pass
    assert later.resident_bytes(tmp_path) > 1 << 20
    os.kill(leader.pid, signal.SIGKILL)  # the recorder alone
    leader.wait()
    assert later.is_alive(tmp_path)
    later.kill(tmp_path)
    assert psutil.wait_procs(below, timeout=10)[1] == []
    assert not later.is_alive(tmp_path)
    assert "was killed" in later.why_ended(tmp_path)


def test_a_process_that_stands_still_is_killed_as_well(tmp_path: Path) -> None:
    leader = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    started = psutil.Process(leader.pid).create_time()
    (tmp_path / recorder.PROCESS).write_text(f'{{"pid": {leader.pid}, "started": {started}}}')
    leader.send_signal(signal.SIGSTOP)
    RecordedProcesses({}).kill(tmp_path)
    assert leader.wait(timeout=10) == -signal.SIGKILL


def test_a_pid_that_was_used_again_is_not_taken_for_the_job(tmp_path: Path) -> None:
    (tmp_path / recorder.PROCESS).write_text(f'{{"pid": {os.getpid()}, "started": 1.0}}')
    later = RecordedProcesses({})
    assert not later.is_alive(tmp_path)
    later.kill(tmp_path)


def test_two_recorders_are_never_at_one_job(tmp_path: Path, processes: RecordedProcesses) -> None:
    with (tmp_path / recorder.LOCK).open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        processes.start(tmp_path, ["--version"])
        assert processes.is_alive(tmp_path)
        assert not recorders_of(tmp_path)
    assert not processes.is_alive(tmp_path)
    assert not (tmp_path / recorder.LOG).exists()


def test_a_process_is_alive_for_another_service_from_the_moment_it_is_started(
    tmp_path: Path, processes: RecordedProcesses
) -> None:
    processes.start(tmp_path, ["--version"])
    later = RecordedProcesses(os.environ)  # as if the first service had been killed at once
    assert later.is_alive(tmp_path)
    later.start(tmp_path, ["--version"])
    recorder_of(tmp_path).wait()
    assert not processes.is_alive(tmp_path)
    assert not later.is_alive(tmp_path)
    assert (tmp_path / recorder.LOG).read_text().count("verifine ") == 1
