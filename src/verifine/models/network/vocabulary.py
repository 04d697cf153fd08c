"""Which token ids exist, and the vocabulary head that gives no other id a probability.

Makers pad the rows of a model to a round number: Qwen3 has 151,936 rows for 151,669 tokens, and Phi-4-mini also has ids
between its tokens that stand for nothing. A sampled id without a token writes nothing, and reinforcement learning makes
such ids likelier whenever it makes others less likely. So engine and learner take them out of every distribution.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

IMPOSSIBLE = -1e9
"""The logit of an id without a token: its probability is exactly 0. Minus infinity would make 0 times it NaN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The ids of the tokens that exist."""

    size: int
    """The highest id + 1."""
    gaps: frozenset[int] = frozenset()
    """The ids below `size` that no token has."""

    @classmethod
    def of(cls, ids: Iterable[int]) -> Vocabulary:
        known = set(ids)
        size = max(known) + 1
        return cls(size=size, gaps=frozenset(range(size)) - known)

    def __contains__(self, token_id: int) -> bool:
        return 0 <= token_id < self.size and token_id not in self.gaps

    def lacks(self, token_ids: Int[Tensor, " N"]) -> Bool[Tensor, " N"]:
        """Which of them no token has."""
        beyond = (token_ids < 0) | (token_ids >= self.size)
        return beyond | torch.isin(token_ids, torch.tensor(sorted(self.gaps))) if self.gaps else beyond

    def missing(self, rows: int) -> tuple[int, ...]:
        """The ids without a token, of a model with so many rows."""
        return (*sorted(self.gaps), *range(self.size, rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogitTransform:
    """What an architecture makes of a product with its vocabulary head: cap * tanh(scale * product / cap)."""

    scale: float = 1.0
    """Granite divides by a number in its config, Cohere multiplies by one."""
    cap: float | None = None
    """Gemma 2 has one, and the config of Gemma 3 may. None: the scaled product is the logit."""

    @classmethod
    def of(cls, config: PretrainedConfig) -> LogitTransform:
        """That of the architecture. What it overlooks is found when the model is loaded (`check_attention`)."""
        settings = config.to_dict()
        scale = settings.get("logit_scale", 1.0) / settings.get("logits_scaling", 1.0)
        return cls(scale=scale, cap=settings.get("final_logit_softcapping"))

    @property
    def is_identity(self) -> bool:
        return self.scale == 1 and self.cap is None

    def apply(self, products: Float[Tensor, "R V"]) -> Float[Tensor, "R V"]:
        """The logits, in place."""
        if self.scale != 1:
            products.mul_(self.scale)
        return products if self.cap is None else products.div_(self.cap).tanh_().mul_(self.cap)

    def slope(self, logits: Float[Tensor, "R V"]) -> Float[Tensor, "R V"] | float:
        """The derivative of each logit with respect to its product."""
        return self.scale if self.cap is None else (logits / self.cap).square_().neg_().add_(1).mul_(self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyHead:
    """The matrix that turns hidden states into logits. H hidden size, V vocabulary with its padding.

    Products are of all rows, since accelerators need the round number; the logits of ids without a token are then set.
    """

    weight: Float[Tensor, "V H"]
    """The model's own parameter."""
    transform: LogitTransform = LogitTransform()
    missing: Int[Tensor, " missing"] | None = None
    """The ids without a token. None: every row is one."""

    @classmethod
    def of(cls, network: PreTrainedModel, vocabulary: Vocabulary) -> VocabularyHead:
        weight = head_weight(network)
        missing = vocabulary.missing(len(weight))
        return cls(
            weight=weight,
            transform=LogitTransform.of(network.config),
            missing=torch.tensor(missing, device=weight.device) if missing else None,
        )

    def logits(self, hidden: Float[Tensor, "R H"]) -> Float[Tensor, "R V"]:
        return self.finish(torch.nn.functional.linear(hidden, self.weight))

    def finish(self, products: Float[Tensor, "R V"]) -> Float[Tensor, "R V"]:
        """The logits of products with the matrix, in place; ids without a token become impossible."""
        logits = self.transform.apply(products)
        return logits if self.missing is None else logits.index_fill_(1, self.missing, IMPOSSIBLE)


def head_weight(network: PreTrainedModel) -> Float[Tensor, "V H"]:
    """The matrix that turns hidden states into logits."""
    weight = network.get_output_embeddings().weight
    assert isinstance(weight, Tensor)
    return weight
