"""Words of the command line that are written as lines of YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifine.config import load_config
from verifine.errors import ConfigError


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("data.columns: {prompt: question}", "data.columns='{prompt: question}'"),
        ("data.columns: {prompt: a=b}", "data.columns='{prompt: a=b}'"),
        ("model: tiny", "model=tiny"),
        ("data.columns:", "data.columns=VALUE, with quotes around what has spaces"),
    ],
)
def test_a_line_of_yaml_on_the_command_line_is_shown_as_an_override(word: str, advice: str) -> None:
    for path, overrides in ((Path(word), ()), (None, (word,))):
        with pytest.raises(ConfigError) as caught:
            load_config(path, overrides)
        assert str(caught.value).endswith(f"a value is set with an equals sign: {advice}")


def test_other_words_are_not_taken_for_lines_of_yaml() -> None:
    with pytest.raises(ConfigError, match="there is no such file; give the path of a YAML configuration"):
        load_config(Path("C:\\run.yaml"))
    with pytest.raises(ConfigError, match=r"write key\.path=value"):
        load_config(None, ["data.task=add", "hf://owner/name"])
