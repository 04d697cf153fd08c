"""Chats with models of a whole service, through the unmodified `openai` client: the cases C1 to C4 and E3 to E7."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import httpx2
import openai
import psutil
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from verifine.launch.serving_order import PROCESS
from verifine.testing import save_tiny_model
from verifine.testing.models import CHAT_TEMPLATE, with_chat_template
from verifine.testing.serve_command import ENDED, ServeCommand

pytestmark = pytest.mark.slow

ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Largest of 3, 14, 15?"}]

GO_ON = {"2": -100}
"""No turn of a tiny model ends early: 2 is the token that ends one."""

TOOLS = f"{{% for tool in tools or [] %}}<s>{{{{ tool.function.name }}}}</s>{{% endfor %}}{CHAT_TEMPLATE}"


class Verdict(BaseModel):
    """What an answer is held to."""

    right: bool
    size: Literal["small", "large"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models beside those of the service: one with random weights that is shown tools, and one that is broken."""
    tiny = with_chat_template(save_tiny_model(tmp_path_factory.mktemp("tiny"), "qwen2"), TOOLS)
    broken = save_tiny_model(tmp_path_factory.mktemp("broken"))
    (broken / "tokenizer.json").write_text("{", encoding="utf-8")
    return {"tiny": tiny, "broken": broken}


@pytest.fixture(scope="module")
def command(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeCommand]:
    started = ServeCommand.start(tmp_path_factory.mktemp("data"), folders)
    yield started
    assert started.end(signal.SIGTERM) == 0


@pytest.fixture
def client(command: ServeCommand) -> Iterator[openai.OpenAI]:
    with connect(command) as client:
        yield client


def connect(command: ServeCommand, timeout: float = 600) -> openai.OpenAI:
    url, key = str(command.client.base_url), key_of(command)
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=timeout)


def connect_async(command: ServeCommand) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=str(command.client.base_url), api_key=key_of(command))


def key_of(command: ServeCommand) -> str:
    return command.client.headers["authorization"].removeprefix("Bearer ")


def endpoints_of(command: ServeCommand) -> list[psutil.Process]:
    return [each for each in psutil.Process(command.process.pid).children() if PROCESS in each.cmdline()]


def chat(client: openai.OpenAI, model: str = "pico", **settings: object) -> str:
    done = client.chat.completions.create(model=model, messages=ASK, **{"max_tokens": 20, **settings})  # type: ignore[call-overload]
    return str(done.choices[0].message.content)


def test_first_calls_at_once_load_a_model_once_and_get_the_same_answer(command: ServeCommand) -> None:
    async def ask_all() -> Sequence[str | None]:
        async with connect_async(command) as several:
            tasks = [
                several.chat.completions.create(model="pico", messages=ASK, temperature=0, max_tokens=20)
                for _ in range(4)
            ]
            return [done.choices[0].message.content for done in await asyncio.gather(*tasks)]

    assert set(asyncio.run(ask_all())) == {"15"}
    assert len(endpoints_of(command)) == 1


def test_choices_stops_seeds_and_logprobs(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="tiny", messages=ASK, n=3, seed=1, max_tokens=6, logprobs=True, top_logprobs=2, logit_bias=GO_ON
    )
    assert [choice.index for choice in done.choices] == [0, 1, 2]
    assert done.model == "tiny"
    assert done.usage is not None
    assert done.usage.completion_tokens == 18
    for choice in done.choices:
        assert choice.logprobs is not None
        assert [len(each.top_logprobs) for each in choice.logprobs.content or []] == [2] * 6
    whole = chat(client, "tiny", seed=7, logit_bias=GO_ON)
    assert whole == chat(client, "tiny", seed=7, logit_bias=GO_ON) != chat(client, "tiny", seed=8, logit_bias=GO_ON)
    stop = whole[10:12]
    assert chat(client, "tiny", seed=7, logit_bias=GO_ON, stop=stop) == whole[: whole.index(stop)]


