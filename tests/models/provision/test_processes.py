"""Several processes that pull one model, and processes that are killed while they do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from verifine.models.provision.cache import ModelCache
from verifine.models.provision.folder import hash_model_folder
from verifine.testing import disk, save_tiny_model
from verifine.testing.hub import HubRepository, HubServer, serve_hub

NAME = "someone/tiny"
WEIGHTS = "model.safetensors"
DOWNLOADING, WAITING = f"downloading {WEIGHTS}", "waiting for another process"
KILLED = -9

PROGRAM = """
import runpy
import sys
from pathlib import Path

from huggingface_hub import HfApi

from verifine.models.provision.cache import ModelCache
from verifine.models.provision.hub import Hub
from verifine.models.provision.pull import HubSource, pull_model

endpoint, root, point, moment, disk_file = sys.argv[1:]
faulty = runpy.run_path(disk_file, run_name="faulty")  # its package imports torch
fault = faulty["Fault"](point=point, moment=moment, error=None) if point else None
cache = ModelCache(folder=Path(root), disk=faulty["FaultyDisk"](Path(root), fault))


def progress(text, done, total):
    if done == 0:
        print(text, flush=True)


hub = Hub(api=HfApi(endpoint=endpoint, token=False), token=None)
source = HubSource(hub=hub, hub_id="someone/tiny", revision=None, timeout_s=60, cache=cache, progress=progress)
pull_model("someone/tiny", cache, [source], progress)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def server(folder: Path) -> Iterator[HubServer]:
    with serve_hub({NAME: HubRepository.of_folder(folder)}) as running:
        yield running


@contextmanager
def pulling(server: HubServer, root: Path, point: str = "", moment: str = "before") -> Iterator[subprocess.Popen[str]]:
    """A process that pulls the model, and is killed at `point`."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", PROGRAM, server.endpoint, str(root), point, moment, disk.__file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            server.may_send_weights.set()
            process.kill()


def read_until(process: subprocess.Popen[str], beginning: str) -> None:
    assert process.stdout is not None
    assert any(line.startswith(beginning) for line in process.stdout), f"it never said {beginning!r}"


def test_of_two_processes_one_fetches_a_model_and_the_other_waits(
    server: HubServer, tmp_path: Path, folder: Path
) -> None:
    server.may_send_weights.clear()
    with pulling(server, tmp_path) as first:
        read_until(first, DOWNLOADING)
        with pulling(server, tmp_path) as second:
            read_until(second, WAITING)
            server.may_send_weights.set()
            assert (first.wait(), second.wait()) == (0, 0)
    assert server.fetched(WEIGHTS) == [0]
    assert hash_model_folder(tmp_path / "models" / "someone--tiny") == hash_model_folder(folder)


def test_a_process_that_waits_takes_over_from_one_that_is_killed(
    server: HubServer, tmp_path: Path, folder: Path
) -> None:
    server.may_send_weights.clear()
    with pulling(server, tmp_path) as first:
        read_until(first, DOWNLOADING)
        with pulling(server, tmp_path) as second:
            read_until(second, WAITING)
            first.kill()
            read_until(second, DOWNLOADING)
            server.may_send_weights.set()
            assert second.wait() == 0
    assert hash_model_folder(tmp_path / "models" / "someone--tiny") == hash_model_folder(folder)


PARTIAL = "models/.partial-someone--tiny"
KILLS = [
    (f"write {PARTIAL}/.revision 1", "within"),
    (f"append {PARTIAL}/.config.json.tmp 1", "within"),
    (f"rename {PARTIAL}/config.json 1", "after"),
    (f"write {PARTIAL}/.{WEIGHTS}.tmp 1", "before"),
    (f"append {PARTIAL}/.{WEIGHTS}.tmp 1", "within"),
    (f"append {PARTIAL}/.{WEIGHTS}.tmp 1", "after"),
    (f"rename {PARTIAL}/{WEIGHTS} 1", "after"),
    (f"write {PARTIAL}/.verifine.json 1", "within"),
    (f"remove {PARTIAL}/.revision 1", "after"),
    ("rename models/someone--tiny 1", "before"),
    ("rename models/someone--tiny 1", "after"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("point", "moment"), KILLS)
def test_a_pull_that_is_killed_leaves_a_whole_model_or_none_and_the_next_one_completes_it(
    point: str, moment: str, server: HubServer, tmp_path: Path, folder: Path
) -> None:
    with pulling(server, tmp_path, point, moment) as process:
        assert process.wait() == KILLED
    cache = ModelCache(folder=tmp_path)
    found = cache.find(NAME)
    assert found is None or hash_model_folder(found.folder) == hash_model_folder(folder)
    assert (found is not None) == ((point, moment) == KILLS[-1])
    with pulling(server, tmp_path) as process:
        assert process.wait() == 0
    assert [each.hub_id for each in cache.stored()] == [NAME]
    assert hash_model_folder(cache.place_of(NAME)) == hash_model_folder(folder)
    assert not cache.partial_of(NAME).exists()
    has_weights = KILLS.index((point, moment)) >= KILLS.index((f"rename {PARTIAL}/{WEIGHTS} 1", "after"))
    if has_weights:
        assert server.fetched(WEIGHTS) == [0]
