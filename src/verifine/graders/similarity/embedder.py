"""What turns texts into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Embedder(Protocol):
    """A model that turns texts into vectors."""

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in the order of the texts.

        Raises:
            GraderError: it did not give them all; a text may be too long for it.
        """
        ...

    def close(self) -> None:
        """Give back what it holds, such as connections."""
        ...
