"""A copy of a network with int8 linear layers, for sampling on processors where these are faster than float32.

Weights are scaled by output channel, activations by row. A few channels of the activations are tens of times larger
than the rest and would use up the whole range, so they are damped and their weights raised to match, as in SmoothQuant
(arXiv:2211.10438); a probe shows which channels these are. Sums of int8 products are exact and everything else is
elementwise, so a row's result does not depend on the rows that are computed with it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping

import torch
from jaxtyping import Float, Int8
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from verifine.errors import ModelError
from verifine.models.network.adapter_layers import ADAPTER, base_layer
from verifine.models.network.tree import Branch, grow_tree
from verifine.models.network.tree_attention import TreeAttention
from verifine.models.network.trunk import TransformersTrunk, Trunk
from verifine.models.network.vocabulary import Vocabulary, VocabularyHead

LARGEST = 127
"""The largest number that is used; int8 also has -128, which is left out to keep the range symmetric."""
TINY = 1e-30
"""Smaller rows and channels count as zero."""
PROBE_TOKENS = 128


class QuantizedCopy:
    """A network that computes nearly the same as another one, with int8 products in its linear layers.

    Embeddings, norms, biases and buffers are the original's own tensors. For inference only: it has no gradients.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        vocabulary: Vocabulary,
        *,
        head: bool,
        compute_dtype: torch.dtype = torch.float32,
    ) -> None:
        """Quantises a copy of `network`; with `head`, the vocabulary head as well.

        Other products are in `compute_dtype`.

        Raises:
            ModelError: the network is not on a CPU, or this CPU's int8 products overflow or are slower than others.
        """
        if network.device.type != "cpu":
            raise ModelError(
                f"int8 sampling needs a CPU, and this model is on {network.device}; set engine.precision to same."
            )
        if has_faster_bfloat16(compute_dtype, torch.cpu.get_capabilities()):
            raise ModelError(
                "int8 sampling is slower than bfloat16 on this processor, which has matrix units for it (AMX); set "
                "engine.precision to same."
            )
        if not int8_is_exact():
            raise ModelError(
                "this processor adds int8 products in 16 bits, which overflow (it lacks VNNI); set engine.precision to "
                "same."
            )
        tensors = [*network.parameters(), *network.buffers()]
        self.network: PreTrainedModel = copy.deepcopy(network, {id(tensor): tensor for tensor in tensors}).eval()
        """It is used like the original; its hidden states are input for `logits`."""
        self.trunk: Trunk = TransformersTrunk(self.network, compute_dtype)
        sizes, hidden_sizes = _channel_sizes(self.network, vocabulary)
        self._layers = list(_replace_linears(network.base_model, self.network.base_model, sizes))
        self._vocabulary_head = VocabularyHead.of(network, vocabulary)
        self._head = Int8Linear(len(self._vocabulary_head.weight), None, hidden_sizes) if head else None
        self.refresh()

    @property
    def resident_bytes(self) -> int:
        """What it holds besides the original's own tensors."""
        layers = [layer for _, layer in self._layers] + ([] if self._head is None else [self._head])
        return sum(layer.resident_bytes for layer in layers)

    @torch.no_grad()
    def refresh(self) -> None:
        """Quantises the original's current weights, with its adapters merged."""
        for source, layer in self._layers:
            layer.quantize(_weight(source))
        if self._head is not None:
            self._head.quantize(self._vocabulary_head.weight)

    def logits(self, hidden: Float[Tensor, "R H"]) -> Float[Tensor, "R V"]:
        """The output of the vocabulary head."""
        if self._head is None:
            return self._vocabulary_head.logits(hidden)
        return self._vocabulary_head.finish(self._head(hidden))


class Int8Linear(nn.Module):
    """A linear layer from I to O numbers per row; `quantize` sets its weight."""

    def __init__(self, outputs: int, bias: nn.Parameter | None, sizes: Float[Tensor, " I"]) -> None:
        """`sizes` are typical magnitudes of the activations' channels; they affect rounding only."""
        super().__init__()
        self.damping = _damping(sizes)
        self.raising = self.damping.reciprocal()
        self.weight = torch.zeros(outputs, len(sizes), dtype=torch.int8)
        self.scale = torch.zeros(outputs)
        self.bias = bias

    @property
    def resident_bytes(self) -> int:
        return sum(each.nbytes for each in (self.weight, self.scale, self.damping, self.raising))

    def quantize(self, weight: Float[Tensor, "O I"]) -> None:
        numbers, scale = quantize_rows(weight.float() * self.raising)
        self.weight.copy_(numbers)
        self.scale.copy_(scale.squeeze(1))

    def forward(self, activations: Float[Tensor, "*R I"]) -> Float[Tensor, "*R O"]:
        numbers, scale = quantize_rows(activations.flatten(0, -2) * self.damping)
        # No fused operations: these round differently at a tensor's end, so a row would depend on its place.
        result = torch._int_mm(numbers, self.weight.T).float()
        result.mul_(self.scale)
        result.mul_(scale)
        if self.bias is not None:
            result.add_(self.bias)
        return result.view(*activations.shape[:-1], -1).to(activations.dtype)


