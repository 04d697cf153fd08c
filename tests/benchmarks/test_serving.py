from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import forms
import httpx2
import pytest
from served_folder import make_served_folder
from server_processes import SERVERS, ServedJob, ServerProgram, free_port, running
from streams import StreamedAnswer, StreamError, ask, ask_all, summarize

import serving
from verifine.models.load import load_model
from verifine.models.provision.stored import ProvisionedModel
from verifine.serving import ServedModel, ServingLimits
from verifine.testing import load_tiny_model, save_tiny_model
from verifine.testing.servers import running_server

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SPARE = {
    "id": 99,
    "content": "<spare>",
    "special": True,
    "single_word": False,
    "lstrip": False,
    "rstrip": False,
    "normalized": False,
}


def prompts(requests: Sequence[dict[str, Any]]) -> list[str]:
    return [request["messages"][0]["content"] for request in requests]


def test_every_server_is_asked_the_same_prompts_and_none_twice() -> None:
    plan = serving.FULL
    asked = [plan.requests("model", streams, is_warmup=warm) for streams in plan.streams for warm in (True, False)]
    again = [plan.requests("model", streams, is_warmup=warm) for streams in plan.streams for warm in (True, False)]
    assert asked == again
    assert [len(requests) for requests in asked] == [1, 20, 8, 24, 32, 96]
    texts = [text for requests in asked for text in prompts(requests)]
    assert len(set(texts)) == len(texts)
    assert len({len(text) for text in texts}) == len(plan.lengths)


def test_seeds_are_given_only_where_they_are_wanted() -> None:
    seeded = replace(serving.FULL, has_seeds=True).requests("model", 8)
    assert [request["seed"] for request in seeded] == list(range(24))
    assert all("seed" not in request for request in serving.FULL.requests("model", 8))


def test_speed_is_tokens_by_time_and_the_95th_percentile_lies_between_the_slowest() -> None:
    answers = [StreamedAnswer(first_token_s=float(wait), prompt_tokens=10, tokens=4) for wait in range(21)]
    speed = summarize("name", "settings", 8, answers, seconds=42.0, start_s=3.0)
    assert (speed.requests, speed.prompt_tokens, speed.tokens, speed.tokens_per_s) == (21, 210, 84, 2.0)
    assert (speed.first_token_median_s, speed.first_token_p95_s, speed.start_s) == (10.0, 19.0, 3.0)
    line = serving.describe([speed]).splitlines()[-1]
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        "name",
        "settings",
        "8",
        "21",
        "210",
        "84",
        "2",
        "10",
        "19",
        "3",
    ]


def test_streams_are_counted_as_the_server_counts_them(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    limits = ServingLimits(context_tokens=256, answer_tokens=8)
    served = ServedModel.of("tiny", replace(model, stop_token_ids=frozenset()), limits, created=0)
    plan = serving.QUICK
    with running_server(served, limits=limits) as server:
        answers, seconds = ask_all(server.url, plan.requests("tiny", 2), 2)
    assert [answer.tokens for answer in answers] == [plan.new_tokens] * 4
    assert all(0 < answer.first_token_s <= seconds for answer in answers)
    # A token a character, and three tokens and two letters with colons of the chat template.
    read = sum(len(text) + 7 for text in prompts(plan.requests("tiny", 2)))
    assert sum(answer.prompt_tokens for answer in answers) == read


def answer_to(lines: Sequence[str], status: int = 200) -> StreamedAnswer:
    async def read() -> StreamedAnswer:
        text = "".join(f"{line}\n\n" for line in lines)
        transport = httpx2.MockTransport(lambda request: httpx2.Response(status, text=text))
        async with httpx2.AsyncClient(base_url="http://server", transport=transport) as client:
            return await ask(client, {})

    return asyncio.run(read())


CHUNK = json.dumps({"choices": [{"delta": {"content": "a"}}], "usage": None})
USAGE = json.dumps({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1}})


def test_usage_may_come_in_a_chunk_of_its_own() -> None:
    answer = answer_to([f"data: {CHUNK}", f"data: {USAGE}", "data: [DONE]"])
    assert (answer.prompt_tokens, answer.tokens) == (7, 1)


