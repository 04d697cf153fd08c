"""What every rollout engine must do, as checks to run on one.

    @pytest.mark.parametrize("check", ENGINE_CHECKS)
    def test_my_engine(check: EngineCheck) -> None:
        check(EngineCase(make=my_engine, tokenizer=my_tokenizer, prompts=my_prompts, sampling=my_sampling,
                         other_weights=my_weights))

`ANSWER_CHECKS` also hold for an engine that makes answers up, such as `ScriptedEngine`.

Two things that other engines do differently unless they are told. vLLM samples from all rows of the vocabulary, also
from those that only pad it: give it `allowed_token_ids`, the ids of the tokenizer, and take log-probabilities as
`processed_logprobs`. And it removes a stop text from the answer: set `include_stop_str_in_output`, which ends the text
with it and keeps the sampled tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerFast

from verifine.errors import EngineError
from verifine.models.fingerprint import take_fingerprint
from verifine.models.load import Weights
from verifine.rollout.engine import RolloutEngine
from verifine.types import FinishReason, Group, Prompt, Rollout, Sampling, VersionSpan

TOO_LONG = 1 << 20
"""More tokens than any engine under test can read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCase:
    """An engine to be checked."""

    make: Callable[[], RolloutEngine]
    """Makes an engine, always with the same weights."""
    tokenizer: PreTrainedTokenizerFast
    """Of the model. Some tokens should be of several characters, and the model should have more rows than tokens."""
    prompts: Sequence[Prompt]
    """Three or more, of different lengths, and two of them with a common beginning."""
    sampling: Sampling
    """With temperature 1 and no stop text. Some answers should end before `max_new_tokens`, and some should not."""
    other_weights: Weights
    """Weights with the same names and shapes that give other answers."""

    def rollouts(self, engine: RolloutEngine, sampling: Sampling | None = None) -> list[Rollout]:
        groups = engine.generate(self.prompts, self.sampling if sampling is None else sampling)
        return [rollout for group in groups for rollout in group.rollouts]


EngineCheck = Callable[[EngineCase], None]


def check_groups_come_in_the_order_of_the_prompts(case: EngineCase) -> None:
    groups = case.make().generate(case.prompts, case.sampling)
    assert [group.prompt for group in groups] == list(case.prompts)
    assert {len(group.rollouts) for group in groups} == {case.sampling.group_size}
    assert all(rollout.prompt == group.prompt for group in groups for rollout in group.rollouts)
    assert all(group.grades == () for group in groups)


def check_every_token_has_a_log_probability(case: EngineCase) -> None:
    for rollout in case.rollouts(case.make()):
        assert len(rollout.behaviour_logprobs) == len(rollout.token_ids) > 0
        assert all(math.isfinite(value) and value <= 0 for value in rollout.behaviour_logprobs)


def check_answers_end_at_the_limit(case: EngineCase) -> None:
    limit = case.sampling.max_new_tokens
    for rollout in case.rollouts(case.make()):
        assert len(rollout.token_ids) <= limit
        assert len(rollout.token_ids) == limit or rollout.finish_reason is FinishReason.STOP
    for rollout in case.rollouts(case.make(), replace(case.sampling, max_new_tokens=1)):
        assert len(rollout.token_ids) == 1


def check_the_same_call_gives_the_same_answers(case: EngineCase) -> None:
    engine = case.make()
    first = engine.generate(case.prompts, case.sampling)
    assert _tokens(engine.generate(case.prompts, case.sampling)) == _tokens(first)
    assert _tokens(case.make().generate(case.prompts, case.sampling)) == _tokens(first)


def check_an_answer_does_not_depend_on_the_batch(case: EngineCase) -> None:
    engine = case.make()
    together = _tokens(engine.generate(case.prompts, case.sampling))
    assert _tokens(engine.generate(case.prompts[::-1], case.sampling)) == together[::-1]
    assert [_tokens(engine.generate([prompt], case.sampling))[0] for prompt in case.prompts] == together
    larger = engine.generate(case.prompts, replace(case.sampling, group_size=case.sampling.group_size + 2))
    assert [group[: case.sampling.group_size] for group in _tokens(larger)] == together


def check_samples_are_asked_for_by_their_numbers(case: EngineCase) -> None:
    """A sample that is asked for later, or alone, is the one that it would have been among all."""
    engine, size = case.make(), case.sampling.group_size
    every = engine.generate(case.prompts, replace(case.sampling, group_size=2 * size))
    numbers = [range(place % size, 2 * size - place % 2) for place in range(len(case.prompts))]
    some = engine.generate(case.prompts, case.sampling, numbers)
    assert _tokens(some) == [
        [tokens[number] for number in asked] for tokens, asked in zip(_tokens(every), numbers, strict=True)
    ]
    later = engine.generate(case.prompts[::2], case.sampling, [range(size, 2 * size)] * len(case.prompts[::2]))
    assert _tokens(later) == [tokens[size:] for tokens in _tokens(every)[::2]]