def test_an_answer_is_parsed_into_a_model_of_pydantics(client: openai.OpenAI) -> None:
    done = client.chat.completions.parse(model="tiny", messages=ASK, seed=1, response_format=Verdict, max_tokens=60)
    assert isinstance(done.choices[0].message.parsed, Verdict)


def test_a_tool_is_called(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"big": {"type": "boolean"}}, "required": ["big"]}
    tool: ChatCompletionToolParam = {
        "type": "function",
        "function": {"name": "look", "parameters": {**schema, "additionalProperties": False}},
    }
    done = client.chat.completions.create(
        model="tiny", messages=ASK, tools=[tool], tool_choice="required", seed=1, max_tokens=60
    ).choices[0]
    assert done.finish_reason == "tool_calls"
    assert [call.type for call in done.message.tool_calls or []] == ["function"]


def test_the_pieces_of_a_stream_are_the_answer_and_usage_comes_last(client: openai.OpenAI) -> None:
    settings = {"model": "tiny", "messages": ASK, "seed": 5, "n": 2, "max_tokens": 20}
    whole = client.chat.completions.create(**settings)  # type: ignore[call-overload]
    stream = client.chat.completions.create(**settings, stream=True, stream_options={"include_usage": True})  # type: ignore[call-overload]
    *chunks, last = list(stream)
    assert last.usage == whole.usage
    for choice in whole.choices:
        own = [each for chunk in chunks for each in chunk.choices if each.index == choice.index]
        assert "".join(each.delta.content or "" for each in own) == choice.message.content
        assert own[-1].finish_reason == choice.finish_reason


def test_the_clients_own_stream_helper_reads_the_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="pico", messages=ASK, temperature=0, max_tokens=20) as stream:
        kinds = {event.type for event in stream}
        text = stream.get_final_completion().choices[0].message.content
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert text == chat(client, temperature=0) == "15"


def test_a_completion_continues_a_text_also_in_a_stream(command: ServeCommand, client: openai.OpenAI) -> None:
    (whole,) = client.completions.create(model="tiny", prompt="abc", seed=1, max_tokens=5, logit_bias=GO_ON).choices

    async def read() -> str:
        async with connect_async(command) as several:
            stream = await several.completions.create(
                model="tiny", prompt="abc", seed=1, max_tokens=5, logit_bias=GO_ON, stream=True
            )
            return "".join([part.choices[0].text async for part in stream])

    assert asyncio.run(read()) == whole.text


def test_every_response_has_one_id(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="pico", messages=ASK, max_tokens=1)
    assert [name for name in raw.headers if name == "x-request-id"] == ["x-request-id"]
    assert raw.parse()._request_id == raw.headers["x-request-id"]
    with client.chat.completions.with_streaming_response.create(
        model="pico", messages=ASK, max_tokens=2, stream=True
    ) as response:
        assert response.headers["x-request-id"].startswith("req_")
        assert "data: [DONE]" in list(response.iter_lines())


