"""Whether a model fits into memory, and what has to go for it: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verifine.config.memory import BFLOAT16_BYTES, FLOAT_BYTES, PROGRAM_BYTES
from verifine.wire.api_error import ApiError, ErrorBody


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleEndpoint:
    """A loaded model that nobody asks, with its adapters."""

    name: str
    used_at: float
    freed_bytes: int
    """What is free when it is unloaded."""


def endpoint_bytes(parameters: int, cache_bytes: int) -> int:
    """The most that the process of a model takes: its weights in both types, and its keys and values."""
    return PROGRAM_BYTES + (FLOAT_BYTES + BFLOAT16_BYTES) * parameters + cache_bytes


def adapter_bytes(parameters: int, cache_bytes: int) -> int:
    """The most that an adapter takes beside its base: copies of the base's layers, and its own keys and values.

    The adapter itself is small beside them.
    """
    return BFLOAT16_BYTES * parameters + cache_bytes


def choose_unloaded(needed: int, free: int, idle: Sequence[IdleEndpoint]) -> list[str] | None:
    """The models to unload so that `needed` bytes are free, the least recently used first; None: it is not enough."""
    chosen: list[str] = []
    for each in sorted(idle, key=lambda one: one.used_at):
        if needed <= free:
            break
        chosen.append(each.name)
        free += each.freed_bytes
    return chosen if needed <= free else None


def no_memory(model: str, needed: int, free: int, retry_after_s: int) -> ApiError:
    """A model that does not fit beside what is in memory. Sizes are in bytes."""
    message = (
        f"the model {model} takes up to {needed / 1e9:.2g} GB, and {free / 1e9:.2g} GB are free; try again when a job "
        "or an answer of another model has ended"
    )
    body = ErrorBody(message=message, type="server_error", param=None, code="insufficient_memory")
    return ApiError(503, body, {"retry-after": str(retry_after_s)})
