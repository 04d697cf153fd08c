"""`verifine serve` in a process of its own, and tiny jobs that it really trains."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx2

SOURCE = "def grade(sample, item):\n    return sum(map(ord, sample['output_text'])) % 7 / 6\n"
ENDED = ("succeeded", "failed", "cancelled")


@dataclass(slots=True, kw_only=True)
class ServeCommand:
    """The command in a process, and a client of it."""

    process: subprocess.Popen[str]
    client: httpx2.Client

    @classmethod
    def start(
        cls,
        data: Path,
        models: dict[str, Path],
        threads: int | None = 1,
        variables: Mapping[str, str] = MappingProxyType({}),
        errors: Path | None = None,
    ) -> ServeCommand:
        """Returns when it has said its address.

        `threads`: of each process at most; None: as many as it takes. `variables`: of its environment, beside ours.
        `errors`: where its standard error goes; None: where ours does.
        """
        command = [sys.executable, "-m", "verifine", "serve", "--port", "0", "--data", str(data)]
        for name, folder in models.items():
            command += ["--model", f"{name}={folder}"]
        environment = {**os.environ, **({} if threads is None else {"OMP_NUM_THREADS": str(threads)}), **variables}
        with nullcontext() if errors is None else errors.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603 - ours
                command, stdout=subprocess.PIPE, stderr=file, text=True, env=environment
            )
        assert process.stdout is not None
        url = [process.stdout.readline().strip().rpartition("=")[2] for _ in range(3)][1]
        key = (data / "key").read_text(encoding="ascii").strip()
        headers = {"authorization": f"Bearer {key}"}
        return cls(process=process, client=httpx2.Client(base_url=url, headers=headers, timeout=60))

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

    def create_job(self, model: str, steps: int, /, *, grader: str = SOURCE, **sections: dict[str, object]) -> str:
        """A job of so many steps, of two prompts each; its id. `sections` are settings of ours."""
        own: dict[str, dict[str, object]] = {
            "model": {"precision": "float32"},
            "sampling": {"max_new_tokens": 4},
            "optim": {"micro_batch_tokens": 64},
            "run": {"save_interval": 1, "steps": steps},
        }
        for name, section in sections.items():
            own[name] = {**own.get(name, {}), **section}
        reinforcement = {
            "grader": {"type": "python", "name": "own", "source": grader},
            "hyperparameters": {"batch_size": 2, "compute_multiplier": 0.5, "eval_interval": max(1, steps // 2)},
        }
        request = {
            "model": model,
            "training_file": self._upload(range(16)),
            "validation_file": self._upload(range(16, 18)),
            "method": {"type": "reinforcement", "reinforcement": reinforcement},
            "seed": 1,
            "verifine": own,
        }
        return str(self._read(self.client.post("/fine_tuning/jobs", json=request))["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        return self._read(self.client.get(f"/fine_tuning/jobs/{job_id}"))

    def act(self, job_id: str, verb: str, body: object = None) -> dict[str, Any]:
        """`cancel`, `pause` or `resume`."""
        return self._read(self.client.post(f"/fine_tuning/jobs/{job_id}/{verb}", json={} if body is None else body))

    def events(self, job_id: str) -> list[dict[str, Any]]:
        """All of them, the newest first."""
        found: list[dict[str, Any]] = []
        while True:
            after = {"after": found[-1]["id"]} if found else {}
            answer = self.client.get(f"/fine_tuning/jobs/{job_id}/events", params={"limit": 100, **after})
            page = self._read(answer)
            found += page["data"]
            if not page["has_more"]:
                return found

    def messages(self, job_id: str) -> list[str]:
        return [str(event["message"]) for event in self.events(job_id)]

    def told_steps(self, job_id: str) -> list[int]:
        """The steps that events tell of, in the order in which they were told."""
        data = [event["data"] for event in self.events(job_id) if event["data"]]
        return [int(each["step"]) for each in reversed(data) if "total_steps" in each]

    def _upload(self, numbers: range) -> str:
        rows = [{"messages": [{"role": "user", "content": f"Largest of {n}, {2 * n}"}]} for n in numbers]
        content = "\n".join(map(json.dumps, rows)).encode()
        answer = self.client.post("/files", data={"purpose": "fine-tune"}, files={"file": ("rows.jsonl", content)})
        return str(self._read(answer)["id"])

    def _read(self, answer: httpx2.Response) -> dict[str, Any]:
        assert answer.is_success, answer.text
        content: dict[str, Any] = answer.json()
        return content