def test_what_a_model_refuses_has_its_field_and_code(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as longer:
        client.chat.completions.create(model="pico", messages=[{"role": "user", "content": "Largest of 3? " * 500}])
    assert (longer.value.code, longer.value.param) == ("context_length_exceeded", "messages")
    with pytest.raises(openai.BadRequestError) as unknown:
        client.completions.create(model="tiny", prompt=[10**6])
    assert unknown.value.param == "prompt"


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_cannot_be_loaded_is_told_with_its_reason(
    client: openai.OpenAI, folders: dict[str, Path], stream: bool
) -> None:
    with pytest.raises(openai.APIError) as caught:
        list(client.chat.completions.create(model="broken", messages=ASK, stream=stream))
    assert caught.value.code == "model_not_loaded"
    assert "tokenizer.json" in caught.value.message
    assert str(folders["broken"]) not in caught.value.message


def test_a_client_that_waits_too_short_gets_its_time_out(command: ServeCommand) -> None:
    with connect(command, timeout=0.01) as hasty, pytest.raises(openai.APITimeoutError):
        hasty.chat.completions.create(model="tiny", messages=ASK, n=4, max_tokens=100, logit_bias=GO_ON)


def test_an_address_and_a_method_that_are_unknown_have_envelopes(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as lost:
        client.get("/nothing/here", cast_to=object)
    assert lost.value.code == "unknown_url"
    with pytest.raises(openai.APIStatusError) as refused:
        client.get("/chat/completions", cast_to=object)
    assert refused.value.status_code == 405


def test_a_killed_process_ends_a_stream_with_an_error_and_the_next_call_loads_again(
    command: ServeCommand, client: openai.OpenAI
) -> None:
    chat(client, "tiny")
    before = {each.pid for each in endpoints_of(command)}
    text = ""
    with pytest.raises(openai.APIError, match="killed") as caught:
        for chunk in client.chat.completions.create(
            model="tiny", messages=ASK, stream=True, max_tokens=100, logit_bias=GO_ON
        ):
            text += chunk.choices[0].delta.content or ""
            while text and before:
                os.kill(before.pop(), signal.SIGKILL)
    assert caught.value.code == "server_error"
    assert text
    assert chat(client, "tiny", seed=1) == chat(client, "tiny", seed=1)


def test_models_end_with_a_service_that_is_killed(folders: dict[str, Path], tmp_path: Path) -> None:
    first = ServeCommand.start(tmp_path, folders)
    client = connect(first)
    chat(client)
    stream = client.chat.completions.create(model="tiny", messages=ASK, stream=True)
    first.until(lambda: len(endpoints_of(first)) == 2)
    loaded = endpoints_of(first)
    sockets = (tmp_path / "endpoints" / ".sockets").readlink()
    stream.close()
    client.close()
    first.end(signal.SIGKILL)
    psutil.wait_procs(loaded)
    assert not [each for each in loaded if each.is_running()]
    second = ServeCommand.start(tmp_path, folders)
    assert not sockets.exists()
    with connect(second) as client:
        assert chat(client, temperature=0) == "15"
    loaded = endpoints_of(second)
    assert second.end(signal.SIGTERM) == 0
    assert not [each for each in loaded if each.is_running()]
    assert not (tmp_path / "endpoints" / ".sockets").is_symlink()


def test_nobody_else_reaches_a_loaded_model(command: ServeCommand, client: openai.OpenAI) -> None:
    chat(client)
    process = endpoints_of(command)[0]
    assert not process.net_connections("inet")
    environment = process.environ()
    assert "OPENAI_API_KEY" not in environment
    assert not [value for value in environment.values() if key_of(command) in value]
    (folder,) = {Path(str(each.laddr)).parent for each in process.net_connections("unix") if each.laddr}
    assert folder.stat().st_mode & 0o777 == 0o700
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(next(folder.iterdir())))) as stranger:
        refused = stranger.post("http://localhost/v1/completions", json={"model": "pico", "prompt": "1"})
    assert refused.status_code == 403


def test_what_a_job_with_adapters_leaves_answers_in_the_process_of_its_base(
    command: ServeCommand, client: openai.OpenAI
) -> None:
    def fingerprint(model: str) -> str | None:
        return client.chat.completions.create(model=model, messages=ASK, max_tokens=1).system_fingerprint

    job_id = command.create_job("tiny", 2, model={"lora": {"rank": 2}})
    base = fingerprint("tiny")
    loaded = len(endpoints_of(command))
    command.until(lambda: command.job(job_id)["status"] in ENDED)
    tuned = command.job(job_id)["fine_tuned_model"]
    assert fingerprint(tuned) != base
    assert len(endpoints_of(command)) == loaded
    (checkpoint, *_) = client.fine_tuning.jobs.checkpoints.list(job_id)
    assert checkpoint.step_number == 2
    settings = {"temperature": 0, "logit_bias": GO_ON}
    answer = chat(client, checkpoint.fine_tuned_model_checkpoint, **settings)
    assert answer == chat(client, tuned, **settings)
    client.models.delete(checkpoint.fine_tuned_model_checkpoint)
    with pytest.raises(openai.NotFoundError) as caught:
        chat(client, checkpoint.fine_tuned_model_checkpoint)
    assert caught.value.code == "model_not_found"
