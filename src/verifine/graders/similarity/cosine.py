"""The angle between the vectors of two texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from verifine.errors import GraderError
from verifine.graders.sample_error import SampleError
from verifine.graders.similarity.embedder import Embedder
from verifine.types import GradeFault


def cosine(vector: Sequence[float], reference: Sequence[float]) -> float:
    """The cosine of the angle, with 0 for anything below it.

    Raises:
        SampleError: the vectors have no angle, since their lengths differ or one has no direction.
    """
    norms = math.hypot(*vector) * math.hypot(*reference)
    if len(vector) != len(reference) or not (0 < norms < math.inf):
        reason = "the embedder gave vectors that cannot be compared: of different lengths, or all zeros"
        raise SampleError(reason, GradeFault.MODEL_SERVER)
    product = math.fsum(a * b for a, b in zip(vector, reference, strict=True))
    return min(1.0, max(0.0, product / norms))


def embed_shortest(embedder: Embedder, texts: Sequence[str]) -> tuple[Mapping[str, list[float]], str]:
    """The vectors of as many texts as the embedder takes, from the shortest on, and why it does not take more.

    So a text that is too long for the model does not affect the others. An embedder that is down gets two requests.
    """
    ordered = sorted(set(texts), key=lambda text: (len(text), text))
    vectors: dict[str, list[float]] = {}
    reason = ""
    taken, limit = 0, len(ordered)
    wanted = limit
    while taken < limit:
        try:
            vectors |= zip(ordered[taken:wanted], embedder.embed(ordered[taken:wanted]), strict=True)
            taken = wanted
        except GraderError as error:
            limit, reason = wanted - 1, str(error)
        wanted = (taken + limit + 1) // 2 if taken else 1
    return vectors, reason
