"""Loads a model from a folder of safetensors."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from verifine.config.memory import Precision
from verifine.errors import ModelError
from verifine.models.architectures import has_experts, read_config, usable_context, windowed_layers
from verifine.models.chat.values import check_syntax, with_values
from verifine.models.loading_fault import loading_fault
from verifine.models.network.attention import IMPLEMENTATION, Heads
from verifine.models.network.compiled.kernels import find_kernels
from verifine.models.network.decoder_trunk import make_trunk, probe_tokens, probe_tree
from verifine.models.network.quantized_linear import BaseBits, count_weights
from verifine.models.network.tree import Tree
from verifine.models.network.tree_attention import TreeAttention
from verifine.models.network.trunk import TransformersTrunk, Trunk
from verifine.models.network.vocabulary import LogitTransform, Vocabulary, VocabularyHead, head_weight
from verifine.models.network_files import UNREADABLE, read_network, read_quantized_network
from verifine.models.provision.stored import ProvisionedModel
from verifine.models.threads import in_own_thread
from verifine.types import Json

Weights = Mapping[str, Tensor]
"""A policy's parameters by name, as the learner gives them to the engine."""

LOGIT_TOLERANCE = 2e-3

ADDED_TOKENS = ("added_tokens.json", "tokenizer_config.json", "special_tokens_map.json")
"""Files that name tokens which `tokenizer.json` may lack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """A model with its tokenizer and what has to be known to use it."""

    name: str
    trunk: Trunk
    """Runs the network without its vocabulary head."""
    tokenizer: PreTrainedTokenizerFast
    vocabulary: Vocabulary
    """The tokens that both the tokenizer and the network have: all that can be read, sampled and learned."""
    stop_token_ids: frozenset[int]
    """Tokens that end the model's turn."""
    context_length: int
    has_experts: bool
    """Whether each token goes through a few of many feed-forward networks, so that shapes depend on values."""
    cached_bytes_per_token: int
    """Bytes of one token's keys and values, over all layers, in float32."""

    @property
    def token_bytes(self) -> int:
        """As `cached_bytes_per_token`, in the type of the matrix products, in which the engine keeps them."""
        return self.cached_bytes_per_token * self.compute_dtype.itemsize // torch.float32.itemsize

    @property
    def device(self) -> torch.device:
        device: torch.device = self.network.device
        return device

    @property
    def network(self) -> PreTrainedModel:
        return self.trunk.network

    @property
    def compute_dtype(self) -> torch.dtype:
        """The type of matrix products; the weights are float32."""
        return self.trunk.compute_dtype

    @property
    def head(self) -> VocabularyHead:
        return VocabularyHead.of(self.network, self.vocabulary)

    @property
    def parameter_count(self) -> int:
        return count_weights(self.network)

    def with_compute_dtype(self, dtype: torch.dtype) -> LanguageModel:
        """The same weights with matrix products in another type."""
        return replace(self, trunk=make_trunk(self.network, dtype))

    def copy(self) -> LanguageModel:
        """The same model with weights of its own."""
        return replace(self, trunk=make_trunk(copy.deepcopy(self.network), self.compute_dtype))


