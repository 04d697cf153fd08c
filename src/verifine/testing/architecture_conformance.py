"""What must hold of every architecture that Verifine trains, as checks to run on the folder of a model.

    @pytest.mark.parametrize("check", ARCHITECTURE_CHECKS)
    def test_my_architecture(check: ArchitectureCheck, tmp_path: Path) -> None:
        check(ArchitectureCase(folder=my_folder, scratch=tmp_path))

The oracle is plain transformers: the same folder, loaded without Verifine, one sequence at a time. The model should be
tiny. Tolerances are for float32, with differences relative to the largest number of a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from verifine.config.memory import Precision
from verifine.errors import ModelError
from verifine.models.export import save_model
from verifine.models.load import LanguageModel, load_model
from verifine.models.network.forward import tree_hidden_states, tree_logprobs
from verifine.models.network.lora import adapters_off, attach_lora
from verifine.models.network.tree import Branch, grow_tree
from verifine.models.provision.stored import ProvisionedModel
from verifine.rollout.native.native_engine import NativeEngine
from verifine.types import Prompt, Rollout, Sampling

LOGITS_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 3e-5
LOGPROB_TOLERANCE = 3e-5
"""Largest difference in nats."""
BFLOAT16_TOLERANCE = 0.03
"""Mean difference in nats that products in bfloat16 make."""

TEMPERATURE = 0.7

PROMPTS = ((5, 6, 7, 8, 40, 41, 42, 43, 44, 45), (5, 6, 30, 31, 32), (50, 51, 52, 53, 54, 55, 56, 57, 58))
"""Of different lengths, two of them with a common beginning, and longer than the windows of tiny models."""

BRANCHES = (
    Branch(prompt=PROMPTS[0], completions=[(9, 10, 11), (12,), (9, 10, 14, 15, 16, 17, 18, 19)]),
    Branch(prompt=PROMPTS[1], completions=[(20, 21), (22, 23, 24)]),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchitectureCase:
    """A model to be checked."""

    folder: Path
    """As `save_pretrained` leaves it, with a tokenizer that has a chat template and tokens up to id 98."""
    scratch: Path
    """Where the checks may write."""

    def load(self, precision: Precision = "float32", folder: Path | None = None) -> LanguageModel:
        """The model as Verifine has it; `folder` None: the one of this case."""
        where = self.folder if folder is None else folder
        return load_model(
            ProvisionedModel(name="checked", folder=where, source="local folder"), precision, torch.device("cpu")
        )


ArchitectureCheck = Callable[[ArchitectureCase], None]


def check_logits_of_a_packed_tree(case: ArchitectureCase) -> None:
    """Logits of a packed tree of prompts and answers are those of every sequence read alone."""
    model = case.load()
    assert_close(packed_logits(model), plain_logits(plain_network(case.folder), model), LOGITS_TOLERANCE)


def check_gradients_through_a_packed_tree(case: ArchitectureCase) -> None:
    """Gradients of log-probabilities and entropies, with and without recomputation, are those of plain passes."""
    model, plain = case.load(), plain_network(case.folder)
    logits = plain_logits(plain, model) / TEMPERATURE
    logprobs = logits.log_softmax(dim=-1)
    chosen = torch.tensor([token for branch in BRANCHES for answer in branch.completions for token in answer])
    places = torch.searchsorted(known_ids(model), chosen)
    _loss(logprobs.gather(1, places[:, None]).squeeze(1), -(logprobs.exp() * logprobs).sum(dim=-1)).backward()
    wanted = gradients(plain)
    for recompute in (False, True):
        model.network.zero_grad()
        _loss(*tree_logprobs(model.trunk, model.head, grow_tree(BRANCHES), TEMPERATURE, recompute=recompute)).backward()
        found = gradients(model.network)
        assert found.keys() == wanted.keys()
        for name, gradient in found.items():
            assert_close(gradient, wanted[name], GRADIENT_TOLERANCE, name)


def check_greedy_answers(case: ArchitectureCase) -> None:
    """Greedy answers of the engine, with and without fixed shapes, are those of `generate`, token for token."""
    model, plain = case.load(), plain_network(case.folder)
    sampling = Sampling(group_size=1, max_new_tokens=20, temperature=0.0)
    known = set(known_ids(model).tolist())
    suppressed = [token for token in range(len(model.head.weight)) if token not in known] or None
    wanted = []
    for prompt in PROMPTS:
        read = torch.tensor([prompt])
        written = plain.generate(
            read,
            attention_mask=torch.ones_like(read),
            max_new_tokens=20,
            do_sample=False,
            suppress_tokens=suppressed,
        )
        wanted.append(tuple(written[0, len(prompt) :].tolist()))
    for is_static in (False, True):
        groups = NativeEngine(model, is_static=is_static).generate(_prompts(), sampling)
        assert [group.rollouts[0].token_ids for group in groups] == wanted


def check_log_probabilities_of_sampled_answers(case: ArchitectureCase) -> None:
    """Log-probabilities that the engine gives with its answers, and when it is asked, are those of plain passes."""
    model = case.load()
    engine, sampling = NativeEngine(model), _sampling()
    rollouts = _rollouts(engine, sampling)
    plain = sampled_logprobs(plain_network(case.folder), model, rollouts)
    for rollout, asked, wanted in zip(rollouts, engine.logprobs(rollouts, sampling), plain, strict=True):
        for found in (rollout.behaviour_logprobs, asked):
            assert (torch.tensor(found) - wanted).abs().max() < LOGPROB_TOLERANCE


def check_bfloat16(case: ArchitectureCase) -> None:
    """In bfloat16, engine and learner differ from plain float32 by rounding; a mixture of experts is refused."""
    exact = case.load()
    if exact.has_experts:
        try:
            case.load("bfloat16")
        except ModelError:
            return
        raise AssertionError("a mixture of experts was loaded in bfloat16")
    model = case.load("bfloat16")
    rollouts = _rollouts(NativeEngine(model), _sampling())
    plain = torch.cat(sampled_logprobs(plain_network(case.folder), model, rollouts))
    tree = grow_tree([Branch(prompt=each.prompt.token_ids, completions=[each.token_ids]) for each in rollouts])
    with torch.no_grad():
        learned = tree_logprobs(model.trunk, model.head, tree, TEMPERATURE)[0]
    engine = torch.tensor([value for rollout in rollouts for value in rollout.behaviour_logprobs])
    for found in (engine, learned):
        assert (found - plain).abs().mean() < BFLOAT16_TOLERANCE


def check_adapters(case: ArchitectureCase) -> None:
    """With LoRA: the starting model when off, the merged model in plain transformers, and the adapter in plain peft."""
    model = attach_lora(case.load(), 4, 8, "all-linear", seed=0)
    _move(model)
    ours, folder = packed_logits(model), case.scratch / "adapted"
    start = plain_logits(plain_network(case.folder), model)
    assert (ours - start).abs().max() > 100 * LOGITS_TOLERANCE * start.abs().max(), "the adapters change nothing"
    with adapters_off(model.network):
        assert_close(packed_logits(model), start, LOGITS_TOLERANCE)
    save_model(model, folder)
    assert_close(ours, plain_logits(plain_network(folder), model), LOGITS_TOLERANCE)
    with_adapter = PeftModel.from_pretrained(plain_network(case.folder), folder / "adapter")
    assert_close(ours, plain_logits(with_adapter.base_model.model, model), LOGITS_TOLERANCE)


def check_saved_model(case: ArchitectureCase) -> None:
    """A trained model is saved so that plain transformers and Verifine load it, every tensor the same."""
    model, folder = case.load(), case.scratch / "saved"
    _move(model)
    ours = packed_logits(model)
    save_model(model, folder)
    plain, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), "a weight is missing, or one too many"
    trained = model.network.state_dict()
    assert all(torch.equal(tensor, trained[name]) for name, tensor in plain.state_dict().items())
    assert_close(ours, plain_logits(plain_network(folder), model), LOGITS_TOLERANCE)
    assert_close(ours, packed_logits(case.load(folder=folder)), LOGITS_TOLERANCE)


ARCHITECTURE_CHECKS: tuple[ArchitectureCheck, ...] = (
    check_logits_of_a_packed_tree,
    check_gradients_through_a_packed_tree,
    check_greedy_answers,
    check_log_probabilities_of_sampled_answers,
    check_bfloat16,
    check_adapters,
    check_saved_model,
)

HEAD_CHECKS: tuple[ArchitectureCheck, ...] = (
    check_gradients_through_a_packed_tree,
    check_greedy_answers,
    check_log_probabilities_of_sampled_answers,
)
"""Those that padding of the vocabulary and tying of the head matter to."""


def plain_network(folder: Path) -> PreTrainedModel:
    """The network as transformers runs it."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def plain_logits(plain: PreTrainedModel, model: LanguageModel) -> Float[Tensor, "N V"]:
    """The logits that the answers' tokens are predicted with, of the ids that have a token."""
    rows = []
    for branch in BRANCHES:
        for answer in branch.completions:
            logits = plain(input_ids=torch.tensor([branch.prompt + answer])).logits[0]
            rows.append(logits[len(branch.prompt) - 1 : -1])
    return torch.cat(rows)[:, known_ids(model)]


