from __future__ import annotations

from collections.abc import Sequence

import pytest

from verifine.graders.sandbox import find_level


@pytest.fixture(scope="module")
def held() -> Sequence[str]:
    """The words that let Python graders run, on a machine that cannot hold them too."""
    return () if find_level().level is not None else ("--unsafe-grader-exec",)