def check_log_probabilities_are_those_of_what_was_sampled(case: EngineCase) -> None:
    engine = case.make()
    for sampling in (case.sampling, replace(case.sampling, is_exact=True), replace(case.sampling, temperature=0.0)):
        rollouts = case.rollouts(engine, sampling)
        _assert_near(rollouts, engine.logprobs(rollouts, sampling), engine.traits.rounding_nats)
    assert engine.logprobs([], case.sampling) == []


def check_nothing_is_generated_for_no_prompts(case: EngineCase) -> None:
    assert case.make().generate([], case.sampling) == []


def check_rollouts_carry_the_version_of_their_weights(case: EngineCase) -> None:
    engine = case.make()
    for version in (3, 4):
        engine.load_weights(case.other_weights, version)
        for rollout in case.rollouts(engine):
            assert rollout.versions == (VersionSpan(version=version, tokens=len(rollout.token_ids)),)


def check_the_fingerprint_is_that_of_the_loaded_weights(case: EngineCase) -> None:
    engine = case.make()
    before = engine.fingerprint()
    engine.load_weights(case.other_weights, 1)
    assert engine.fingerprint() == take_fingerprint(case.other_weights) != before


def check_closing_twice_is_allowed(case: EngineCase) -> None:
    engine = case.make()
    case.rollouts(engine)
    engine.close()
    engine.close()


def check_random_numbers_follow_from_seed_step_prompt_and_sample(case: EngineCase) -> None:
    engine = case.make()
    first = _tokens(engine.generate(case.prompts, case.sampling))
    assert len({tuple(samples) for samples in first}) == len(first), "prompts have random numbers of their own"
    assert any(len(set(samples)) > 1 for samples in first), "samples have random numbers of their own"
    renamed = [replace(prompt, id=f"another {prompt.id}") for prompt in case.prompts]
    for prompts, sampling in (
        (case.prompts, replace(case.sampling, seed=case.sampling.seed + 1)),
        (case.prompts, replace(case.sampling, step=case.sampling.step + 1)),
        (renamed, case.sampling),
    ):
        assert _tokens(engine.generate(prompts, sampling)) != first


def check_greedy_answers_are_all_alike(case: EngineCase) -> None:
    engine, greedy = case.make(), replace(case.sampling, temperature=0.0)
    answers = _tokens(engine.generate(case.prompts, greedy))
    assert all(len(set(samples)) == 1 for samples in answers)
    assert _tokens(engine.generate(case.prompts, replace(greedy, seed=greedy.seed + 1, step=7))) == answers


def check_a_low_temperature_makes_answers_likelier(case: EngineCase) -> None:
    engine = case.make()
    means = []
    for temperature in (1.0, 0.3):
        rollouts = case.rollouts(engine, replace(case.sampling, temperature=temperature))
        values = [value for row in engine.logprobs(rollouts, case.sampling) for value in row]
        means.append(sum(values) / len(values))
    assert means[1] > means[0]


