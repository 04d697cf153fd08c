from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.config import DataConfig, build_config, dump_config, load_config
from verifine.config.dataset import HubDataset, parse_location
from verifine.errors import ConfigError

words = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
datasets = st.builds(
    HubDataset,
    name=st.tuples(words, words).map("/".join),
    config=st.none() | words,
    split=st.from_regex(r"[a-z_][a-z_.]{0,8}", fullmatch=True),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train.jsonl", Path("train.jsonl")),
        ("/data/hf/train.csv", Path("/data/hf/train.csv")),
        ("hf/train.csv", Path("hf/train.csv")),
        ("hf://openai/gsm8k", HubDataset(name="openai/gsm8k")),
        ("hf://openai/gsm8k/main", HubDataset(name="openai/gsm8k", config="main")),
        ("hf://openai/gsm8k?split=test", HubDataset(name="openai/gsm8k", split="test")),
        ("hf://open-r1/DAPO-Math-17k/en?split=a.b", HubDataset(name="open-r1/DAPO-Math-17k", config="en", split="a.b")),
    ],
)
def test_a_text_is_a_path_or_a_dataset_of_the_hub(text: str, expected: Path | HubDataset) -> None:
    assert parse_location(text) == expected


@pytest.mark.slow
@given(datasets)
def test_a_dataset_is_written_as_it_is_read_even_through_a_path(dataset: HubDataset) -> None:
    assert parse_location(str(dataset)) == dataset
    assert parse_location(Path(str(dataset))) == dataset
    assert parse_location(dataset) == dataset


@pytest.mark.parametrize(
    "text",
    [
        "hf://",
        "hf://gsm8k",
        "hf://openai/gsm8k/main/extra",
        "hf://openai/gsm8k?split=",
        "hf://openai/gsm8k?split=train[:10]",
        "hf://openai/gsm8k?revision=main",
        "hf://openai/../x",
        "hf://../x",
        "hf://openai/gsm 8k",
    ],
)
def test_what_names_no_dataset_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_config({"data": {"train": text}})
    message = str(caught.value)
    assert message.startswith(f"`data.train`: {text!r} names no hub dataset; write hf://OWNER/NAME")


def test_a_dumped_config_is_read_back(tmp_path: Path) -> None:
    config = build_config(
        {
            "data": {
                "train": "hf://openai/gsm8k/main",
                "eval": "held-out.csv",
                "columns": {"prompt": "question", "gt_answer": "answer"},
                "system_prompt": "Be brief.\nNo: do.",
            }
        }
    )
    text = dump_config(config)
    assert "  train: hf://openai/gsm8k/main?split=train\n  eval: held-out.csv\n" in text
    path = tmp_path / "run.yaml"
    path.write_text(text)
    assert load_config(path) == config


def test_a_dataset_can_be_given_in_an_override() -> None:
    config = load_config(None, ["data.train=hf://a/b?split=test", "data.columns={prompt: q}", "data.columns.id=n"])
    assert config.data.train == HubDataset(name="a/b", split="test")
    assert config.data.columns == {"prompt": "q", "id": "n"}


def test_a_dataset_has_a_name_for_the_run() -> None:
    assert HubDataset(name="openai/gsm8k", config="main").stem == "gsm8k"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"task": "add", "columns": {"prompt": "q"}}, "`data`: `columns` belongs to `train`; a built-in task has its"),
        ({"task": "add", "system_prompt": "x"}, "`data`: `system_prompt` belongs to `train`; a built-in task has its"),
        ({"train": "a.csv", "columns": {"prompt": ""}}, "`data`: `columns` has an empty name; write our field: their"),
        ({"train": "a.csv", "columns": {"item": "x"}}, "`data`: `columns` cannot make a field item"),
        (
            {"train": "a.csv", "columns": {"prompt": "x", "messages": "y"}},
            "`data`: `columns` fills both messages and prompt",
        ),
        ({"train": "a.csv", "columns": {"prompt": 1}}, "`data.columns.prompt` is 1, but must be text, so put quotes"),
        ({"train": "a.csv", "columns": "question"}, "`data.columns` is 'question', but must be "),
        ({"train": "a.csv", "system_prompt": " "}, "`data`: `system_prompt` is empty; write one, or remove it"),
        ({"train": ["a.csv"]}, "`data.train` is ['a.csv'], but must be the path of a file."),
    ],
)
def test_what_cannot_be_meant_is_refused(data: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_config({"data": data})
    assert str(caught.value).startswith(expected)


def test_the_schema_for_programs_says_that_a_location_is_text() -> None:
    assert {"type": "string"} in DataConfig.model_json_schema()["properties"]["train"]["anyOf"]
