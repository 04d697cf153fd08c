"""Runs the decoders that `decoder` knows: few operations around each matrix product, and few activations kept."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from verifine.models.network.attention import Attention
from verifine.models.network.decoder import Decoder, find_decoder
from verifine.models.network.decoder_layer import Angles, LayerProducts, PackedLayer, run_layer
from verifine.models.network.projection import can_pack
from verifine.models.network.tree import Branch, grow_tree
from verifine.models.network.tree_attention import TreeAttention
from verifine.models.network.trunk import TransformersTrunk, Trunk

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
            for projection in layer.projections:
                projection.refresh()
        hidden: Tensor = self._decoder.embedding(token_ids)
        angles = _angles(self._decoder, hidden, position_ids)
        for layer in self._layers:
            if recompute:
                # Layers use no random numbers, so the generator's state need not be saved.
                hidden = checkpoint(
                    run_layer, layer, hidden, angles, attention, use_reentrant=False, preserve_rng_state=False
                )
            else:
                hidden = run_layer(layer, hidden, angles, attention)
        normalised: Tensor = self._decoder.norm(hidden)
        return normalised

    def for_inference(self) -> DecoderTrunk | PackedTrunk:
        packs = can_pack(self.network.device, self.compute_dtype)
        return PackedTrunk(self._decoder, self.compute_dtype) if packs else self


class PackedTrunk:
    """A decoder for inference alone, by packed copies of its weights; see `PackedProjection`."""

    def __init__(self, decoder: Decoder, dtype: torch.dtype) -> None:
        self.compute_dtype = dtype
        self._decoder = decoder
        self._layers = [PackedLayer(layer, dtype) for layer in decoder.layers]

    @property
    def network(self) -> PreTrainedModel:
        return self._decoder.network

    @property
    def resident_bytes(self) -> int:
        """What the copies take."""
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
        for layer in self._layers:
            for projection in layer.projections:
                projection.refresh()
        hidden: Tensor = self._decoder.embedding(token_ids)
        angles = _angles(self._decoder, hidden, position_ids)
        for layer in self._layers:
            hidden = layer.run(hidden, angles, attention)
        normalised: Tensor = self._decoder.norm(hidden)
        return normalised

    def for_inference(self) -> PackedTrunk:
        return self


def _angles(decoder: Decoder, hidden: Float[Tensor, "T H"], position_ids: Int[Tensor, " T"]) -> Angles:
    cos, sin = decoder.rotary(hidden[None], position_ids[None])
    half = cos.shape[-1] // 2
    return Angles(cos=cos[0, :, None, :half], sin=sin[0, :, None, :half])


def make_trunk(network: PreTrainedModel, dtype: torch.dtype) -> Trunk:
    """Runs `network` with matrix products in `dtype`: as a decoder that Verifine knows, or else by transformers.

    On a probe in float32, the decoder must give the hidden states that transformers gives.
    """
    decoder = find_decoder(network)
    if decoder is None or _difference(network, decoder) > HIDDEN_TOLERANCE:
        return TransformersTrunk(network, dtype)
    return DecoderTrunk(decoder, dtype)


@torch.no_grad()
def _difference(network: PreTrainedModel, decoder: Decoder) -> float:
    """The largest difference from transformers' hidden states, relative to the largest of these."""
    rows = network.get_input_embeddings().weight.shape[0]
    probe = tuple((7919 * i + 11) % min(rows, 1000) for i in range(PROBE_TOKENS))
    half = PROBE_TOKENS // 2
    tree = grow_tree([Branch(prompt=probe[:half], completions=[probe[half:][::-1], probe[half:]])], network.device)
    trunks = (DecoderTrunk(decoder, network.dtype), TransformersTrunk(network, network.dtype))
    ours, theirs = (
        trunk.hidden_states(tree.token_ids, tree.position_ids, TreeAttention(tree)).float() for trunk in trunks
    )
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1.0))
