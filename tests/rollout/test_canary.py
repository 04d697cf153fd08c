from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from verifine.algorithms.algorithm import default_algorithm
from verifine.errors import MismatchError
from verifine.learner.local import LocalLearner
from verifine.models.fingerprint import Fingerprint
from verifine.models.load import LanguageModel, Weights
from verifine.models.network.lora import adapters_off, attach_lora
from verifine.models.network.quantized import QuantizedCopy, int8_is_exact
from verifine.models.policy import ModelPolicy
from verifine.rollout.canary import Canary, make_probes, probe_interval, tolerance
from verifine.rollout.engine import EngineTraits, RolloutEngine, rounding_nats
from verifine.rollout.mismatch import Cause
from verifine.rollout.native.model_runner import ModelRunner
from verifine.rollout.native.native_engine import NativeEngine
from verifine.testing import ARCHITECTURES, Architecture, load_tiny_model
from verifine.testing.training_batches import MAX_TOKENS, SETTINGS, make_training_batch, sample_groups
from verifine.types import Grade, Group, Prompt, Rollout, Sampling

SAMPLING = Sampling(group_size=4, max_new_tokens=MAX_TOKENS)
NEVER = 1000
"""An interval in which no test falls."""

needs_exact_int8 = pytest.mark.skipif(not int8_is_exact(), reason="this processor adds int8 products in 16 bits")


def make_canary(model: LanguageModel, sampling: Sampling, interval: int = 1) -> Canary:
    return Canary(
        ModelPolicy(model),
        make_probes(model.tokenizer, model.vocabulary.size),
        sampling,
        interval,
    )


def own_copy(model: LanguageModel) -> LanguageModel:
    return model.copy()


class Faulty(NativeEngine):
    """An engine whose logits are not what they should be."""

    def __init__(self, model: LanguageModel, distort: Callable[[Tensor], Tensor]) -> None:
        super().__init__(model)
        self._distort = distort

    def _runner(self, sampling: Sampling) -> ModelRunner:
        return Distorting(super()._runner(sampling), self._distort)


class Distorting:
    def __init__(self, runner: ModelRunner, distort: Callable[[Tensor], Tensor]) -> None:
        self.trunk = runner.trunk
        self._runner = runner
        self._distort = distort

    def logits(self, hidden: Tensor) -> Tensor:
        return self._distort(self._runner.logits(hidden))


class Deaf(NativeEngine):
    """Its weights stay what they are."""

    def load_weights(self, weights: Weights, version: int) -> None: ...


class Pretending(Deaf):
    """Says of its own weights whatever is wanted."""

    def __init__(self, model: LanguageModel, learner: LanguageModel) -> None:
        super().__init__(model)
        self._learner = NativeEngine(learner)

    def fingerprint(self) -> Fingerprint:
        return self._learner.fingerprint()


class WithoutAdapters(NativeEngine):
    """Has the adapters and does not use them."""

    def logprobs(self, rollouts: Sequence[Rollout], sampling: Sampling) -> list[list[float]]:
        with adapters_off(self._model.network):
            return super().logprobs(rollouts, sampling)


class Forgetful(NativeEngine):
    """Samples at temperature 1, whatever it is told."""

    def logprobs(self, rollouts: Sequence[Rollout], sampling: Sampling) -> list[list[float]]:
        return super().logprobs(rollouts, replace(sampling, temperature=1.0))


class Damaging(NativeEngine):
    """A copy that takes over all weights but one, in which it changes something."""

    def __init__(self, model: LanguageModel, damage: Callable[[Tensor], Tensor], *, pretends: bool = False) -> None:
        super().__init__(own_copy(model))
        self._damage = damage
        self._source = NativeEngine(model) if pretends else None

    def load_weights(self, weights: Weights, version: int) -> None:
        super().load_weights(weights, version)
        with torch.no_grad():
            self._damage(self._model.network.get_parameter("model.layers.1.mlp.down_proj.weight"))

    def fingerprint(self) -> Fingerprint:
        return super().fingerprint() if self._source is None else self._source.fingerprint()


def top_k(logits: Tensor) -> Tensor:
    return logits.masked_fill(logits < logits.topk(5).values[..., -1:], float("-inf"))


