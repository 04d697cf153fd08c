"""What `verifine models` says about a model. Nothing here imports torch, and no weight is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace

from verifine.config import LoraConfig, build_config
from verifine.config.memory import MemoryNeeds, ModelShape, Workload, least_bytes
from verifine.config.resolve import default_learning_rate
from verifine.models.memory.sizes import DecoderSizes
from verifine.models.provision.entry import CatalogueEntry, FactSources
from verifine.models.provision.shipped import ShippedModel
from verifine.types import Json

ESTIMATED_FOR = Workload(prompt=512, answer=512)
"""The lengths that memory is estimated for."""

ACCELERATORS = (1, 2, 4, 8)

ShapeOf = Callable[[LoraConfig | None], ModelShape]
"""The shape of a model with the adapters of a config, or without any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingMode:
    """What training all weights of a model takes, or adapters alone."""

    trainable: int
    """Weights that learn."""
    learning_rate: float
    memory: Mapping[int, int]
    """The least bytes of each accelerator, by how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """A model, for people and programs."""

    name: str
    hub_id: str | None
    """None: it is a folder, or comes with Verifine."""
    revision: str | None
    """The commit that was pulled; None: it was not, or came from elsewhere."""
    stored_bytes: int
    """What it takes on this machine; 0: it is not here."""
    model_type: str
    parameters: int
    context_length: int
    licence: str | None
    """None: nothing says."""
    gated: bool | None
    """None: the catalogue does not know the model."""
    stop_tokens: tuple[str, ...]
    thinking_switch: str | None
    lora_targets: tuple[str, ...]
    """The layers that `all-linear` adapts."""
    full: TrainingMode
    lora: TrainingMode
    has_chat_template: bool
    """Without one it cannot be trained or asked."""
    sources: FactSources | None = None
    """None: the facts were read from its own files."""
    is_shipped: bool = False
    """Whether it comes with Verifine."""

    def row(self) -> dict[str, Json]:
        """For programs."""
        return {
            **asdict(self),
            "stop_tokens": list(self.stop_tokens),
            "lora_targets": list(self.lora_targets),
            "full": _mode_row(self.full),
            "lora": _mode_row(self.lora),
        }

    def with_stored(self, size: int, revision: str | None) -> ModelSummary:
        """The same model, which takes so many bytes on this machine."""
        return replace(self, stored_bytes=size, revision=revision)


def summarize_entry(name: str, entry: CatalogueEntry) -> ModelSummary:
    """What the catalogue says about a model that is not on this machine."""
    return ModelSummary(
        name=name,
        hub_id=entry.hub_id,
        revision=None,
        stored_bytes=0,
        model_type=entry.sizes.model_type,
        parameters=entry.sizes.shape(None).parameters,
        context_length=entry.context_length,
        licence=entry.licence,
        gated=entry.gated,
        stop_tokens=entry.stop_tokens,
        thinking_switch=entry.thinking_switch,
        lora_targets=tuple(entry.sizes.linear_layers()),
        full=training_mode(entry.sizes.shape, None),
        lora=training_mode(entry.sizes.shape, LoraConfig()),
        has_chat_template=True,
        sources=entry.sources,
    )


def summarize_shipped(name: str, model: ShippedModel) -> ModelSummary:
    """What the files of a model that comes with Verifine say."""
    config = json.loads((model.folder / "config.json").read_text(encoding="utf-8"))
    tokenizer = json.loads((model.folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    sizes = DecoderSizes(**{field.name: config[field.name] for field in fields(DecoderSizes)})
    return ModelSummary(
        name=name,
        hub_id=None,
        revision=None,
        stored_bytes=sum(path.stat().st_size for path in model.folder.iterdir()),
        model_type=sizes.model_type,
        parameters=sizes.shape(None).parameters,
        context_length=config["max_position_embeddings"],
        licence=model.licence,
        gated=False,
        stop_tokens=(tokenizer["eos_token"],),
        thinking_switch=None,
        lora_targets=tuple(sizes.linear_layers()),
        full=replace(training_mode(sizes.shape, None), learning_rate=model.auto_rate),
        lora=replace(training_mode(sizes.shape, LoraConfig()), learning_rate=model.lora_rate),
        has_chat_template=True,
        is_shipped=True,
    )


def training_mode(shape_of: ShapeOf, lora: LoraConfig | None) -> TrainingMode:
    """What it takes to train a model with the default settings on accelerators, which compute in bfloat16."""
    shape = shape_of(lora)
    return TrainingMode(
        trainable=shape.trainable,
        learning_rate=default_learning_rate(shape.own_parameters, lora=lora is not None),
        memory={count: _least_memory(shape, lora, count) for count in ACCELERATORS},
    )


def _least_memory(shape: ModelShape, lora: LoraConfig | None, accelerators: int) -> int:
    adapters = None if lora is None else lora.model_dump()
    config = build_config({"data": {"task": "add"}, "model": {"lora": adapters}})
    needs = MemoryNeeds.of(
        config,
        shape,
        precision="bfloat16",
        max_new_tokens=int(ESTIMATED_FOR.answer),
        accelerators=accelerators,
    )
    return least_bytes(needs, ESTIMATED_FOR, is_main=False)


def _mode_row(mode: TrainingMode) -> dict[str, Json]:
    memory: dict[str, Json] = {str(count): size for count, size in mode.memory.items()}
    return {"trainable": mode.trainable, "learning_rate": mode.learning_rate, "memory_bytes": memory}
