"""Sessions of a tiny run in processes of their own, which a test may kill."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Lock

import torch

from verifine.config import RunConfig, build_config
from verifine.errors import DiskError
from verifine.launch.options import LaunchOptions
from verifine.launch.session import resume, train
from verifine.runs.directory import RunDirectory
from verifine.runs.run_file import read_run_file
from verifine.runs.status import Status, find_status
from verifine.testing.disk import Fault, FaultyDisk
from verifine.types import Json

POINTS = "points.json"

_CONTEXT = get_context("forkserver")
_STARTING = Lock()
"""Starting or joining a process polls all others, which only one thread may do at a time."""


def tiny_run(folder: Path, model_folder: Path, **sections: dict[str, object]) -> RunConfig:
    """A run of the model in `model_folder` in `folder/run`, on 16 questions of its own and 2 held out.

    `sections` override the settings below.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, numbers in (("data", range(16)), ("eval", range(16, 18))):
        rows = [json.dumps({"prompt": f"Largest of {i}, {2 * i}"}) + "\n" for i in numbers]
        (folder / f"{name}.jsonl").write_text("".join(rows))
    values: dict[str, dict[str, object]] = {
        "model": {"name": str(model_folder), "precision": "float32"},
        "data": {"train": str(folder / "data.jsonl"), "eval": str(folder / "eval.jsonl")},
        "sampling": {"prompts_per_step": 2, "group_size": 3, "max_new_tokens": 4},
        "optim": {"learning_rate": 1e-3, "warmup_steps": 2, "micro_batch_tokens": 64},
        "run": {"directory": str(folder / "run"), "steps": 3, "save_interval": 1},
    }
    for name, section in sections.items():
        values[name] = {**values.get(name, {}), **section}
    return build_config(values)


def grade(sample: Mapping[str, str], item: Mapping[str, Json]) -> float:  # noqa: ARG001
    """A score from 0 to 1 that differs for most answers of a random model."""
    return sum(map(ord, sample["output_text"])) % 7 / 6


def begin_session(config: RunConfig, fault: Fault | None = None) -> ForkServerProcess:
    """Starts or resumes a run in its own process, with `fault`."""
    process = _CONTEXT.Process(target=run_session, args=(config, fault))
    with _STARTING:
        process.start()
    return process


def end_session(process: ForkServerProcess, kill_after_s: float | None = None) -> int:
    """Waits for the end of a session, or kills it; returns its exit code."""
    if not wait([process.sentinel], kill_after_s):
        process.kill()
        wait([process.sentinel])
    with _STARTING:
        process.join()
    assert process.exitcode is not None
    return process.exitcode


def run_session(config: RunConfig, fault: Fault | None = None) -> None:
    """Starts or continues the run, unless it has finished; exits with 3 if the disk failed."""
    torch.set_num_threads(1)
    root = config.run.directory
    assert root is not None
    directory = RunDirectory(path=root)
    if find_status(directory).status is Status.FINISHED:
        return
    disk = FaultyDisk(root, fault)
    options = LaunchOptions(disk=disk)
    try:
        if read_run_file(root).has_begun:
            resume(root, grader=grade, options=options)
        else:
            train(config, grader=grade, check=False, options=options)
    except DiskError:
        os._exit(DiskError.exit_code)
    (root.parent / POINTS).write_text(json.dumps(disk.points))


def preload() -> None:
    """Starts the process that sessions are forked from, with everything imported. Call it before the first session."""
    os.environ["OMP_NUM_THREADS"] = "1"
    _CONTEXT.set_forkserver_preload(["verifine.testing.warm_sessions"])
    first = _CONTEXT.Process(target=os.getpid)  # does nothing; it starts when all is imported
    first.start()
    first.join()


def hash_final_model(directory: Path) -> str:
    """The sha256 of the weights at the end of a run."""
    return hashlib.sha256((directory / "model" / "model.safetensors").read_bytes()).hexdigest()