def top_p(logits: Tensor) -> Tensor:
    ordered, order = logits.softmax(dim=-1).sort(dim=-1, descending=True)
    before = ordered.cumsum(dim=-1) - ordered
    return logits.masked_fill((before >= 0.9).gather(-1, order.argsort(dim=-1)), float("-inf"))


def learn(model: LanguageModel, temperature: float = 1.0) -> LocalLearner:
    """One update, as a step makes it."""
    learner = LocalLearner(model, replace(SETTINGS, learning_rate=3e-3), temperature)
    learner.update(make_training_batch(learner, sample_groups(model, temperature)), default_algorithm("grpo").loss)
    return learner


def with_lora(folder: Path) -> LanguageModel:
    return attach_lora(load_tiny_model(folder), 8, 64, "all-linear", seed=0)


def other_model(model: LanguageModel, folder: Path) -> RolloutEngine:
    return Deaf(load_tiny_model(folder / "other", seed=1))


FAULTS: dict[str, tuple[Callable[[LanguageModel, Path], RolloutEngine], float, Cause, str]] = {
    "a copy that is never updated": (
        lambda model, _: Deaf(own_copy(model)),
        1.0,
        Cause.OLD_WEIGHTS,
        "its fingerprint is that of update 0",
    ),
    "a copy that is never updated, and says it is": (
        lambda model, _: Pretending(own_copy(model), model),
        1.0,
        Cause.OLD_WEIGHTS,
        "its log-probabilities are those after update 0",
    ),
    "temperature 0.7 for 1": (
        lambda model, _: Faulty(model, lambda logits: logits / 0.7),
        1.0,
        Cause.TEMPERATURE,
        "fit temperature 0.7, and the learner's is 1",
    ),
    "temperature 1 for 0.7": (
        lambda model, _: Forgetful(model),
        0.7,
        Cause.TEMPERATURE,
        "fit temperature 1, and the learner's is 0.7",
    ),
    "top-k 5": (lambda model, _: Faulty(model, top_k), 1.0, Cause.TRUNCATED, "fit top-k 5 best:"),
    "top-p 0.9": (lambda model, _: Faulty(model, top_p), 1.0, Cause.TRUNCATED, "fit top-p 0.9 best:"),
    "one layer perturbed": (
        lambda model, _: Damaging(model, lambda weight: weight.mul_(1.05)),
        1.0,
        Cause.OTHER_WEIGHTS,
        "the fingerprints differ in model.layers.1.mlp.down_proj.weight",
    ),
    "one layer perturbed where no fingerprint looks": (
        lambda model, _: Damaging(model, lambda weight: weight.mul_(1.05), pretends=True),
        1.0,
        Cause.UNKNOWN,
        "no temperature, truncation or earlier update explains it",
    ),
    "a different model": (other_model, 1.0, Cause.OTHER_WEIGHTS, "the fingerprints differ in model.embed_tokens"),
    "a different model that says it is not": (
        lambda model, folder: Pretending(load_tiny_model(folder / "other", seed=1), model),
        1.0,
        Cause.UNKNOWN,
        "no temperature",
    ),
    "weights that are not numbers": (
        lambda model, _: Damaging(model, lambda weight: weight.fill_(float("nan")), pretends=True),
        1.0,
        Cause.NOT_FINITE,
        "some of the engine's log-probabilities are NaN",
    ),
}

LORA_FAULTS: dict[str, tuple[Callable[[LanguageModel, Path], RolloutEngine], Cause, str]] = {
    "adapters switched off": (
        lambda model, _: WithoutAdapters(model),
        Cause.NO_ADAPTERS,
        "its log-probabilities are those of the model without adapters",
    ),
    "adapters that never arrive": (
        lambda _, folder: Deaf(load_tiny_model(folder / "plain")),
        Cause.NO_ADAPTERS,
        "it does not have model.layers.0.self_attn.q_proj.lora_A.default.weight",
    ),
    "adapters that are never updated": (
        lambda model, _: Deaf(own_copy(model)),
        Cause.OLD_WEIGHTS,
        "its fingerprint is that of update 0",
    ),
}


