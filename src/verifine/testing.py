"""Fakes and tiny models, shipped so that extensions of Verifine can be tested as Verifine is.

The tiny models are real architectures with random weights and a character tokenizer: they go through the same code as
any model, in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, PretrainedConfig, PreTrainedTokenizerFast, Qwen3Config

from verifine.algorithms.recipes import Loss
from verifine.batch import Batch, Estimates
from verifine.learner.learner import UpdateOutcome, UpdateReport
from verifine.models.load import LanguageModel, Weights, load_model
from verifine.models.provision import ProvisionedModel
from verifine.models.quiet import no_progress_bars
from verifine.types import FinishReason, Group, Prompt, Rollout, Sampling

Architecture = Literal["llama", "qwen3"]

CHAT_TEMPLATE = (
    "{% for message in messages %}<s>{{ message['role'][0] }}:{{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>a:{% endif %}"
)

_CHARACTERS = [chr(code) for code in range(32, 127)] + ["\n"]
_SPECIAL = ["<pad>", "<s>", "</s>"]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A token a character: printable ASCII and the newline, with a chat template."""
    vocabulary = {text: index for index, text in enumerate([*_SPECIAL, *_CHARACTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))  # noqa: S106 - a token, not a password
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")  # noqa: S106
    fast.chat_template = CHAT_TEMPLATE
    return fast


def tiny_config(architecture: Architecture) -> PretrainedConfig:
    """Two layers, 64 wide, four query heads on two key-value heads."""
    tokens = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    shape = {
        "vocab_size": len(_SPECIAL) + len(_CHARACTERS),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 256,
    }
    if architecture == "qwen3":
        return Qwen3Config(**shape, **tokens, tie_word_embeddings=False)
    return LlamaConfig(**shape, **tokens, tie_word_embeddings=True)


def save_tiny_model(folder: Path, architecture: Architecture = "llama", seed: int = 0) -> Path:
    """Writes a tiny random model as a folder that loads like any other."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = AutoModelForCausalLM.from_config(tiny_config(architecture))
        for parameter in network.parameters():
            # Wider than the usual initialisation, so that answers differ and log-probabilities are far from uniform.
            if parameter.dim() > 1:
                parameter.data.mul_(6)
    with no_progress_bars():
        network.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def load_tiny_model(folder: Path, architecture: Architecture = "llama", seed: int = 0) -> LanguageModel:
    """Saves a tiny model in `folder` and loads it in float32."""
    saved = save_tiny_model(folder, architecture, seed)
    return load_model(ProvisionedModel(name=f"tiny-{architecture}", folder=saved, source="random"), "float32")


class ScriptedEngine:
    """A rollout engine that says what it is told to, a token a character."""

    def __init__(self, answer: Callable[[Prompt, int], str]) -> None:
        self._answer = answer
        self.version = 0
        self.calls: list[tuple[tuple[str, ...], Sampling]] = []
        """The prompt ids and the sampling of every call."""

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Group]:
        self.calls.append((tuple(prompt.id for prompt in prompts), sampling))
        return [
            Group(
                prompt=prompt,
                rollouts=tuple(self._rollout(prompt, sample, sampling) for sample in range(sampling.group_size)),
            )
            for prompt in prompts
        ]

    def load_weights(self, weights: Weights, version: int) -> None:  # noqa: ARG002 - a script has no weights
        self.version = version

    def logprobs(self, rollouts: Sequence[Rollout], temperature: float) -> list[list[float]]:  # noqa: ARG002
        return [list(rollout.behaviour_logprobs) for rollout in rollouts]

    def _rollout(self, prompt: Prompt, sample: int, sampling: Sampling) -> Rollout:
        text = self._answer(prompt, sample)
        token_ids = tuple(ord(character) for character in text[: sampling.max_new_tokens]) or (0,)
        return Rollout(
            prompt=prompt,
            token_ids=token_ids,
            behaviour_logprobs=(-1.0,) * len(token_ids),
            text=text[: sampling.max_new_tokens],
            finish_reason=FinishReason.LENGTH if len(text) > sampling.max_new_tokens else FinishReason.STOP,
            policy_version=self.version,
        )


class FakeLearner:
    """A learner that remembers what it was given and changes nothing."""

    def __init__(self, outcome: UpdateOutcome = UpdateOutcome.APPLIED) -> None:
        self._outcome = outcome
        self.updates: list[tuple[Batch, Float[Tensor, " N"]]] = []
        """The batch and the advantages of every update."""

    def estimate(self, batch: Batch) -> Estimates:  # noqa: ARG002
        return Estimates(old_logprobs=None, reference_logprobs=None)

    def update(self, batch: Batch, estimates: Estimates, advantages: Float[Tensor, " N"], loss: Loss) -> UpdateReport:  # noqa: ARG002
        self.updates.append((batch, advantages))
        return UpdateReport(outcome=self._outcome, metrics={"loss": 0.0, "learning_rate": 0.0})

    def weights(self) -> Weights:
        return {}
