"""The unmodified `openai` client against a server on loopback: the cases C1 to C4, M1 and E3 to E7."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from verifine.testing.servers import RunningServer

GO_ON = {"2": -100}
"""No turn ends early: 2 is the token that ends one."""

ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]


def test_models_are_listed_and_retrieved(client: openai.OpenAI) -> None:
    (listed,) = client.models.list()
    assert (listed.id, listed.object, listed.created) == ("tiny", "model", 1_700_000_000)
    assert client.models.retrieve("tiny") == listed
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("ft:other/one:x")
    assert caught.value.code == "model_not_found"


def test_a_chat_has_choices_usage_and_a_finish_reason(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="tiny", messages=ASK, n=3, seed=1, max_completion_tokens=5, logit_bias=GO_ON
    )
    assert done.object == "chat.completion"
    assert done.id.startswith("chatcmpl-")
    assert [choice.index for choice in done.choices] == [0, 1, 2]
    assert {choice.finish_reason for choice in done.choices} == {"length"}
    assert len({choice.message.content for choice in done.choices}) > 1
    assert done.usage is not None
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.total_tokens) == (9, 15, 24)
    assert done.system_fingerprint is not None


def test_a_seed_gives_the_same_answer_and_none_gives_another(client: openai.OpenAI) -> None:
    def say(seed: int | None) -> str | None:
        given = openai.omit if seed is None else seed
        done = client.chat.completions.create(model="tiny", messages=ASK, seed=given, max_tokens=20)
        return done.choices[0].message.content

    assert say(7) == say(7) != say(8)
    assert len({say(None) for _ in range(3)}) > 1


def test_a_stop_text_ends_the_answer_and_is_not_part_of_it(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="tiny", messages=ASK, seed=3, max_tokens=40, logit_bias=GO_ON).choices[
        0
    ]
    text = whole.message.content or ""
    stop = text[10:12]
    for given in (stop, ["never said", stop]):
        done = client.chat.completions.create(
            model="tiny", messages=ASK, seed=3, max_tokens=40, stop=given, logit_bias=GO_ON
        ).choices[0]
        assert done.message.content == text[: text.index(stop)]
        assert done.finish_reason == "stop"


def test_the_pieces_of_a_stream_are_the_answer(client: openai.OpenAI) -> None:
    for settings in ({"temperature": 0.0}, {"seed": 5}, {"seed": 5, "stop": ["E", "ab"]}):
        whole = client.chat.completions.create(model="tiny", messages=ASK, n=2, max_tokens=30, **settings)
        stream = client.chat.completions.create(
            model="tiny",
            messages=ASK,
            n=2,
            max_tokens=30,
            stream=True,
            stream_options={"include_usage": True},
            **settings,
        )
        *chunks, last = list(stream)
        assert last.choices == []
        assert last.usage == whole.usage
        assert all(chunk.usage is None for chunk in chunks)
        for choice in whole.choices:
            own = [each for chunk in chunks for each in chunk.choices if each.index == choice.index]
            assert own[0].delta.role == "assistant"
            assert "".join(each.delta.content or "" for each in own) == choice.message.content
            assert [each.finish_reason for each in own[:-1]] == [None] * (len(own) - 1)
            assert own[-1].finish_reason == choice.finish_reason


def test_the_clients_own_stream_helper_reads_the_stream(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="tiny", messages=ASK, seed=2, max_tokens=30, logit_bias=GO_ON)
    text = whole.choices[0].message.content or ""
    with client.chat.completions.stream(
        model="tiny", messages=ASK, seed=2, max_tokens=30, logprobs=True, logit_bias=GO_ON, stop=text[20:22]
    ) as stream:
        kinds = {event.type for event in stream}
        done = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done", "logprobs.content.delta"} <= kinds
    assert done.choices[0].message.content == text[: text.index(text[20:22])]
    assert done.choices[0].finish_reason == "stop"


def test_logprobs_have_the_bytes_of_the_answer(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="tiny", messages=ASK, temperature=0, logprobs=True, top_logprobs=3, max_tokens=8
    ).choices[0]
    assert done.logprobs is not None
    assert done.logprobs.content is not None
    written = b"".join(bytes(each.bytes or []) for each in done.logprobs.content)
    assert written.decode() == done.message.content
    for each in done.logprobs.content:
        assert len(each.top_logprobs) == 3
        assert (each.top_logprobs[0].token, each.top_logprobs[0].logprob) == (each.token, each.logprob)


def test_penalties_and_bias_reach_the_engine(client: openai.OpenAI) -> None:
    biased = client.chat.completions.create(model="tiny", messages=ASK, logit_bias={"36": 100}, max_tokens=6)
    assert biased.choices[0].message.content == "AAAAAA"
    spread = client.chat.completions.create(
        model="tiny", messages=ASK, logit_bias={"36": 3, "37": 2}, temperature=0, max_tokens=8,
        presence_penalty=2, frequency_penalty=2,
    )  # fmt: skip
    again = client.chat.completions.create(
        model="tiny", messages=ASK, logit_bias={"36": 3, "37": 2}, temperature=0, max_tokens=8
    )
    assert spread.choices[0].message.content != again.choices[0].message.content


def test_a_completion_continues_texts_and_tokens(client: openai.OpenAI) -> None:
    done = client.completions.create(
        model="tiny", prompt=["Hi", "abc"], n=2, seed=1, max_tokens=4, logprobs=2, logit_bias=GO_ON
    )
    assert [choice.index for choice in done.choices] == [0, 1, 2, 3]
    for choice in done.choices:
        assert choice.logprobs is not None
        assert choice.logprobs.text_offset is not None
        assert choice.logprobs.text_offset[0] == 0
        assert len(choice.logprobs.tokens or []) == 4
    (alone,) = client.completions.create(model="tiny", prompt="abc", seed=1, max_tokens=4, logit_bias=GO_ON).choices
    assert alone.text == done.choices[2].text
    (echoed,) = client.completions.create(
        model="tiny", prompt="abc", seed=1, max_tokens=4, echo=True, logit_bias=GO_ON
    ).choices
    assert echoed.text == f"abc{alone.text}"
    tokens = [ord(character) - 29 for character in "abc"]
    (same,) = client.completions.create(model="tiny", prompt=tokens, seed=1, max_tokens=4, logit_bias=GO_ON).choices
    assert same.text == alone.text
    (default,) = client.completions.create(model="tiny", prompt="abc", seed=1, logit_bias=GO_ON).choices
    assert len(default.text) <= 16
    stream = client.completions.create(
        model="tiny", prompt=["Hi", "abc"], seed=1, max_tokens=4, stream=True, logit_bias=GO_ON
    )
    texts = ["", ""]
    for part in stream:
        texts[part.choices[0].index] += part.choices[0].text
    assert texts == [done.choices[0].text, done.choices[2].text]


def test_many_async_requests_are_answered_together(server: RunningServer, client: openai.OpenAI) -> None:
    async def ask_all() -> Sequence[str | None]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as several:
            tasks = [
                several.chat.completions.create(model="tiny", messages=ASK, seed=seed, max_tokens=20)
                for seed in range(8)
            ]
            return [done.choices[0].message.content for done in await asyncio.gather(*tasks)]

    alone = [
        client.chat.completions.create(model="tiny", messages=ASK, seed=seed, max_tokens=20).choices[0].message.content
        for seed in range(8)
    ]
    assert asyncio.run(ask_all()) == alone


def test_an_async_stream_is_read(server: RunningServer) -> None:
    async def read() -> str:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused") as several:
            stream = await several.chat.completions.create(
                model="tiny", messages=ASK, seed=1, max_tokens=9, stream=True, logit_bias=GO_ON
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert len(asyncio.run(read())) >= 8


def test_every_response_has_an_id(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="tiny", messages=ASK, max_tokens=1)
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.headers["openai-processing-ms"].isdecimal()
    assert raw.parse()._request_id == raw.headers["x-request-id"]
    with client.chat.completions.with_streaming_response.create(
        model="tiny", messages=ASK, max_tokens=2, stream=True
    ) as response:
        assert response.headers["x-request-id"].startswith("req_")
        assert "data: [DONE]" in list(response.iter_lines())
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("none")
    assert caught.value.request_id is not None


def test_a_client_that_waits_too_short_gets_its_time_out(server: RunningServer) -> None:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0, timeout=0.001)
    with pytest.raises(openai.APITimeoutError), client:
        client.chat.completions.create(model="tiny", messages=ASK, n=4, max_tokens=100)


def test_an_address_and_a_method_that_are_unknown_have_envelopes(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as lost:
        client.get("/nothing/here", cast_to=object)
    assert lost.value.code == "unknown_url"
    with pytest.raises(openai.APIStatusError) as refused:
        client.get("/chat/completions", cast_to=object)
    assert refused.value.status_code == 405
    assert refused.value.response.headers["allow"] == "POST"
    assert isinstance(refused.value.body, dict)
    assert set(refused.value.body) == {"message", "type", "param", "code"}


def test_health_readiness_and_metrics_are_told(server: RunningServer, client: openai.OpenAI) -> None:
    client.chat.completions.create(model="tiny", messages=ASK, max_tokens=3, logit_bias=GO_ON)
    with httpx2.Client(base_url=server.url) as plain:
        assert plain.get("/healthz").status_code == 200
        assert plain.get("/readyz").text == "ready\n"
        metrics = plain.get("/metrics").text
        assert 'verifine_responses_total{route="/v1/chat/completions",status="200"}' in metrics
        assert 'verifine_answer_tokens_total{model="tiny"}' in metrics
        assert "verifine_requests_waiting 0.0" in metrics


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "[1"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_pages_of_other_sites_are_refused(server: RunningServer, headers: dict[str, str]) -> None:
    with httpx2.Client(base_url=server.url) as plain:
        refused = plain.get("/v1/models", headers=headers)
        assert refused.status_code == 403
        assert refused.json()["error"]["type"] == "permission_error"
        own = plain.get("/v1/models", headers={"origin": server.url, "sec-fetch-site": "same-origin"})
        assert own.status_code == 200