def first_complaint(canary: Canary, engine: RolloutEngine, model: LanguageModel, temperature: float) -> tuple[int, str]:
    """The update after which the canary first complains, and what it says."""
    try:
        canary.check(engine, 0)
        learner = learn(model, temperature)
        engine.load_weights(learner.weights(), 1)
        canary.check(engine, 1)
    except MismatchError as error:
        return int(str(error).split()[3]), str(error)
    pytest.fail("nothing was noticed")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught_after_the_next_update_and_named(name: str, tmp_path: Path) -> None:
    make, temperature, cause, says = FAULTS[name]
    model = load_tiny_model(tmp_path / "base")
    canary = make_canary(model, replace(SAMPLING, temperature=temperature))
    _, message = first_complaint(canary, make(model, tmp_path), model, temperature)
    assert f"the engine samples from {cause}: " in message
    assert says in message
    assert "probe tokens its log-probabilities differ from the learner's by " in message


@pytest.mark.parametrize("name", LORA_FAULTS)
def test_adapters_that_are_ignored_are_noticed(name: str, tmp_path: Path) -> None:
    make, cause, says = LORA_FAULTS[name]
    model = with_lora(tmp_path / "base")
    canary = make_canary(model, SAMPLING)
    if name != "adapters that never arrive":
        version, message = first_complaint(canary, make(model, tmp_path), model, 1.0)
        assert version == 1, "until they have learned something, adapters change nothing"
    else:
        learn(model)
        with pytest.raises(MismatchError) as caught:
            canary.check(make(model, tmp_path), 1)
        message = str(caught.value)
    assert f"the engine samples from {cause}: " in message
    assert says in message


def test_adapters_that_are_missing_are_noticed_before_they_make_a_difference(tmp_path: Path) -> None:
    model = with_lora(tmp_path / "base")
    with pytest.raises(MismatchError, match=r"without its adapters: it does not have .*lora_A.* and 26 more tensors"):
        make_canary(model, SAMPLING).check(NativeEngine(load_tiny_model(tmp_path / "plain")), 0)


