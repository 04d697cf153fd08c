"""`verifine serve` as a user starts it, with a tiny model that is really trained."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import openai
import psutil
import pytest

from verifine.errors import ConfigError
from verifine.runs.metrics import read_metrics
from verifine.service.serve import JobService, ServeOptions, holder_name, is_gone
from verifine.testing import save_tiny_model

SOURCE = "def grade(sample, item):\n    return sum(map(ord, sample['output_text'])) % 7 / 6\n"
STEPS = 8


@dataclass(slots=True, kw_only=True)
class ServeCommand:
    """The command in a process, and a client of it."""

    process: subprocess.Popen[str]
    client: openai.OpenAI

    @classmethod
    def start(cls, data: Path, model: Path) -> ServeCommand:
        command = [sys.executable, "-m", "verifine", "serve", "--port", "0", "--data", str(data)]
        process = subprocess.Popen(
            [*command, "--model", f"tiny={model}"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert process.stdout is not None
        _, url, key = (process.stdout.readline().strip().rpartition("=")[2] for _ in range(3))
        return cls(process=process, client=openai.OpenAI(base_url=url, api_key=key))

    def until(self, is_reached: Callable[[], bool]) -> None:
        while not is_reached():
            try:
                code = self.process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"the service ended with {code}")

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        self.client.close()
        code = self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "tiny")


@pytest.fixture
def commands(tmp_path: Path, model: Path) -> Iterator[Callable[[], ServeCommand]]:
    started: list[ServeCommand] = []

    def start() -> ServeCommand:
        started.append(ServeCommand.start(tmp_path / "data", model))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.end(signal.SIGKILL)


def create(client: openai.OpenAI) -> str:
    def upload(numbers: range) -> str:
        rows = [{"messages": [{"role": "user", "content": f"Largest of {n}, {2 * n}"}]} for n in numbers]
        content = "\n".join(map(json.dumps, rows)).encode()
        return client.files.create(file=("rows.jsonl", content), purpose="fine-tune").id

    job = client.fine_tuning.jobs.create(
        model="tiny",
        training_file=upload(range(2 * STEPS)),
        validation_file=upload(range(100, 102)),
        method={
            "type": "reinforcement",
            "reinforcement": {
                "grader": {"type": "python", "name": "own", "source": SOURCE},
                "hyperparameters": {"batch_size": 2, "n_epochs": 1, "compute_multiplier": 0.5, "eval_interval": 4},
            },
        },
        seed=1,
        extra_body={
            "verifine": {
                "model": {"precision": "float32"},
                "sampling": {"max_new_tokens": 4},
                "optim": {"micro_batch_tokens": 64},
                "run": {"save_interval": 1},
            }
        },
    )
    return job.id


def told_steps(client: openai.OpenAI, job_id: str) -> list[int]:
    events = [event for event in client.fine_tuning.jobs.list_events(job_id, limit=100) if event.type == "metrics"]
    data = [dict(event.data) for event in events if isinstance(event.data, dict)]
    return sorted(int(str(each["step"])) for each in data if "step" in each)


@pytest.mark.slow
def test_a_job_outlives_the_service_and_is_told_of_without_a_gap(
    commands: Callable[[], ServeCommand], tmp_path: Path
) -> None:
    first = commands()
    job_id = create(first.client)
    first.until(lambda: len(told_steps(first.client, job_id)) >= 1)
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    second = commands()
    client = second.client
    ended = ("succeeded", "failed", "cancelled")
    second.until(lambda: client.fine_tuning.jobs.retrieve(job_id).status in ended)
    job = client.fine_tuning.jobs.retrieve(job_id)
    assert (job.status, job.error) == ("succeeded", None)
    assert told_steps(client, job_id) == list(range(1, STEPS + 1))
    run = tmp_path / "data" / "jobs" / job_id / "run"
    assert [report.step for report in read_metrics(run / "metrics.jsonl")] == list(range(1, STEPS + 1))
    assert (run / "model" / "model.safetensors").exists()
    messages = [event.message for event in client.fine_tuning.jobs.list_events(job_id, limit=100)]
    assert messages[0] == "The job has successfully completed"
    assert messages.count("Fine-tuning job started") == 1
    assert second.end(signal.SIGTERM) == 0


@pytest.mark.slow
def test_a_running_job_is_cancelled(commands: Callable[[], ServeCommand], tmp_path: Path) -> None:
    command = commands()
    client = command.client
    job_id = create(client)
    command.until(lambda: client.fine_tuning.jobs.retrieve(job_id).status == "running")
    client.fine_tuning.jobs.cancel(job_id)
    command.until(lambda: client.fine_tuning.jobs.retrieve(job_id).status == "cancelled")
    text = str(tmp_path / "data" / "jobs" / job_id)
    assert not [each for each in psutil.process_iter(["cmdline"]) if text in " ".join(each.info["cmdline"] or [])]
    assert command.end(signal.SIGINT) == 0


def test_another_service_at_the_same_folder_is_refused(tmp_path: Path) -> None:
    options = ServeOptions(port=0, data=tmp_path)
    service = JobService(options, os.environ)
    with pytest.raises(ConfigError, match="another service"):
        JobService(options, os.environ)
    service.close()
    JobService(options, os.environ).close()


def test_the_network_is_not_listened_to(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0"):
        JobService(ServeOptions(host="0.0.0.0", data=tmp_path), {})


@pytest.mark.parametrize("name", ["SmolLM2-135M-Instruct", "a/b", "tiny"])
def test_a_folder_that_holds_no_model_or_has_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        JobService(ServeOptions(port=0, data=tmp_path / "data", folders={name: tmp_path}), os.environ)


def test_a_supervisor_is_gone_when_its_process_is(tmp_path: Path) -> None:
    assert not is_gone(holder_name())
    host, pid, started = holder_name().rsplit(" ", 2)
    assert is_gone(f"{host} {pid} {float(started) - 100:.2f}")
    assert is_gone(f"{host} {2**22 + 1} {started}")
    assert not is_gone(f"another-{host} 1 1.0")
