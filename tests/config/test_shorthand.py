"""Short forms of sections in Python."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from verifine.config import RunConfig, build_config


def test_python_takes_the_short_forms_of_yaml() -> None:
    config = RunConfig.model_validate({"data": {"task": "add"}, "algorithm": "dapo", "model": "tiny", "run": None})
    assert (config.algorithm.name, config.model.name) == ("dapo", "tiny")
    assert config == build_config({"data": {"task": "add"}, "algorithm": "dapo", "model": "tiny", "run": None})
    assert RunConfig.model_validate(config) is config
    for values in ({"data": "add"}, {"data": {"task": "add"}, "run": "runs/a"}, {"data": {"task": "add"}, "model": 7}):
        with pytest.raises(ValidationError):
            RunConfig.model_validate(values)
