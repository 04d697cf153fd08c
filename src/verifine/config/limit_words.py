"""Limits of a server, as they are raised on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import ValidationError

from verifine.config.graders.schema import Schema
from verifine.config.problems import find_problems
from verifine.errors import ConfigError

LimitsT = TypeVar("LimitsT", bound=Schema)


def read_limits(words: Sequence[str], limits: type[LimitsT]) -> LimitsT:
    """The limits that words such as `choices=16` raise.

    Raises:
        ConfigError: a word is no NAME=VALUE, or a limit cannot have that value.
    """
    pairs = [word.partition("=") for word in words]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise ConfigError(f"{wrong[0]}: a limit is given as NAME=VALUE")
    try:
        return limits.model_validate({name: value for name, _, value in pairs})
    except ValidationError as error:
        raise ConfigError("\n".join(problem.text for problem in find_problems(error, limits))) from error