def check_a_stop_text_ends_an_answer_and_is_kept(case: EngineCase) -> None:
    engine = case.make()
    free = max(case.rollouts(engine), key=lambda rollout: len(rollout.text))
    stop = free.text[len(free.text) // 2 :][:2]
    stopped = {rollout.text: rollout for rollout in case.rollouts(engine, replace(case.sampling, stop=(stop,)))}
    expected = free.text[: free.text.index(stop) + len(stop)]
    assert stopped[expected].finish_reason is FinishReason.STOP
    assert all(text.endswith(stop) for text in stopped if stop in text)
    assert all(stop not in text[:-1] for text in stopped)


def check_a_stop_text_may_end_within_a_token(case: EngineCase) -> None:
    """The text ends with it, the whole token was sampled, and the answer is not cut off."""
    engine = case.make()
    free, count, stop = _find_stop_within_a_token(case, case.rollouts(engine))
    sampling = replace(case.sampling, stop=("no answer says this", stop))
    for limit in (case.sampling.max_new_tokens, count):
        stopped = case.rollouts(engine, replace(sampling, max_new_tokens=limit))
        (same,) = [each for each in stopped if each.prompt == free.prompt and each.token_ids == free.token_ids[:count]]
        assert same.text == free.text[: free.text.index(stop) + len(stop)]
        assert same.finish_reason is FinishReason.STOP
        assert len(same.behaviour_logprobs) == count
        assert [span.tokens for span in same.versions] == [count]


def check_a_stop_text_in_the_prompt_does_not_count(case: EngineCase) -> None:
    """Nor one that begins in the prompt and ends in the answer."""
    engine = case.make()
    free = case.rollouts(engine)
    for first in free:
        asked = case.tokenizer.decode(first.prompt.token_ids)
        stop = (asked, asked[-1] + first.text[:1])
        for before, after in zip(free, case.rollouts(engine, replace(case.sampling, stop=stop)), strict=True):
            if not any(each in before.text for each in stop):
                assert (after.token_ids, after.text) == (before.token_ids, before.text)


def check_only_ids_with_a_token_are_sampled(case: EngineCase) -> None:
    """And the others have no probability: those of the tokens add up to 1, as they do for the learner."""
    engine, known = case.make(), sorted(case.tokenizer.get_vocab().values())
    for temperature in (1.0, 10.0, 0.0):
        for rollout in case.rollouts(engine, replace(case.sampling, temperature=temperature)):
            assert set(known).issuperset(rollout.token_ids)
    flat = replace(case.sampling, temperature=10.0, max_new_tokens=1)
    first = case.rollouts(engine, flat)[0]
    every = [replace(first, token_ids=(token_id,)) for token_id in known]
    total = math.fsum(math.exp(row[0]) for row in engine.logprobs(every, flat))
    assert abs(total - 1) <= min(engine.traits.rounding_nats, 0.01)


def check_a_prompt_with_an_unknown_id_is_refused(case: EngineCase) -> None:
    unknown = max(case.tokenizer.get_vocab().values()) + 1
    prompt = replace(case.prompts[0], token_ids=(*case.prompts[0].token_ids, unknown))
    refusal = ""
    try:
        case.make().generate([prompt], case.sampling)
    except EngineError as error:
        refusal = str(error)
    assert prompt.id in refusal
    assert str(unknown) in refusal


def check_new_weights_give_other_answers(case: EngineCase) -> None:
    engine = case.make()
    before = _tokens(engine.generate(case.prompts, case.sampling))
    engine.load_weights(case.other_weights, 1)
    after = _tokens(engine.generate(case.prompts, case.sampling))
    assert after != before
    assert _tokens(engine.generate(case.prompts, case.sampling)) == after


def check_a_prompt_beyond_the_context_is_refused(case: EngineCase) -> None:
    prompt = replace(case.prompts[0], token_ids=case.prompts[0].token_ids[:1] * TOO_LONG)
    refusal = ""
    try:
        case.make().generate([prompt], case.sampling)
    except EngineError as error:
        refusal = str(error)
    assert prompt.id in refusal


ANSWER_CHECKS: tuple[EngineCheck, ...] = (
    check_groups_come_in_the_order_of_the_prompts,
    check_every_token_has_a_log_probability,
    check_answers_end_at_the_limit,
    check_the_same_call_gives_the_same_answers,
    check_an_answer_does_not_depend_on_the_batch,
    check_samples_are_asked_for_by_their_numbers,
    check_log_probabilities_are_those_of_what_was_sampled,
    check_nothing_is_generated_for_no_prompts,
    check_rollouts_carry_the_version_of_their_weights,
    check_the_fingerprint_is_that_of_the_loaded_weights,
    check_closing_twice_is_allowed,
)

ENGINE_CHECKS: tuple[EngineCheck, ...] = (
    *ANSWER_CHECKS,
    check_random_numbers_follow_from_seed_step_prompt_and_sample,
    check_greedy_answers_are_all_alike,
    check_a_low_temperature_makes_answers_likelier,
    check_a_stop_text_ends_an_answer_and_is_kept,
    check_a_stop_text_may_end_within_a_token,
    check_a_stop_text_in_the_prompt_does_not_count,
    check_only_ids_with_a_token_are_sampled,
    check_new_weights_give_other_answers,
    check_a_prompt_beyond_the_context_is_refused,
    check_a_prompt_with_an_unknown_id_is_refused,
)


def _tokens(groups: Sequence[Group]) -> list[list[tuple[int, ...]]]:
    return [[rollout.token_ids for rollout in group.rollouts] for group in groups]


def _find_stop_within_a_token(case: EngineCase, rollouts: Sequence[Rollout]) -> tuple[Rollout, int, str]:
    """An answer, how many of its tokens complete a stop text within the last of them, and that stop text."""
    for rollout in rollouts:
        for count, token_id in enumerate(rollout.token_ids, start=1):
            before = case.tokenizer.decode(rollout.token_ids[: count - 1], skip_special_tokens=True)
            end = len(before) + 1
            stop = rollout.text[max(end - 3, 0) : end]
            is_long = len(case.tokenizer.decode([token_id], skip_special_tokens=True)) > 1
            if is_long and rollout.text.find(stop) + len(stop) == end:
                return rollout, count, stop
    raise AssertionError("no token of several characters was sampled; give the case a tokenizer with more of them")


def _assert_near(rollouts: Sequence[Rollout], logprobs: Sequence[Sequence[float]], allowed: float) -> None:
    """That log-probabilities differ from those of sampling by rounding, on average."""
    pairs = [
        pair
        for rollout, row in zip(rollouts, logprobs, strict=True)
        for pair in zip(rollout.behaviour_logprobs, row, strict=True)
    ]
    assert sum(abs(sampled - given) for sampled, given in pairs) / len(pairs) <= allowed