def test_an_update_that_is_too_small_to_see_is_caught_by_the_fingerprint(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    engine, canary = Deaf(own_copy(model)), make_canary(model, SAMPLING)
    canary.check(engine, 0)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.mul_(1 + 1e-6)
    with pytest.raises(MismatchError, match="the weights of an earlier update: its fingerprint is that of update 0"):
        canary.check(engine, 1)


def honest(kind: str, folder: Path, architecture: Architecture) -> tuple[LanguageModel, Sampling, NativeEngine]:
    model, sampling = load_tiny_model(folder, architecture), SAMPLING
    match kind:
        case "another temperature":
            sampling = replace(sampling, temperature=0.7)
        case "bfloat16":
            model = model.with_compute_dtype(torch.bfloat16)
        case "int8":
            sampling = replace(sampling, temperature=0.7)
            return (
                model,
                sampling,
                NativeEngine(model, quantized=QuantizedCopy(model.network, model.vocabulary, head=True)),
            )
        case "lora":
            model = attach_lora(model, 4, 8, "all-linear", seed=0)
        case "fixed shapes":
            return model, sampling, NativeEngine(model, is_static=True)
        case "a copy":
            return model, sampling, NativeEngine(own_copy(model))
    return model, sampling, NativeEngine(model)


KINDS = ("float32", "another temperature", "bfloat16", "lora", "fixed shapes", "a copy")


@pytest.mark.parametrize(
    "architecture", [pytest.param(each, marks=[] if each == "qwen3" else pytest.mark.slow) for each in ARCHITECTURES]
)
@pytest.mark.parametrize("kind", [*KINDS, pytest.param("int8", marks=needs_exact_int8)])
def test_an_honest_engine_is_never_complained_about(kind: str, architecture: Architecture, tmp_path: Path) -> None:
    model, sampling, engine = honest(kind, tmp_path, architecture)
    canary, generator = make_canary(model, sampling), torch.Generator().manual_seed(0)
    for version in range(12):
        metrics = canary.check(engine, version, rollout_mismatch(model, engine, sampling), probe=True)
        assert metrics.keys() == {"mismatch/probe_mean", "mismatch/probe_max"}
        assert metrics["mismatch/probe_mean"] < tolerance(engine.traits, sampling.temperature) / 3
        if kind != "bfloat16":  # whose products the engine may add up in another order
            assert (metrics["mismatch/probe_max"] > 1e-3) == (kind == "int8")
        with torch.no_grad():
            for parameter in model.network.parameters():
                if parameter.requires_grad:
                    parameter += 0.02 * torch.randn(parameter.shape, generator=generator) * parameter.abs().mean()
        engine.load_weights(model.network.state_dict(), version + 1)


def rollout_mismatch(model: LanguageModel, engine: RolloutEngine, sampling: Sampling) -> float:
    """What a step's update reports of the rollouts it learns from."""
    prompts = [Prompt(id=text, token_ids=tuple(model.tokenizer(text).input_ids), item={}) for text in ("abc", "zz?")]
    groups: list[Group] = [
        group.graded([Grade(score=score) for score in (1.0, 0.0, 0.0, 0.0)])
        for group in engine.generate(prompts, sampling)
    ]
    untouched = own_copy(model)
    learner = LocalLearner(untouched, SETTINGS, sampling.temperature)
    report = learner.update(make_training_batch(learner, groups), default_algorithm("grpo").loss)
    return report.metrics["mismatch/mean"]


@pytest.mark.parametrize(
    ("distort", "cause"),
    [(lambda logits: logits / 0.7, Cause.TEMPERATURE), (top_k, Cause.TRUNCATED), (top_p, Cause.TRUNCATED)],
    ids=["temperature", "top-k", "top-p"],
)
def test_a_steps_own_rollouts_give_a_fault_away_where_no_probe_is_due(
    distort: Callable[[Tensor], Tensor], cause: Cause, tmp_path: Path
) -> None:
    model = load_tiny_model(tmp_path)
    canary, engine = make_canary(model, SAMPLING, NEVER), Faulty(model, distort)
    assert canary.check(engine, 1) == {}
    with pytest.raises(MismatchError, match=f"after update 1 the engine samples from {cause}"):
        canary.check(engine, 1, rollout_mismatch(model, engine, SAMPLING))


def test_a_probe_is_due_at_every_interval_and_where_there_is_reason_to(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    canary, engine = make_canary(model, SAMPLING, 3), NativeEngine(model)
    assert [bool(canary.check(engine, version)) for version in range(7)] == [True, False, False] * 2 + [True]
    assert canary.check(engine, 1, probe=True)
    assert canary.check(engine, 1, 1e-4) == {}
    assert canary.check(engine, 1, 5e-4), "half of the tolerance is no fault, but reason to look"
    assert canary.check(engine, 1, float("nan")), "a loss that is not a number is the learner's to deal with"


def test_rollouts_that_differ_though_the_probe_does_not_point_to_decoding(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    with pytest.raises(MismatchError) as caught:
        make_canary(model, SAMPLING, NEVER).check(NativeEngine(model), 7, 0.25)
    message = str(caught.value)
    assert message.startswith(
        "canary: after update 7 the engine samples from something else while it decodes than when it scores given "
        "tokens: on the rollouts of the step they differ by 0.25 nats on average. On 24 probe tokens its "
        "log-probabilities differ"
    )
    assert message.endswith("so check its KV cache and positions, and how old the rollouts are.")


def test_looking_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = with_lora(tmp_path)
    learn(model)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    state = torch.get_rng_state()
    with pytest.raises(MismatchError):
        make_canary(model, SAMPLING).check(WithoutAdapters(model), 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.network.parameters())
    make_canary(model, SAMPLING).check(NativeEngine(model), 1)


def test_a_low_temperature_magnifies_what_is_rounded() -> None:
    traits = EngineTraits(is_exact=True, shares_weights=True, resident_bytes=0, rounding_nats=1e-3)
    assert tolerance(traits, 1.0) == tolerance(traits, 2.0) == 1e-3
    assert tolerance(traits, 0.5) == 2e-3


def test_float32_and_float64_round_less_than_bfloat16() -> None:
    assert rounding_nats(torch.float32) == rounding_nats(torch.float64) == 1e-3
    assert rounding_nats(torch.bfloat16) == 0.2


@pytest.mark.parametrize(("tokens", "updates"), [(1024, 13), (12_800, 1), (6_400, 2), (10**6, 1), (0, 12_800)])
def test_a_probe_is_for_as_many_updates_as_it_takes_to_pay_for_it(tokens: int, updates: int) -> None:
    assert probe_interval(tokens) == updates
