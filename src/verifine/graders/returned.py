"""From what a user's function returned to a grade."""

from __future__ import annotations

from numbers import Real

from verifine.types import Grade, GradeFault


def grade_from(value: object, *, name: str, seconds: float = 0.0) -> Grade:
    """The grade for a returned score, which must be a real number. Anything else is unscorable, also True and False."""
    if isinstance(value, bool) or not isinstance(value, Real):
        reason = f"grade returned {type(value).__name__}, not a number; return a float such as 1.0"
        return Grade.unscorable(reason, GradeFault.PYTHON_RUNTIME, seconds)
    try:
        score = float(value)
    except OverflowError:
        return Grade.unscorable("grade returned a number that is too large", GradeFault.PYTHON_RUNTIME, seconds)
    return Grade(score=score, parts={name: score}, seconds=seconds)