@pytest.mark.parametrize(
    ("lines", "status", "named"),
    [
        ([f"data: {CHUNK}", "data: [DONE]"], 200, "usage"),
        ([f"data: {CHUNK}", 'data: {"error": "out of memory"}'], 200, "out of memory"),
        ([f"data: {CHUNK}", 'data: {"error": "a "quoted" word"}'], 200, "quoted"),
        (["too many"], 429, "429: too many"),
    ],
    ids=["without usage", "error", "error that is no JSON", "refused"],
)
def test_stream_that_is_not_whole_is_an_error(lines: list[str], status: int, named: str) -> None:
    with pytest.raises(StreamError, match=named):
        answer_to(lines, status)


def test_served_folder_ends_answers_with_a_token_of_no_use(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model", words=["<spare>"])
    tokenizer = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["added_tokens"].append(SPARE)
    (model / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    into = tmp_path / "served"
    assert make_served_folder(model, into) == "<spare>"
    loaded = load_model(ProvisionedModel(name="served", folder=into, source="a copy"), "float32")
    assert loaded.stop_token_ids == {SPARE["id"]}


def test_served_folder_keeps_the_end_where_no_token_can_be_spared(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    assert make_served_folder(model, tmp_path / "served") is None


def job(folder: Path) -> ServedJob:
    return ServedJob(
        folder=folder,
        precision="float32",
        context_tokens=256,
        new_tokens=4,
        most_streams=2,
        vllm_python=Path(sys.executable),
    )


@pytest.mark.parametrize("name", SERVERS)
def test_every_server_gets_the_same_folder_precision_and_port(name: str, tmp_path: Path) -> None:
    command = SERVERS[name](job(tmp_path), 8123).command
    assert {str(tmp_path), "float32", "8123"} <= set(command)


def test_server_that_ends_before_it_is_ready_is_told_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = ServerProgram(
        settings="float32", command=(sys.executable, "-c", "import sys; sys.exit('no such model')"), ready_path="/"
    )
    assert serving.measure("broken", program, job(tmp_path), serving.QUICK, free_port()) == []
    told = capsys.readouterr().err
    assert "broken (float32) failed" in told
    assert "no such model" in told


def test_server_is_ready_when_it_answers_and_is_gone_in_the_end(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(tmp_path), str(port))
    with running(ServerProgram(settings="", command=command, ready_path="/"), url, tmp_path / "log"):
        assert httpx2.get(url).status_code == 200
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(url)


def test_serving_does_without_torch() -> None:
    script = "import sys, serving; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=BENCHMARKS, check=True)


@pytest.mark.slow
def test_serving_measures_the_endpoint_of_a_tiny_model(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "serving.py"), "--quick", "--json", "-"]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    rows = json.loads(finished.stdout)
    assert [(row["server"], row["streams"], row["requests"]) for row in rows] == [
        ("verifine", 1, 2),
        ("verifine", 2, 4),
    ]
    for row in rows:
        assert row["prompt_tokens"] == {1: 80, 2: 176}[row["streams"]]
        assert 0 < row["tokens"] <= row["requests"] * serving.QUICK.new_tokens
        assert row["tokens_per_s"] == pytest.approx(row["tokens"] / row["seconds"])
        assert 0 < row["first_token_median_s"] <= row["first_token_p95_s"] <= row["seconds"]
        assert row["start_s"] > 0


@pytest.mark.slow
@pytest.mark.skipif(find_spec("fastapi") is None or find_spec("openai") is None, reason="needs transformers[serving]")
@pytest.mark.parametrize("name", ["transformers", "transformers-batching"])
def test_transformers_is_asked_what_verifine_is(name: str, tmp_path: Path) -> None:
    make_served_folder(save_tiny_model(tmp_path / "model"), tmp_path / "served")
    asked, port = job(tmp_path / "served"), free_port()
    speeds = serving.measure(name, SERVERS[name](asked, port), asked, serving.QUICK, port)
    assert [(speed.streams, speed.requests, speed.prompt_tokens) for speed in speeds] == [(1, 2, 80), (2, 4, 176)]
    assert all(0 < speed.tokens <= speed.requests * serving.QUICK.new_tokens for speed in speeds)


def test_forms_are_timed_for_every_token(tmp_path: Path) -> None:
    served = ServedModel.of("tiny", load_tiny_model(tmp_path), ServingLimits(), created=1)
    cost = forms.measure(served, 3)
    assert cost.schemas == 3
    assert cost.tokens >= 3
    assert 0 < cost.token_us_median <= cost.token_us_p95
    assert "compile ms p95" in forms.describe(cost)
