"""`verifine serve` as a user starts it, with a tiny model that is really trained."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from verifine.errors import ConfigError, DiskError
from verifine.runs.metrics import read_metrics
from verifine.service.access.address import ServiceAddress
from verifine.service.limits import ServiceLimits
from verifine.service.serve import JobService, ServeOptions, holder_name, is_gone
from verifine.testing import save_tiny_model
from verifine.testing.serve_command import ENDED, ServeCommand

STEPS = 8
ANY_PORT = ServiceAddress(port=0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "tiny")


@pytest.fixture
def commands(tmp_path: Path, model: Path) -> Iterator[Callable[[], ServeCommand]]:
    started: list[ServeCommand] = []

    def start() -> ServeCommand:
        started.append(ServeCommand.start(tmp_path / "data", {"tiny": model}))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.end(signal.SIGKILL)


@pytest.mark.slow
def test_a_job_outlives_the_service_and_is_told_of_without_a_gap(
    commands: Callable[[], ServeCommand], tmp_path: Path
) -> None:
    first = commands()
    job_id = first.create_job("tiny", STEPS)
    first.until(lambda: bool(first.told_steps(job_id)))
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    second = commands()
    second.until(lambda: second.job(job_id)["status"] in ENDED)
    job = second.job(job_id)
    assert (job["status"], job["error"]) == ("succeeded", None)
    assert second.told_steps(job_id) == list(range(1, STEPS + 1))
    run = tmp_path / "data" / "jobs" / job_id / "run"
    assert [report.step for report in read_metrics(run / "metrics.jsonl")] == list(range(1, STEPS + 1))
    assert (run / "model" / "model.safetensors").exists()
    messages = second.messages(job_id)
    assert messages[0] == "The job has successfully completed"
    assert messages.count("Fine-tuning job started") == 1
    assert second.end(signal.SIGTERM) == 0


@pytest.mark.slow
def test_a_running_job_is_cancelled(commands: Callable[[], ServeCommand], tmp_path: Path) -> None:
    command = commands()
    job_id = command.create_job("tiny", STEPS)
    command.until(lambda: command.job(job_id)["status"] == "running")
    command.act(job_id, "cancel")
    command.until(lambda: command.job(job_id)["status"] == "cancelled")
    text = str(tmp_path / "data" / "jobs" / job_id)
    assert not [each for each in psutil.process_iter(["cmdline"]) if text in " ".join(each.info["cmdline"] or [])]
    assert command.end(signal.SIGINT) == 0


@pytest.mark.slow
def test_a_job_whose_disk_is_full_is_paused_and_goes_on_when_it_is_asked_to(
    commands: Callable[[], ServeCommand], tmp_path: Path
) -> None:
    jobs = tmp_path / "data" / "jobs"
    jobs.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(jobs)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount")
    try:
        command = commands()
        job_id = command.create_job("tiny", 60, sampling={"max_new_tokens": 16})
        command.until(lambda: bool(command.told_steps(job_id)))
        ballast = jobs / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        command.until(lambda: command.job(job_id)["status"] == "paused")
        assert command.job(job_id)["verifine"]["ending"] == "disk_full"
        assert "disk_full" in command.messages(job_id)[0]
        command.act(job_id, "resume")
        command.until(lambda: "The job waits: the job takes" in command.messages(job_id)[0])
        ballast.unlink()
        command.until(lambda: command.job(job_id)["status"] in ENDED)
        assert command.job(job_id)["status"] == "succeeded"
        assert command.told_steps(job_id) == list(range(1, 61))
        command.end(signal.SIGTERM)
    finally:
        subprocess.run(["umount", str(jobs)], check=True)


@pytest.mark.slow
def test_jobs_go_on_from_a_checkpoint_and_from_a_tuned_model_and_all_of_them_answer(
    commands: Callable[[], ServeCommand], tmp_path: Path
) -> None:
    command = commands()

    def finish(job_id: str) -> str:
        command.until(lambda: command.job(job_id)["status"] in ENDED)
        job = command.job(job_id)
        assert (job["status"], job["error"]) == ("succeeded", None)
        return str(job["fine_tuned_model"])

    first_id = command.create_job("tiny", STEPS, model={"lora": {"rank": 2}})
    first = finish(first_id)
    checkpoints = command.client.get(f"/fine_tuning/jobs/{first_id}/checkpoints").json()["data"]
    assert [each["step_number"] for each in checkpoints] == [STEPS, STEPS // 2]
    middle = checkpoints[1]["fine_tuned_model_checkpoint"]
    second_id = command.create_job(middle, 2)
    second = finish(second_id)
    assert (tmp_path / "data" / "jobs" / second_id / "run" / "model" / "adapter").is_dir()
    third = finish(command.create_job(second, 2))
    for model in (first, middle, third):
        messages = [{"role": "user", "content": "Largest of 1, 2"}]
        answer = command.client.post(
            "/chat/completions", json={"model": model, "messages": messages, "max_completion_tokens": 3}
        )
        assert (answer.status_code, answer.json()["model"]) == (200, model)


def test_another_service_at_the_same_folder_is_refused(tmp_path: Path) -> None:
    options = ServeOptions(address=ANY_PORT, data=tmp_path)
    service = JobService(options, os.environ)
    with pytest.raises(ConfigError, match="another service"):
        JobService(options, os.environ)
    service.close()
    JobService(options, os.environ).close()


def test_folders_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="file"):
        JobService(ServeOptions(address=ANY_PORT, data=tmp_path / "file"), os.environ)
    with pytest.raises(ConfigError, match="--runs"):
        JobService(ServeOptions(address=ANY_PORT, data=tmp_path / "data", runs=tmp_path / "nowhere"), os.environ)
    JobService(ServeOptions(address=ANY_PORT, data=tmp_path / "data"), os.environ).close()
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["SmolLM2-135M-Instruct", "pico", "a/b", "tiny"])
def test_a_folder_that_holds_no_model_or_has_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        JobService(ServeOptions(address=ANY_PORT, data=tmp_path / "data", folders={name: tmp_path}), os.environ)


def test_a_supervisor_is_gone_when_its_process_is(tmp_path: Path) -> None:
    assert not is_gone(holder_name())
    host, pid, started = holder_name().rsplit(" ", 2)
    assert is_gone(f"{host} {pid} {float(started) - 100:.2f}")
    assert is_gone(f"{host} {2**22 + 1} {started}")
    assert not is_gone(f"another-{host} 1 1.0")


def test_the_page_has_every_limit_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs/service.md").read_text(encoding="utf-8")
    section = page.partition("## Limits")[2].partition("\n## ")[0]
    rows = {name: float(value) for name, value in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", section, re.MULTILINE)}
    assert rows == ServiceLimits().model_dump()
