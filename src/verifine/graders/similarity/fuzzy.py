"""RapidFuzz's weighted ratio, which compares letters."""

from __future__ import annotations

from rapidfuzz import fuzz, utils

from verifine.graders.sample_error import SampleError

MAX_AREA = 4 * 10**8
"""The largest product of the two lengths that is compared."""
MAX_WORK = 10**10
"""The same times the length of the shorter text, where it is searched for at every position of the longer one."""

_LOOKS_FOR_PARTS = 1.5
"""The ratio of lengths from which RapidFuzz does so."""


def weighted_ratio(text: str, reference: str) -> float:
    """`rapidfuzz.fuzz.WRatio` of both in lower case, with blanks for all but letters and digits, in [0, 1].

    Raises:
        SampleError: they are so long that it would take seconds, or minutes where their lengths differ.
    """
    left, right = utils.default_process(text), utils.default_process(reference)
    shorter, longer = sorted((len(left), len(right)))
    looks_for_parts = longer >= _LOOKS_FOR_PARTS * shorter
    if longer * shorter > MAX_AREA or (looks_for_parts and longer * shorter**2 > MAX_WORK):
        raise SampleError(
            f"fuzzy_match of a text of {longer} characters with one of {shorter} takes too long; take rouge_l for "
            "long texts"
        )
    return fuzz.WRatio(left, right) / 100
