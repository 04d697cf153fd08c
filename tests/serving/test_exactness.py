"""What is served is what the model says: as transformers generates, and as the learner scores."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from transformers import AutoModelForCausalLM

from verifine.models.load import LanguageModel, load_model
from verifine.models.policy import ModelPolicy
from verifine.models.provision.stored import ProvisionedModel
from verifine.serving import ServedModel, ServingLimits
from verifine.testing.servers import running_server
from verifine.types import FinishReason, Prompt, Rollout, Sampling

LIMITS = ServingLimits(context_tokens=200, answer_tokens=60, concurrent_answers=8, waiting_requests=64)
NEARLY_EQUAL = 0.05
"""Two logits of bfloat16 that are so close may change places (docs/serving.md)."""
QUESTIONS = ["Hi", "What is 2 + 2?", "abc", "Say it.", "x" * 50]


def chat(question: str) -> Any:
    return [{"role": "user", "content": question}]


@pytest.fixture(scope="module")
def client(model: LanguageModel) -> Iterator[openai.OpenAI]:
    served = ServedModel.of("tiny", model, LIMITS, created=1)
    with (
        running_server(served, limits=LIMITS) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def generated(model: LanguageModel) -> dict[str, str]:
    """The answers of transformers' own greedy search."""
    network = AutoModelForCausalLM.from_pretrained(model.network.name_or_path).eval()
    answers = {}
    for question in QUESTIONS:
        ids = model.tokenizer.apply_chat_template(
            chat(question), add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        written = network.generate(**ids, max_new_tokens=60, do_sample=False)[0, ids["input_ids"].shape[1] :]
        answers[question] = model.tokenizer.decode(written, skip_special_tokens=True)
    return answers


def greedy(client: openai.OpenAI, question: str) -> str | None:
    done = client.chat.completions.create(model="tiny", messages=chat(question), temperature=0, max_tokens=60)
    return done.choices[0].message.content


def test_greedy_text_is_that_of_generate_alone(client: openai.OpenAI, generated: dict[str, str]) -> None:
    assert {question: greedy(client, question) for question in QUESTIONS} == generated


@pytest.mark.slow
def test_greedy_text_and_a_seed_are_the_same_among_others_that_come_and_go(
    client: openai.OpenAI, generated: dict[str, str]
) -> None:
    def seeded(seed: int) -> str | None:
        done = client.chat.completions.create(model="tiny", messages=chat("Go"), seed=seed, max_tokens=60)
        return done.choices[0].message.content

    alone = {seed: seeded(seed) for seed in range(4)}
    is_over = threading.Event()

    def come_and_go(first: int) -> int:
        count = 0
        while not is_over.is_set():
            stream = client.chat.completions.create(
                model="tiny", messages=chat("x" * (first % 40)), stream=True, max_tokens=60, temperature=1.3, top_p=0.9
            )
            for _, _chunk in zip(range(first % 7), stream, strict=False):
                pass
            stream.close()
            count, first = count + 1, first + 1
        return count

    with ThreadPoolExecutor(8) as pool:
        others = [pool.submit(come_and_go, 5 * place) for place in range(4)]
        questions = [pool.submit(greedy, client, question) for question in QUESTIONS]
        seeds = {seed: pool.submit(seeded, seed) for seed in alone}
        try:
            assert [each.result() for each in questions] == list(generated.values())
            assert {seed: each.result() for seed, each in seeds.items()} == alone
        finally:
            is_over.set()
        assert min(each.result() for each in others) > 0


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.5, "top_p": 0.8}, {"frequency_penalty": 1.5}])
def test_logprobs_are_those_of_the_learner(
    client: openai.OpenAI, model: LanguageModel, settings: dict[str, Any]
) -> None:
    done = client.chat.completions.create(
        model="tiny", messages=chat("Hi"), seed=4, max_tokens=40, logprobs=True, **settings
    ).choices[0]
    assert done.logprobs is not None
    content = done.logprobs.content or []
    tokens = model.tokenizer.convert_tokens_to_ids([each.token for each in content])
    prompt = model.tokenizer.apply_chat_template(chat("Hi"), add_generation_prompt=True, return_dict=False)
    rollout = Rollout(
        prompt=Prompt(id="p", token_ids=tuple(prompt), item={}),
        token_ids=tuple(tokens),
        behaviour_logprobs=(0.0,) * len(tokens),
        text="",
        finish_reason=FinishReason.LENGTH,
    )
    (wanted,) = ModelPolicy(model).logprobs([rollout], Sampling(group_size=1, max_new_tokens=40))
    assert [each.logprob for each in content] == pytest.approx(wanted, abs=2e-4)


def test_a_seed_is_the_same_for_one_answer_and_for_several(client: openai.OpenAI) -> None:
    def say(count: int) -> list[str | None]:
        done = client.chat.completions.create(model="tiny", messages=chat("Hi"), seed=9, n=count, max_tokens=30)
        return [choice.message.content for choice in done.choices]

    assert say(4)[:2] == say(2)


def test_weights_have_a_fingerprint(model: LanguageModel) -> None:
    before = ServedModel.of("a", model, LIMITS, created=1).fingerprint
    assert ServedModel.of("b", model, LIMITS, created=2).fingerprint == before
    other = model.copy()
    with torch.no_grad():
        other.network.get_input_embeddings().weight.add_(1.0)
    assert ServedModel.of("a", other, LIMITS, created=1).fingerprint != before


@pytest.mark.slow
def test_greedy_text_in_bfloat16_is_that_of_generate_until_two_tokens_are_nearly_equal(model: LanguageModel) -> None:
    folder = Path(model.network.name_or_path)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    rounded = load_model(ProvisionedModel(name="tiny", folder=folder, source="random"), "bfloat16")
    served = ServedModel.of("tiny", rounded, LIMITS, created=1)
    same = 0
    with (
        running_server(served, limits=LIMITS) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        for question in [*QUESTIONS, *(f"Question {number}" for number in range(10))]:
            ids = model.tokenizer.apply_chat_template(
                chat(question), add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
            wanted = network.generate(
                **ids, max_new_tokens=60, do_sample=False, output_logits=True, return_dict_in_generate=True
            )
            done = client.chat.completions.create(
                model="tiny", messages=chat(question), temperature=0, max_tokens=60, logprobs=True
            )
            logprobs = done.choices[0].logprobs
            assert logprobs is not None
            tokens = model.tokenizer.convert_tokens_to_ids([each.token for each in logprobs.content or []])
            for written, other, logits in zip(
                tokens, wanted.sequences[0, ids["input_ids"].shape[1] :].tolist(), wanted.logits, strict=False
            ):
                if written != other:
                    best, second = logits[0].float().topk(2).values.tolist()
                    assert best - second < NEARLY_EQUAL, f"token {same} of {question}"
                    break
                same += 1
    assert same > 200