@in_own_thread
def load_model(
    provisioned: ProvisionedModel,
    precision: Precision,
    device: torch.device | None = None,
    *,
    template_values: Mapping[str, Json] = MappingProxyType({}),
    base_bits: BaseBits | None = None,
) -> LanguageModel:
    """Loads weights in float32 and checks on a probe that Verifine computes the same logits as transformers.

    `template_values` are those of `model.chat_template_kwargs`, and `base_bits` what frozen linear layers are held in.

    Raises:
        ConfigError: the chat template never reads one of `template_values`.
        SetupError: a package that `base_bits` needs is not installed.
        ModelError: the folder cannot be loaded, lacks weights, has no chat template, a broken one, or another model's
            tokenizer, or Verifine does not support its attention.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = read_config(provisioned.folder, provisioned.name)
    if has_experts(config) and precision != "float32":
        raise ModelError(
            f"{provisioned.name} is a mixture of experts: in {precision}, a token may go to other experts when it is "
            "learned from than when it was sampled. Set model.precision to float32."
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(provisioned.folder, local_files_only=True, trust_remote_code=False)
    except UNREADABLE as error:
        raise ModelError(f"{provisioned.name} cannot be loaded: {loading_fault(provisioned.folder, error)}") from error
    if base_bits is None:
        network = read_network(provisioned, config)
    else:
        network = read_quantized_network(provisioned, config, base_bits, device)
    if tokenizer.chat_template is None:
        raise ModelError(
            f"{provisioned.name} has no chat template, so it is not a chat model. Use its instruct version, or write a "
            f"template to {provisioned.folder / 'chat_template.jinja'}."
        )
    check_syntax(tokenizer.chat_template, provisioned.name)
    vocabulary = _find_vocabulary(provisioned, network, tokenizer)
    tokenizer.chat_template = with_values(tokenizer.chat_template, template_values, provisioned.name)
    # Without dropout, so that the learner's log-probabilities are those of the distribution that was sampled.
    network = network.to(device).eval()
    cached_bytes_per_token = check_attention(network)
    if device.type == "cpu":
        find_kernels()  # which may be compiled now, and not within the first answer
    return LanguageModel(
        name=provisioned.name,
        trunk=make_trunk(network, torch.bfloat16 if precision == "bfloat16" else torch.float32),
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        stop_token_ids=_stop_token_ids(network, tokenizer, vocabulary),
        context_length=usable_context(config),
        has_experts=has_experts(config),
        cached_bytes_per_token=cached_bytes_per_token,
    )


class _MeasuringAttention(TreeAttention):
    """Counts the bytes of keys and values, and the layers with a window."""

    def __init__(self, tree: Tree) -> None:
        super().__init__(tree)
        self.bytes_per_token = 0
        self.windowed_layers = 0

    def attend(self, heads: Heads) -> Tensor:
        self.windowed_layers += heads.window is not None
        self.bytes_per_token += 4 * (heads.key.numel() + heads.value.numel()) // heads.key.shape[1]
        return super().attend(heads)


def check_attention(network: PreTrainedModel) -> int:
    """Compares logits on a packed probe with those of transformers' own forward pass.

    Returns:
        The bytes that one token's keys and values take in float32.

    Raises:
        ModelError: they differ, or the architecture cannot be run, so that another model would be trained than the one
            that is served.
    """
    if network.get_output_embeddings().bias is not None:
        raise ModelError(f"the vocabulary head of {type(network).__name__} has a bias, which Verifine does not train.")
    try:
        difference, attention = _probe(network)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{type(network).__name__} cannot be driven through transformers' attention interface "
            f"({type(error).__name__}: {error}). Use an architecture such as Llama or Qwen3."
        ) from error
    if math.isnan(difference):
        raise ModelError(
            f"{type(network).__name__} computes logits that are no numbers, so its weights hold NaN or infinity. Take "
            "an earlier checkpoint of it, or fetch it again."
        )
    if not difference <= LOGIT_TOLERANCE:
        raise ModelError(
            f"{type(network).__name__} computes logits that Verifine cannot reproduce (they differ by {difference:.3g} "
            "of the largest). Use an architecture with plain softmax attention, such as Llama or Qwen3."
        )
    expected = windowed_layers(network.config)
    if attention.windowed_layers == 0 if expected is None else attention.windowed_layers != expected:
        # The probe is shorter than any window, so it cannot tell.
        raise ModelError(
            f"{type(network).__name__} has layers with a sliding window, but does not pass it to its attention. Use an "
            "architecture that does, such as Mistral or Gemma 3."
        )
    return attention.bytes_per_token


@torch.no_grad()
def _probe(network: PreTrainedModel) -> tuple[float, _MeasuringAttention]:
    """The largest difference of the logits relative to the largest logit, and what was measured on the way."""
    probe = probe_tokens(network)
    half = len(probe) // 2
    tree = probe_tree(probe, network.device)
    attention = _MeasuringAttention(tree)
    trunk = TransformersTrunk(network, torch.float32)
    hidden = trunk.hidden_states(tree.token_ids, tree.position_ids, attention)
    head = VocabularyHead(weight=head_weight(network), transform=LogitTransform.of(network.config))
    ours = head.logits(hidden[tree.spread(tree.predecessors)[half:]]).float()
    network.set_attn_implementation("eager")
    theirs = network(input_ids=torch.tensor([probe], device=network.device)).logits[0, half - 1 : -1].float()
    network.set_attn_implementation(IMPLEMENTATION)
    difference = (ours - theirs).abs().max() / theirs.abs().max().clamp(min=1.0)
    return difference.item(), attention


@in_own_thread
def fastest_dtype(device: torch.device, clock: Callable[[], float]) -> torch.dtype:
    """The type of the fastest matrix products: measured on a CPU, bfloat16 on accelerators.

    Processors differ by a factor of two in either direction, and their instruction sets do not predict which.
    """
    if device.type != "cpu":
        return torch.bfloat16
    seconds = {dtype: _matmul_seconds(dtype, clock) for dtype in (torch.float32, torch.bfloat16)}
    # bfloat16 rounds more, so it is used only if it is clearly faster.
    return torch.bfloat16 if seconds[torch.bfloat16] < 0.8 * seconds[torch.float32] else torch.float32


def _matmul_seconds(dtype: torch.dtype, clock: Callable[[], float]) -> float:
    rows, weight = torch.ones(256, 576, dtype=dtype), torch.ones(1536, 576, dtype=dtype)
    times = []
    for _ in range(6):
        start = clock()
        torch.nn.functional.linear(rows, weight)
        times.append(clock() - start)
    return min(times)


def _stop_token_ids(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, vocabulary: Vocabulary
) -> frozenset[int]:
    configured = network.generation_config.eos_token_id if network.generation_config else None
    listed = configured if isinstance(configured, list) else [configured]
    stops = frozenset(token for token in [*listed, tokenizer.eos_token_id] if token is not None and token in vocabulary)
    if not stops:
        raise ModelError("the model names no end-of-turn token (eos_token_id), so no answer would end.")
    return stops


def _find_vocabulary(
    provisioned: ProvisionedModel, network: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> Vocabulary:
    """The tokens that the network has rows for.

    A tokenizer may have special tokens beyond these that text never contains: that of Gemma 3 1B has one for images.

    Raises:
        ModelError: a token that prompts need has no row.
    """
    rows = min(len(head_weight(network)), len(network.get_input_embeddings().weight))
    ids = _written_tokens(provisioned.folder, tokenizer)
    special = {added.content for added in tokenizer.added_tokens_decoder.values() if added.special}
    used = {tokenizer.bos_token, tokenizer.eos_token}
    lacking = [
        token
        for token, token_id in sorted(ids.items(), key=lambda item: item[1])
        if token_id >= rows and (token not in special or token in used or token in str(tokenizer.chat_template))
    ]
    if lacking:
        raise ModelError(
            f"{provisioned.name} has {rows} rows in its vocabulary, but its tokenizer has tokens beyond these, such as "
            f"{lacking[0]!r} (id {ids[lacking[0]]}). Use the model's own tokenizer, or give the model rows for these "
            "tokens (resize_token_embeddings)."
        )
    return Vocabulary.of(token_id for token_id in ids.values() if token_id < rows)


def _written_tokens(folder: Path, tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    """The tokens in the tokenizer's files, with their ids.

    transformers adds the usual special tokens of an architecture where the files have none of that name, and gives them
    the next free ids. The model knows nothing of these.
    """
    ids: dict[str, int] = tokenizer.get_vocab()
    path = folder / "tokenizer.json"
    if not path.is_file():
        return ids
    written = Tokenizer.from_file(str(path)).get_vocab(with_added_tokens=True)
    named = "".join(other.read_text(encoding="utf-8") for name in ADDED_TOKENS if (other := folder / name).is_file())
    return {token: token_id for token, token_id in ids.items() if token in written or token in named}
