"""Runs the decoders that `decoder` knows: few operations around each matrix product, and few activations kept."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from verifine.models.network.attention import Attention
from verifine.models.network.compiled.kernels import Kernels, can_compile, find_kernels
from verifine.models.network.decoder import Angles, Decoder, Norm, find_decoder
from verifine.models.network.decoder_layer import LayerProducts, run_layer
from verifine.models.network.inference_layer import InferenceLayer, Operations, TorchOperations
from verifine.models.network.linear_layers import versions_of
from verifine.models.network.packed_projection import can_pack
from verifine.models.network.recompute import recomputing
from verifine.models.network.tree import Branch, Tree, grow_tree
from verifine.models.network.tree_attention import TreeAttention
from verifine.models.network.trunk import TransformersTrunk, Trunk
from verifine.models.network.vocabulary import head_weight

PROBE_TOKENS = 16
HIDDEN_TOLERANCE = 2e-3


class DecoderTrunk:
    """A decoder with its matrix products in `dtype`, and everything between them in the type of its weights."""

    def __init__(self, decoder: Decoder, dtype: torch.dtype) -> None:
        self.compute_dtype = dtype
        self._decoder = decoder
        self._layers = [LayerProducts(layer, dtype) for layer in decoder.layers]

    @property
    def network(self) -> PreTrainedModel:
        return self._decoder.network

    def hidden_states(
        self,
        token_ids: Int[Tensor, " T"],
        position_ids: Int[Tensor, " T"],
        attention: Attention,
        *,
        recompute: bool = False,
    ) -> Float[Tensor, "T H"]:
        for layer in self._layers:
            layer.refresh()
        hidden, angles = _begin(self._decoder, token_ids, position_ids)
        run = recomputing(run_layer) if recompute else run_layer
        for layer in self._layers:
            hidden = run(layer, hidden, angles, attention)
        normalised: Tensor = self._decoder.norm(hidden)
        return normalised

    def hold_frozen(self) -> None:
        """Keeps frozen linear layers in the type of the products only, where that loses nothing."""
        for layer in self._layers:
            for projection in layer.projections:
                projection.hold_frozen()

    def for_inference(self) -> DecoderTrunk | InferenceTrunk:
        if any(projection.is_quantized for layer in self._layers for projection in layer.projections):
            return self  # a packed copy would take more than the weights in few bits
        packs = can_pack(self.network.device, self.compute_dtype)
        kernels = find_kernels() if can_compile(self.network, self.compute_dtype) else None
        # Other products would need a second copy of the weights.
        if packs or (kernels is not None and self.compute_dtype == self.network.dtype):
            return InferenceTrunk(self._decoder, self.compute_dtype, kernels, packs=packs)
        return self


class InferenceTrunk:
    """A decoder for inference alone, on a processor: by packed copies of its weights, where products gain from them."""

    def __init__(self, decoder: Decoder, dtype: torch.dtype, kernels: Kernels | None, *, packs: bool) -> None:
        """`kernels` None: torch's operations are run between the products."""
        self.compute_dtype = dtype
        self.kernels = kernels
        self._decoder = decoder
        self._norm = Norm.of(decoder.norm)
        self._operations: Operations = TorchOperations() if kernels is None else kernels
        self._layers = [InferenceLayer(layer, dtype, self._operations, packs=packs) for layer in decoder.layers]
        self._parameters = [each for layer in self._layers for each in layer.parameters]
        self._versions: list[tuple[int, int]] = []

    @property
    def network(self) -> PreTrainedModel:
        return self._decoder.network

    @property
    def resident_bytes(self) -> int:
        """What copies of the weights take."""
        return sum(projection.resident_bytes for layer in self._layers for projection in layer.projections)

    @torch.no_grad()
    def hidden_states(
        self,
        token_ids: Int[Tensor, " T"],
        position_ids: Int[Tensor, " T"],
        attention: Attention,
        *,
        recompute: bool = False,  # noqa: ARG002 - there is no backward pass
    ) -> Float[Tensor, "T H"]:
        if (versions := versions_of(self._parameters)) != self._versions:
            self._versions = versions
            for layer in self._layers:
                layer.refresh()
        hidden, angles = _begin(self._decoder, token_ids, position_ids)
        added: Tensor | None = None
        for layer in self._layers:
            added = layer.run(hidden, added, angles, attention)
        return self._operations.add_and_normalise(hidden, added, self._norm, hidden.dtype)

    def for_inference(self) -> InferenceTrunk:
        return self


def _begin(
    decoder: Decoder, token_ids: Int[Tensor, " T"], position_ids: Int[Tensor, " T"]
) -> tuple[Float[Tensor, "T H"], Angles]:
    """What goes into the first layer."""
    hidden: Tensor = decoder.embedding(token_ids)
    cos, sin = decoder.rotary(hidden[None], position_ids[None])
    return hidden, Angles.of(cos[0], sin[0])


def make_trunk(network: PreTrainedModel, dtype: torch.dtype) -> Trunk:
    """Runs `network` with matrix products in `dtype`: as a decoder that Verifine knows, or else by transformers.

    On a probe in float32, the decoder must give the hidden states that transformers gives.
    """
    decoder = find_decoder(network)
    if decoder is None or _difference(network, decoder) > HIDDEN_TOLERANCE:
        return TransformersTrunk(network, dtype)
    return DecoderTrunk(decoder, dtype)


def probe_tokens(network: PreTrainedModel) -> tuple[int, ...]:
    """Some tokens of a network's vocabulary, always the same."""
    rows = min(len(head_weight(network)), 1000)
    return tuple((7919 * i + 11) % rows for i in range(PROBE_TOKENS))


def probe_tree(probe: tuple[int, ...], device: torch.device) -> Tree:
    """A prompt with two completions, the second of which makes `probe` of it."""
    half = len(probe) // 2
    return grow_tree([Branch(prompt=probe[:half], completions=[probe[half:][::-1], probe[half:]])], device)


@torch.no_grad()
def _difference(network: PreTrainedModel, decoder: Decoder) -> float:
    """The largest difference from transformers' hidden states, relative to the largest of these."""
    tree = probe_tree(probe_tokens(network), network.device)
    trunks = (DecoderTrunk(decoder, network.dtype), TransformersTrunk(network, network.dtype))
    ours, theirs = (
        trunk.hidden_states(tree.token_ids, tree.position_ids, TreeAttention(tree)).float() for trunk in trunks
    )
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1.0))
