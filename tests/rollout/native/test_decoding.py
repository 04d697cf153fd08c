from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from verifine.models.load import LanguageModel
from verifine.rollout.native.cache import Capacity
from verifine.rollout.native.decoding import AnswerRules, Decoding, FinishedRollout
from verifine.rollout.native.model_runner import OwnWeightsRunner
from verifine.rollout.native.static import CHECK_INTERVAL, StaticDecoding
from verifine.testing import load_tiny_model
from verifine.types import FinishReason, Prompt, Sampling

SAMPLING = Sampling(group_size=3, max_new_tokens=CHECK_INTERVAL + 5, seed=3, step=5)
TEXTS = ("abc", "x", "Hello there, how are you?", "abd?", "zz")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_tiny_model(tmp_path_factory.mktemp("model"))


def prompts(model: LanguageModel) -> list[Prompt]:
    return [Prompt(id=text, token_ids=tuple(model.tokenizer(text).input_ids), item={}) for text in TEXTS]


@torch.no_grad()
def decode(kind: type[Decoding | StaticDecoding], model: LanguageModel, groups: int) -> list[FinishedRollout]:
    """Answers that end with a token divisible by 7, with so many groups at a time."""

    def has_ended(token_ids: Sequence[int]) -> bool:
        return token_ids[-1] % 7 == 0

    longest = max(len(prompt.token_ids) for prompt in prompts(model))
    capacity = Capacity(
        rows=groups * SAMPLING.group_size, tokens=4096, prompt_tokens=longest, own_tokens=SAMPLING.max_new_tokens
    )
    decoding = kind(OwnWeightsRunner(model), SAMPLING, capacity, AnswerRules(has_ended=has_ended), model.device)
    samples = [range(SAMPLING.group_size)] * len(TEXTS)
    return sorted(decoding.run(prompts(model), samples), key=lambda each: (each.prompt.id, each.sample))


@pytest.mark.parametrize("kind", [Decoding, StaticDecoding])
@pytest.mark.parametrize("groups", [1, 2, len(TEXTS)])
def test_every_sample_of_every_prompt_ends_once(
    kind: type[Decoding | StaticDecoding], groups: int, model: LanguageModel
) -> None:
    finished = decode(kind, model, groups)
    assert [(each.prompt.id, each.sample) for each in finished] == [
        (text, sample) for text in sorted(TEXTS) for sample in range(SAMPLING.group_size)
    ]


@pytest.mark.parametrize("kind", [Decoding, StaticDecoding])
def test_an_answer_ends_with_the_first_token_that_ends_it_or_at_the_limit(
    kind: type[Decoding | StaticDecoding], model: LanguageModel
) -> None:
    for each in decode(kind, model, len(TEXTS)):
        assert all(token % 7 for token in each.token_ids[:-1])
        is_stopped = each.token_ids[-1] % 7 == 0
        assert each.finish_reason is (FinishReason.STOP if is_stopped else FinishReason.LENGTH)
        assert is_stopped or len(each.token_ids) == SAMPLING.max_new_tokens
        assert len(each.logprobs) == len(each.token_ids)


def test_how_many_fit_at_a_time_and_how_they_are_laid_out_changes_no_token(model: LanguageModel) -> None:
    expected = [each.token_ids for each in decode(Decoding, model, len(TEXTS))]
    for groups in (1, 2):
        assert [each.token_ids for each in decode(Decoding, model, groups)] == expected
        assert [each.token_ids for each in decode(StaticDecoding, model, groups)] == expected
