"""Texts as vectors, from a server that speaks OpenAI's API."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Sequence

from verifine.config.grading import EmbedderConfig
from verifine.errors import GraderError
from verifine.graders.remote import HttpFailure, HttpReply, HttpRequest, Recent
from verifine.graders.services import Services
from verifine.types import Json

TEXTS_A_REQUEST = 64
MAX_REPLY_BYTES = 16 << 20
"""64 vectors of 8192 numbers, written out in full."""
MAX_REMEMBERED_NUMBERS = 8 << 20
"""64 MiB of them: the references of a data set, asked for again with every answer."""


class RemoteEmbedder:
    """Asks for each text once, as long as it is remembered."""

    def __init__(self, config: EmbedderConfig, services: Services) -> None:
        """GraderError if the server's address is not valid, or the environment lacks its key."""
        self._config = config
        self._lease = services.lease(config, max_reply_bytes=MAX_REPLY_BYTES)
        self._vectors: Recent[str, array[float]] = Recent(MAX_REMEMBERED_NUMBERS, size=len)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in the order of the texts, all of one length.

        Raises:
            GraderError: the server did not give them all.
        """
        vectors = {text: known for text in texts if (known := self._vectors.get(text)) is not None}
        fresh = [text for text in dict.fromkeys(texts) if text not in vectors]
        batches = [fresh[start : start + TEXTS_A_REQUEST] for start in range(0, len(fresh), TEXTS_A_REQUEST)]
        answers = self._lease.client.post_all([self._request(batch) for batch in batches])
        for batch, answer in zip(batches, answers, strict=True):
            for text, vector in zip(batch, self._read(answer, len(batch)), strict=True):
                self._vectors.put(text, vector)
                vectors[text] = vector
        if len({len(vector) for vector in vectors.values()}) > 1:
            raise self._error("it gave vectors of different lengths")
        return [vectors[text].tolist() for text in texts]

    def close(self) -> None:
        """Give the connections back."""
        self._lease.close()

    def _request(self, texts: Sequence[str]) -> HttpRequest:
        content = {"model": self._config.model, "input": texts}
        try:
            body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError as error:
            raise self._error(f"a text cannot be sent: {error}") from error
        return HttpRequest(url=f"{self._config.base_url.rstrip('/')}/embeddings", body=body)

    def _read(self, answer: HttpReply | HttpFailure, count: int) -> list[array[float]]:
        if isinstance(answer, HttpFailure):
            raise self._error(answer.message)
        data = answer.value.get("data") if isinstance(answer.value, dict) else None
        vectors: dict[int, array[float]] = {}
        for entry in data if isinstance(data, list) else []:
            index, vector = _entry(entry)
            if vector is None or index in vectors or not 0 <= index < count:
                raise self._error(
                    f"entry {index} of its answer is not a vector of finite numbers, or was not asked for"
                )
            vectors[index] = vector
        if len(vectors) < count:
            raise self._error(f"it was asked for {count} vectors, and gave {len(vectors)}")
        return [vectors[index] for index in range(count)]

    def _error(self, what: str) -> GraderError:
        return GraderError(f'the embedder "{self._config.model}" failed: {what}')


def _entry(entry: Json) -> tuple[int, array[float] | None]:
    """The index of the text, and its vector; None: not a vector."""
    index = entry.get("index") if isinstance(entry, dict) else None
    numbers = entry.get("embedding") if isinstance(entry, dict) else None
    if not isinstance(index, int) or not isinstance(numbers, list) or not numbers:
        return -1, None
    try:
        vector = array("d", [number for number in numbers if isinstance(number, int | float)])
    except OverflowError:
        return index, None
    return index, vector if len(vector) == len(numbers) and all(map(math.isfinite, vector)) else None