def quantize_rows(rows: Float[Tensor, "R I"]) -> tuple[Int8[Tensor, "R I"], Float[Tensor, "R 1"]]:
    """Numbers from -127 to 127, and the scale of each row."""
    scale = rows.abs().amax(dim=-1, keepdim=True).clamp_min_(TINY).div_(LARGEST)
    return (rows * scale.reciprocal()).round_().to(torch.int8), scale


def has_faster_bfloat16(compute_dtype: torch.dtype, capabilities: Mapping[str, object]) -> bool:
    """Whether a processor's products in `compute_dtype` are faster than int8 ones, which also quantise their input.

    Measured on a Xeon with AMX: at 64 rows, the linear products of SmolLM2-135M give 1100 to 1800 rows/s in bfloat16
    and 940 in int8.
    """
    return compute_dtype == torch.bfloat16 and bool(capabilities.get("amx_bf16"))


def int8_is_exact() -> bool:
    """Whether this processor adds int8 products exactly: without VNNI, pairs of large ones can overflow."""
    numbers = torch.full((64, 64), LARGEST, dtype=torch.int8)
    largest = torch.full((64, 64), 64 * LARGEST**2, dtype=torch.int32)
    return torch.equal(torch._int_mm(numbers, numbers.T), largest) and torch.equal(
        torch._int_mm(numbers, -numbers.T), -largest
    )


@torch.no_grad()
def int8_is_faster(clock: Callable[[], float]) -> bool:
    """Whether int8 sampling is worthwhile on this CPU: products are exact, and measured to be faster than float32's."""
    if not int8_is_exact():
        return False
    rows, weight = torch.ones(32, 576), torch.ones(1536, 576)
    layer = Int8Linear(1536, None, torch.ones(576))
    layer.quantize(weight)
    float32_s = _least_s(lambda: nn.functional.linear(rows, weight), clock)
    # int8 is less exact, so it is used only if it is clearly faster.
    return _least_s(lambda: layer(rows), clock) < 0.7 * float32_s


def _least_s(work: Callable[[], Tensor], clock: Callable[[], float]) -> float:
    times = []
    for _ in range(6):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def _damping(sizes: Float[Tensor, " I"]) -> Float[Tensor, " I"]:
    """Reduces channels above the typical size to the geometric mean with it; the weights absorb the rest."""
    typical = sizes.square().mean().sqrt().clamp_min(TINY)
    return (sizes / typical).clamp_min(1).rsqrt()


@torch.no_grad()
def _channel_sizes(
    network: PreTrainedModel, vocabulary: Vocabulary
) -> tuple[dict[nn.Module, Float[Tensor, " I"]], Float[Tensor, " H"]]:
    """The root mean square of each input channel of the linear layers on a probe, and of the last hidden states."""
    sizes: dict[nn.Module, Tensor] = {}

    def measure(layer: nn.Module, arguments: tuple[Tensor]) -> None:
        sizes[layer] = _root_mean_square(arguments[0].flatten(0, -2))

    layers = [module for module in network.base_model.modules() if isinstance(module, nn.Linear | LoraLayer)]
    hooks = [layer.register_forward_pre_hook(measure) for layer in layers]
    probe = tuple((7919 * i + 11) % vocabulary.size for i in range(PROBE_TOKENS))
    tree = grow_tree([Branch(prompt=probe)])
    trunk = TransformersTrunk(network, torch.float32)
    hidden = trunk.hidden_states(tree.token_ids, tree.position_ids, TreeAttention(tree))
    for hook in hooks:
        hook.remove()
    return sizes, _root_mean_square(hidden)


def _root_mean_square(rows: Float[Tensor, "R I"]) -> Float[Tensor, " I"]:
    return rows.square().mean(dim=0).sqrt()


def _replace_linears(
    original: nn.Module, copied: nn.Module, sizes: Mapping[nn.Module, Float[Tensor, " I"]]
) -> Iterator[tuple[nn.Module, Int8Linear]]:
    """Puts int8 layers into `copied`; yields each with the layer of the original that it replaces."""
    for name, child in original.named_children():
        counterpart = copied.get_submodule(name)
        if isinstance(child, nn.Linear | LoraLayer):
            base = base_layer(child)
            layer = Int8Linear(base.out_features, base.bias, sizes[counterpart])
            copied.register_module(name, layer)
            yield child, layer
        else:
            yield from _replace_linears(child, counterpart, sizes)


def _weight(source: nn.Module) -> Float[Tensor, "O I"]:
    weight = base_layer(source).weight
    return weight + source.get_delta_weight(ADAPTER) if isinstance(source, LoraLayer) else weight
