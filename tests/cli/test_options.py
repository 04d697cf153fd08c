from __future__ import annotations

from pathlib import Path

import pytest

from verifine.cli.options import UNSAFE_NOTE, load_run, reward_options, warn_of
from verifine.config import REWARD_TYPES, RunConfig
from verifine.errors import ConfigError

FILE = "data: {train: a.jsonl, system_prompt: mine}\ngrader: {type: answer}\nsampling: {stop: ['</answer>']}\n"


def resolved(tmp_path: Path, **options: str | None) -> RunConfig:
    path = tmp_path / "run.yaml"
    path.write_text(FILE)
    chosen = {"grader": None, "reward_type": None, "system_prompt": None, **options}
    return load_run([str(path)], {"data.train": None, **reward_options(**chosen)})


@pytest.mark.parametrize("name", REWARD_TYPES)
def test_a_reward_type_brings_its_grader_prompt_and_stops_in_place_of_the_files(name: str, tmp_path: Path) -> None:
    config, wanted = resolved(tmp_path, reward_type=name), REWARD_TYPES[name]
    assert config.grader == wanted.grader
    assert config.data.system_prompt == wanted.system_prompt
    assert config.sampling.stop == wanted.stop


def test_a_system_prompt_of_ones_own_goes_before_that_of_the_reward_type(tmp_path: Path) -> None:
    config = resolved(tmp_path, reward_type="boxed", system_prompt="be brief")
    assert config.data.system_prompt == "be brief"


def test_without_these_options_the_file_stands(tmp_path: Path) -> None:
    config = resolved(tmp_path)
    assert config.data.system_prompt == "mine"
    assert config.sampling.stop == ("</answer>",)


def test_a_reward_type_and_a_grader_are_refused_together() -> None:
    with pytest.raises(ConfigError, match="--reward-type .*--grader"):
        reward_options("answer_exact", "boxed", None)


def test_an_unknown_reward_type_is_shown_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r'"boxd" is unknown \(did you mean "boxed"\?\)'):
        reward_options(None, "boxd", None)


def test_code_that_will_not_be_held_is_warned_of_beside_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    warn_of(False)
    assert capsys.readouterr() == ("", "")
    warn_of(True)
    assert capsys.readouterr() == ("", UNSAFE_NOTE + "\n")
