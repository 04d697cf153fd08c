from __future__ import annotations

from pathlib import Path

import decoding
import where_time_goes
from measuring import GIB

from verifine.rollout.native.model_runner import OwnWeightsRunner
from verifine.testing import load_tiny_model


def test_decoding_writes_what_it_is_asked(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    runner = OwnWeightsRunner(model)
    asked = decoding.Asked(groups=2, samples=3, prompt_tokens=5, new_tokens=4)
    written = decoding.write(model, runner, asked)
    assert written.asked.rows == 6
    assert written.cache_gib * GIB <= model.token_bytes * (2 * 5 + 6 * 9)
    spent = decoding.profile_steps(model, runner, asked)
    assert {"products", where_time_goes.PYTHON} <= {each.kind for each in spent}
    products = next(each for each in spent if each.kind == "products")
    assert products.calls is not None
    assert products.calls % (asked.new_tokens - 1) == 0, "the same in every step"
    assert "2 x 3" in decoding.describe([written], "float32")
    assert "2 x 3, ms" in decoding.describe_profiles([(asked, spent)])
