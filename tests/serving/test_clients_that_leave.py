"""Clients that break off leave nothing behind."""

from __future__ import annotations

import gc
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx2
import openai
import psutil
import pytest

from verifine.models.load import LanguageModel
from verifine.rollout.native.model_runner import OwnWeightsRunner
from verifine.rollout.native.native_scheduler import NativeScheduler
from verifine.rollout.scheduler import Scheduler
from verifine.serving import ServedModel, ServingLimits
from verifine.testing.servers import RunningServer, running_server

LIMITS = ServingLimits(context_tokens=200, answer_tokens=60, concurrent_answers=8, waiting_requests=64)
MIB = 1 << 20


def ask(client: openai.OpenAI, seed: int) -> None:
    """One in three leaves after some tokens, before the first one, or while a whole answer is written."""
    chance = random.Random(seed)
    question: Any = [{"role": "user", "content": "x" * chance.randint(1, 100)}]
    if chance.random() > 1 / 3:
        client.chat.completions.create(model="tiny", messages=question, seed=seed)
    elif chance.random() < 0.3:
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(
                model="tiny", messages=question, seed=seed, timeout=1e-3, n=4, logit_bias={"2": -100}
            )
    else:
        stream = client.chat.completions.create(model="tiny", messages=question, seed=seed, stream=True)
        for _, _chunk in zip(range(chance.randint(0, 30)), stream, strict=False):
            pass
        stream.close()


def gauge(server: RunningServer, name: str) -> float:
    with httpx2.Client(base_url=server.url) as plain:
        lines = plain.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def settle(server: RunningServer, client: openai.OpenAI) -> None:
    """Has one answer written behind all others, when what was cancelled is gone."""
    while gauge(server, "verifine_requests_answering") or gauge(server, "verifine_requests_waiting"):
        ask_whole(client)
    ask_whole(client)


def ask_whole(client: openai.OpenAI) -> None:
    client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "Hi"}], max_tokens=3)


def leave_often(model: LanguageModel, count: int) -> list[tuple[int, int]]:
    """Descriptors and bytes of the process, before and after `count` requests."""
    schedulers: list[NativeScheduler] = []
    served = ServedModel.of("tiny", model, LIMITS, created=1)

    def make() -> Scheduler:
        schedulers.append(NativeScheduler(OwnWeightsRunner(model), served.capacity, model.device))
        return schedulers[-1]

    process, sizes = psutil.Process(), []
    with (
        running_server(replace(served, make_scheduler=make), limits=LIMITS) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        for first, last in ((0, 20), (20, 20 + count)):
            with ThreadPoolExecutor(12) as pool:
                list(pool.map(lambda seed: ask(client, seed), range(first, last)))
            settle(server, client)
            gc.collect()
            sizes.append((process.num_fds(), process.memory_info().rss))
    assert [scheduler.is_idle for scheduler in schedulers] == [True]
    return sizes


@pytest.mark.slow
def test_no_place_and_no_connection_is_kept(model: LanguageModel) -> None:
    (before, _), (after, _) = leave_often(model, 30)
    assert after <= before + 12


@pytest.mark.slow
def test_memory_and_descriptors_stay_flat_over_a_thousand_requests(model: LanguageModel) -> None:
    (descriptors, memory), (descriptors_after, memory_after) = leave_often(model, 1000)
    assert descriptors_after <= descriptors + 12
    assert memory_after <= memory + 32 * MIB
