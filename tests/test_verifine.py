from __future__ import annotations

import subprocess
import sys

import pytest

import verifine


def test_train_is_the_function_that_launch_has() -> None:
    from verifine import train
    from verifine.launch.session import train as function

    assert train is function
    assert verifine.train is function


def test_every_public_name_is_there() -> None:
    for name in verifine.__all__:
        assert getattr(verifine, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        verifine.nonsense  # noqa: B018


def test_importing_verifine_imports_neither_torch_nor_pydantic() -> None:
    code = "import sys, verifine; print('torch' in sys.modules, 'pydantic' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "False"]
