"""The clients of benchmarks/serving.py: the requests, streams that are read, and what was measured of them."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Any

import httpx2

WAIT_S = 600
"""For the next bytes of an answer: a server that answers one request at a time lets 31 wait."""


class StreamError(Exception):
    """A request that got no whole answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPlan:
    """What every server is asked, in the same order."""

    streams: tuple[int, ...]
    """Numbers of requests that are answered at the same time."""
    rounds: int
    least: int
    """Requests at each number of streams: `rounds` a stream, but not fewer than `least`."""
    new_tokens: int
    """Of each answer, if the model does not end it."""
    lengths: tuple[int, ...]
    """Of prompts in turn: how many numbers of two digits there are in each."""
    has_seeds: bool = False
    """Whether a request has a seed of its own, for which vLLM draws tokens row by row."""

    def requests(self, model: str, streams: int, *, is_warmup: bool = False) -> list[dict[str, Any]]:
        """Bodies of requests for chat completions. No two prompts are the same, so no server can remember one."""
        random = Random(f"{streams} {is_warmup}")
        count = streams if is_warmup else max(self.rounds * streams, self.least)
        return [
            {
                "model": model,
                "messages": [{"role": "user", "content": _question(random, self.lengths[index % len(self.lengths)])}],
                "max_tokens": self.new_tokens,
                "temperature": 1.0,
                "top_p": 1.0,
                "stream": True,
                "stream_options": {"include_usage": True},
                **({"seed": index} if self.has_seeds else {}),
            }
            for index in range(count)
        ]


def _question(random: Random, length: int) -> str:
    return ", ".join(str(random.randrange(10, 100)) for _ in range(length)) + ". Which is the largest?"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedAnswer:
    """What one stream gave."""

    first_token_s: float
    """From the request to the first text; an answer without any text: to its end."""
    prompt_tokens: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpeed:
    """What a server reached at one number of streams."""

    server: str
    settings: str
    streams: int
    requests: int
    prompt_tokens: int
    """Summed over requests, as the next one. By the server's own count."""
    tokens: int
    seconds: float
    """From the first request to the end of the last answer."""
    tokens_per_s: float
    first_token_median_s: float
    first_token_p95_s: float
    start_s: float
    """From the start of the process to the end of its first answer, of one token."""


def summarize(
    server: str, settings: str, streams: int, answers: Sequence[StreamedAnswer], seconds: float, start_s: float
) -> ServerSpeed:
    waits = [answer.first_token_s for answer in answers]
    tokens = sum(answer.tokens for answer in answers)
    return ServerSpeed(
        server=server,
        settings=settings,
        streams=streams,
        requests=len(answers),
        prompt_tokens=sum(answer.prompt_tokens for answer in answers),
        tokens=tokens,
        seconds=seconds,
        tokens_per_s=tokens / seconds,
        first_token_median_s=statistics.median(waits),
        first_token_p95_s=statistics.quantiles(waits, n=20, method="inclusive")[-1],
        start_s=start_s,
    )


def ask_all(
    url: str, requests: Iterable[dict[str, Any]], streams: int, key: str = "unused"
) -> tuple[list[StreamedAnswer], float]:
    """The answers, stream by stream, and how many seconds all took.

    Each stream asks the next request as soon as its answer has ended. `key` is that of the server's API.

    Raises:
        StreamError: a request failed.
    """
    return asyncio.run(_ask_all(url, iter(requests), streams, key))


async def _ask_all(
    url: str, requests: Iterator[dict[str, Any]], streams: int, key: str
) -> tuple[list[StreamedAnswer], float]:
    async def stream() -> list[StreamedAnswer]:
        return [await ask(client, body) for body in requests]

    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=httpx2.Timeout(WAIT_S)) as client:
        begun = time.perf_counter()
        answers = await asyncio.gather(*(stream() for _ in range(streams)))
        return list(chain.from_iterable(answers)), time.perf_counter() - begun


async def ask(client: httpx2.AsyncClient, body: dict[str, Any]) -> StreamedAnswer:
    """One request, read to its end.

    Raises:
        StreamError: it failed, or the server does not say how many tokens the answer has.
    """
    begun = time.perf_counter()
    first: float | None = None
    usage: dict[str, int] | None = None
    try:
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.status_code != httpx2.codes.OK:
                raise StreamError(f"status {response.status_code}: {(await response.aread()).decode()}")
            async for line in response.aiter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                chunk = _read(line)
                if first is None and any(choice["delta"].get("content") for choice in chunk["choices"]):
                    first = time.perf_counter() - begun
                usage = chunk.get("usage") or usage
    except httpx2.HTTPError as error:
        raise StreamError(f"{type(error).__name__}: {error}") from error
    if usage is None:
        raise StreamError("the stream ended without its usage")
    return StreamedAnswer(
        first_token_s=time.perf_counter() - begun if first is None else first,
        prompt_tokens=usage["prompt_tokens"],
        tokens=usage["completion_tokens"],
    )


def _read(line: str) -> dict[str, Any]:
    try:
        chunk: dict[str, Any] = json.loads(line.removeprefix("data: "))
    except json.JSONDecodeError as error:
        raise StreamError(f"no JSON: {line}") from error
    if "error" in chunk:
        raise StreamError(str(chunk["error"]))
    return chunk
