from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx2
import psutil
import pytest

from verifine.service.child import ChildError, ChildLimits, Children
from verifine.service.compute import build_environment
from verifine.service.http.app import ServiceParts, build_service
from verifine.service.jobs.store import NewJob
from verifine.service.trials.study import STUDY_REPLY, StudyQuestion, StudyReply
from verifine.wire.server import AppServer, address_of, listen_at

from .conftest import KEY

MODULE = "answer_badly"
LIMITS = ChildLimits(wall_s=60, memory_bytes=256 << 20)


@pytest.fixture
def children() -> Children:
    """With a module of the tests."""
    environment = build_environment({**os.environ, "OPENAI_API_KEY": "sk-secret"}, threads=1)
    path = os.pathsep.join([str(Path(__file__).parent), environment.get("PYTHONPATH", "")])
    return Children(environment={**environment, "PYTHONPATH": path})


def wait_for_end(pid: int) -> None:
    if psutil.pid_exists(pid):
        psutil.Process(pid).wait(timeout=30)


def test_no_variable_of_the_service_reaches_a_child_unless_it_is_named(children: Children) -> None:
    seen = json.loads(children.ask(MODULE, b"environment", LIMITS))
    assert "OPENAI_API_KEY" not in seen
    assert seen["OMP_NUM_THREADS"] == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_child_that_takes_too_much_memory_fails_alone(children: Children) -> None:
    with pytest.raises(ChildError, match="MemoryError"):
        children.ask(MODULE, b"fill memory", LIMITS)


def test_what_a_child_has_started_ends_with_it(children: Children) -> None:
    wait_for_end(int(children.ask(MODULE, b"start another", LIMITS)))


def test_a_child_that_takes_too_long_is_ended(children: Children, tmp_path: Path) -> None:
    place = tmp_path / "pid"
    with pytest.raises(ChildError, match="longer than") as failure:
        children.ask(MODULE, str(place).encode(), ChildLimits(wall_s=1.5, memory_bytes=256 << 20))
    assert failure.value.is_late
    if place.exists():
        assert not psutil.pid_exists(int(place.read_text()))


LONG = ChildLimits(wall_s=600, memory_bytes=256 << 20)


def pid_in(place: Path) -> int:
    while not place.exists() or not place.read_text():
        time.sleep(0.01)
    return int(place.read_text())


def test_those_who_have_not_answered_are_ended_and_no_more_begin(children: Children, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(children.ask, MODULE, str(tmp_path / "pid").encode(), LONG)
        pid = pid_in(tmp_path / "pid")
        children.end()
        with pytest.raises(ChildError, match="-9"):
            asked.result()
    assert not psutil.pid_exists(pid)
    with pytest.raises(ChildError, match="the service ends"):
        children.ask(MODULE, b"environment", LIMITS)


def test_a_service_that_is_stopped_does_not_wait_for_a_child(
    parts: ServiceParts, children: Children, tmp_path: Path
) -> None:
    def study(_: StudyQuestion) -> StudyReply:
        return STUDY_REPLY.validate_json(children.ask(MODULE, str(tmp_path / "pid").encode(), LONG))

    job = parts.jobs.create("local", NewJob(request={}, training_file="file-1"))
    server = AppServer(build_service(replace(parts, study=study, children=children)), stop_seconds=0)
    listener = listen_at("127.0.0.1", 0, 30)
    serving = threading.Thread(target=server.run, args=(listener,))
    headers = {"authorization": f"Bearer {KEY}"}
    with (
        ThreadPoolExecutor() as threads,
        httpx2.Client(base_url=address_of(listener), headers=headers, timeout=60) as http,
    ):
        serving.start()
        asked = threads.submit(http.post, f"/api/jobs/{job.id}/regrade", json={}, timeout=600)
        pid = pid_in(tmp_path / "pid")
        server.stop()
        serving.join(timeout=60)
        has_ended = not serving.is_alive()
        children.end()
        asked.exception()
    serving.join()
    assert has_ended
    assert not psutil.pid_exists(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says so to a child")
def test_a_child_ends_when_the_service_is_killed(tmp_path: Path) -> None:
    place = tmp_path / "pid"
    program = (
        "import os\nfrom verifine.service.child import *\n"
        f"Children(environment=dict(os.environ)).ask({MODULE!r}, {str(place).encode()!r}, "
        "ChildLimits(wall_s=600, memory_bytes=1 << 30))\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    service = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path})
    while not place.exists() or not place.read_text():
        assert service.poll() is None
    child = psutil.Process(int(place.read_text()))
    service.send_signal(signal.SIGKILL)
    service.wait()
    child.wait(timeout=30)