@torch.no_grad()
def packed_logits(model: LanguageModel) -> Float[Tensor, "N V"]:
    """The same of the packed tree."""
    tree = grow_tree(BRANCHES)
    return tree.spread(model.head.logits(tree_hidden_states(model.trunk, tree)))[:, known_ids(model)]


@torch.no_grad()
def sampled_logprobs(
    plain: PreTrainedModel, model: LanguageModel, rollouts: Sequence[Rollout]
) -> list[Float[Tensor, " n"]]:
    """The log-probability of each token of each answer among the ids that have a token."""
    known, found = known_ids(model), []
    for rollout in rollouts:
        logits = plain(input_ids=torch.tensor([rollout.prompt.token_ids + rollout.token_ids])).logits[0]
        rows = logits[len(rollout.prompt.token_ids) - 1 : -1, known] / TEMPERATURE
        places = torch.searchsorted(known, torch.tensor(rollout.token_ids))
        found.append(rows.log_softmax(dim=-1).gather(1, places[:, None]).squeeze(1))
    return found


def known_ids(model: LanguageModel) -> Tensor:
    """The ids that have a token, in order."""
    return torch.tensor([token for token in range(len(model.head.weight)) if token in model.vocabulary])


def gradients(network: PreTrainedModel) -> Mapping[str, Tensor]:
    """Of all parameters that have one, by name."""
    named = network.named_parameters()
    return {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}


def assert_close(found: Tensor, wanted: Tensor, tolerance: float, what: str = "") -> None:
    """Asserts that the largest difference is below a share of the largest number."""
    difference = (found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-3)
    assert difference < tolerance, f"{what} differs by {difference:.2g} of the largest"


def _loss(logprobs: Float[Tensor, " N"], entropy: Float[Tensor, " N"]) -> Tensor:
    slopes = torch.linspace(-1, 1, len(logprobs))
    return (slopes * logprobs + 0.3 * entropy).sum()


def _move(model: LanguageModel) -> None:
    """As after some training."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)


def _prompts() -> list[Prompt]:
    return [Prompt(id=str(index), token_ids=tokens, item={}) for index, tokens in enumerate(PROMPTS)]


def _sampling() -> Sampling:
    # Answers end at different lengths, so that rows move while others go on.
    return Sampling(group_size=4, max_new_tokens=24, temperature=TEMPERATURE, seed=3, stop=("a", "e", "o"))


def _rollouts(engine: NativeEngine, sampling: Sampling) -> list[Rollout]:
    return [rollout for group in engine.generate(_prompts(), sampling) for rollout in group.rollouts]
