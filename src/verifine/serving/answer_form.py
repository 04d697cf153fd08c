"""The form of answers while they are written."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool
from llguidance import LLMatcher
from torch import Tensor

from verifine.wire.api_error import ApiError, invalid_request

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerForm:
    """The form of all answers of a request."""

    matcher: LLMatcher
    """At the start of an answer."""
    rows: int
    """Of the vocabulary, its padding included."""
    stop_token_ids: frozenset[int]
    param: str
    """The field of the request that asks for it."""
    faults: list[str] = field(default_factory=list)
    """Why answers ended in the middle of their form. The engine's thread adds one before the token that ends it."""

    def begin(self) -> GrammarConstraint:
        """The constraint of a new answer."""
        return GrammarConstraint(self, self.matcher.deep_copy())

    def refuse_unfinished(self) -> None:
        """Raises ApiError if an answer ended in the middle of its form."""
        if self.faults:
            raise not_enforceable(self.faults[0], self.param)


class GrammarConstraint:
    """Follows one answer through a grammar. Where the grammar ends, only the end of the turn is left."""

    def __init__(self, form: AnswerForm, matcher: LLMatcher) -> None:
        self._form = form
        self._matcher = matcher

    def allowed(self) -> Bool[Tensor, " V"]:
        allowed = self._known()
        if not (self._goes_on(allowed) or self._matcher.is_accepting()):
            self._form.faults.append(short_reason(self._matcher) or "nothing can come next")
            logger.warning("an answer ended in the middle of its form: %s", self._form.faults[-1])
            allowed[list(self._form.stop_token_ids)] = True
        return torch.from_numpy(allowed)

    def has_next(self) -> bool:
        """Whether a token may follow that does not end the turn."""
        return self._goes_on(self._known())

    def _goes_on(self, allowed: npt.NDArray[np.bool_]) -> bool:
        stops = self._form.stop_token_ids
        return bool(np.count_nonzero(allowed) > sum(bool(allowed[token_id]) for token_id in stops))

    def _known(self) -> npt.NDArray[np.bool_]:
        allowed = np.zeros(self._form.rows, dtype=np.bool_)
        if not self._matcher.is_error():
            bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
            known = np.unpackbits(bits, bitorder="little", count=min(8 * len(bits), len(allowed)))
            allowed[: len(known)] = known
        return allowed

    def accept(self, token_id: int) -> None:
        self._matcher.consume_token(token_id)

    def copy(self) -> Self:
        return type(self)(self._form, self._matcher.deep_copy())


def not_enforceable(reason: str, param: str) -> ApiError:
    """`param`: the field of the request that asks for the form."""
    return invalid_request(f'"{param}" has a schema that cannot be enforced: {reason}', param=param)


def short_reason(matcher: LLMatcher) -> str:
    """Why the library has given up, on one line; empty: it has not."""
    reason = matcher.get_error().removesuffix("<non-verbose/>").partition("\n1 | ")[0]  # the grammar follows
    return " ".join(reason.split())[:300]
