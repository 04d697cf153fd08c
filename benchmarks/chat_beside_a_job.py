"""What a chat and a job cost each other: both through `verifine serve`, alone and at the same time.

    python benchmarks/chat_beside_a_job.py [--steps 8] [--streams 1] [--json FILE]    # 6 minutes on two cores

One service trains the same job twice, with the same seed: 2 prompts x 4 answers of 32 tokens a step, all weights of
SmolLM2-135M-Instruct. During the second one a client asks the same model, loaded beside the job, for streamed answers
of 64 tokens, each as soon as the one before has ended. Then it asks with no job. The first two steps of a job do not
count. Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from model_folders import model_folder
from streams import RequestPlan, ServerSpeed, ask_all, summarize
from table import add_json_option, publish, render
from workloads import MODEL, TINY

from verifine.runs.directory import RunDirectory
from verifine.runs.metrics import read_metrics
from verifine.testing.serve_command import ENDED, ServeCommand

FIRST_STEPS = 2
NAME = "asked"
"""What the service calls the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedMachine:
    """What was measured."""

    step_alone_s: float
    """Median, as the next one."""
    step_beside_chat_s: float
    chat_alone: ServerSpeed
    chat_beside_job: ServerSpeed


def measure(options: argparse.Namespace, data: Path) -> SharedMachine:
    model = model_folder(TINY if options.quick else MODEL)
    plan = RequestPlan(streams=(1,), rounds=1, least=options.requests, new_tokens=options.new_tokens, lengths=(4, 12))
    requests = plan.requests(NAME, options.streams)
    service = ServeCommand.start(data, {NAME: model}, threads=None)
    try:
        alone = train(service, options)
        service.until(lambda: service.job(alone)["status"] in ENDED)
        ask(service, requests[:2], options.streams)  # loads the model
        beside = train(service, options)
        service.until(lambda: len(service.told_steps(beside)) >= FIRST_STEPS)
        while_training = ask(service, until_ended(service, beside, requests), options.streams)
        chat_alone = ask(service, requests, options.streams)
    finally:
        service.end(signal.SIGTERM)
    return SharedMachine(
        step_alone_s=median_step(data, alone),
        step_beside_chat_s=median_step(data, beside),
        chat_alone=chat_alone,
        chat_beside_job=while_training,
    )


def train(service: ServeCommand, options: argparse.Namespace) -> str:
    return service.create_job(
        NAME, options.steps, model={"precision": "auto"}, sampling={"max_new_tokens": options.new_tokens // 2},
        optim={"micro_batch_tokens": "auto"}, run={"save_interval": 1000},
    )  # fmt: skip


def until_ended(service: ServeCommand, job_id: str, requests: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Requests for as long as the job runs."""
    for request in cycle(requests):
        if service.job(job_id)["status"] in ENDED:
            return
        yield request


def ask(service: ServeCommand, requests: Any, streams: int) -> ServerSpeed:
    url = str(service.client.base_url).removesuffix("/").removesuffix("/v1")
    key = service.client.headers["authorization"].removeprefix("Bearer ")
    answers, seconds = ask_all(url, requests, streams, key)
    return summarize("verifine serve", "", streams, answers, seconds, 0.0)


def median_step(data: Path, job_id: str) -> float:
    run = RunDirectory(path=data / "jobs" / job_id / "run")
    reports = [report for report in read_metrics(run.metrics) if report.step > FIRST_STEPS]
    return statistics.median(report.metrics["step_time"] for report in reports)


def describe(found: SharedMachine) -> str:
    alone, beside = found.chat_alone, found.chat_beside_job
    rows = [
        ("seconds a step of the job", found.step_alone_s, found.step_beside_chat_s),
        ("tokens/s of the chat", alone.tokens_per_s, beside.tokens_per_s),
        ("first token, median s", alone.first_token_median_s, beside.first_token_median_s),
        ("first token, 95th percentile, s", alone.first_token_p95_s, beside.first_token_p95_s),
        ("answers", alone.requests, beside.requests),
    ]
    return render(("", "alone", "at the same time"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=8, help="of each job")
    parser.add_argument("--streams", type=int, default=1, help="answers at the same time")
    parser.add_argument("--requests", type=int, default=12, help="that are asked with no job")
    parser.add_argument("--new-tokens", type=int, default=64, help="of an answer in the chat; half as many in training")
    parser.add_argument("--quick", action="store_true", help="a tiny random model")
    add_json_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    publish(describe(found), asdict(found), options.json)


if __name__ == "__main__":
    main()
