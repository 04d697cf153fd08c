"""Far more requests than may wait."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx2
import psutil
import pytest
from tests.serving.test_clients_that_leave import MIB, gauge
from tests.serving.test_engine_thread import StepwiseScheduler

from verifine.models.load import LanguageModel
from verifine.serving import ServedModel, ServingLimits
from verifine.testing.servers import running_server

LIMITS = ServingLimits(context_tokens=100, answer_tokens=5, concurrent_answers=1, waiting_requests=2)
BODY = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.slow
def test_a_flood_is_refused_and_those_who_came_first_are_answered(model: LanguageModel) -> None:
    steps = threading.Semaphore(0)
    served = replace(
        ServedModel.of("tiny", model, LIMITS, created=1), make_scheduler=lambda: StepwiseScheduler(1, steps)
    )
    process = psutil.Process()

    def ask(count: int) -> Counter[int]:
        with httpx2.Client(base_url=server.url, timeout=60) as client:
            return Counter(client.post("/v1/chat/completions", json=BODY).status_code for _ in range(count))

    with running_server(served, limits=LIMITS) as server, ThreadPoolExecutor(8) as pool:
        try:
            first = [pool.submit(ask, 1) for _ in range(3)]
            while gauge(server, "verifine_requests_waiting") < 2:
                pass
            assert ask(50) == {429: 50}
            memory, descriptors = process.memory_info().rss, process.num_fds()
            assert sum((each for each in pool.map(ask, [100] * 5)), Counter()) == {429: 500}
            assert process.memory_info().rss <= memory + 16 * MIB
            assert process.num_fds() <= descriptors + 12
            assert not any(each.done() for each in first)
        finally:
            steps.release(1000)
        assert [each.result() for each in first] == [{200: 1}] * 3
