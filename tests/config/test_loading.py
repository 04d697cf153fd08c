from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.config import RunConfig, build_config, dump_changed_settings, dump_config, load_config
from verifine.errors import ConfigError


@pytest.fixture
def write(tmp_path: Path) -> WriteYaml:
    return WriteYaml(tmp_path / "run.yaml")


class WriteYaml:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, text: str) -> Path:
        self.path.write_text(text, encoding="utf-8")
        return self.path


def printable(**options: int) -> st.SearchStrategy[str]:
    """What a YAML text may hold: no control characters and no half of a surrogate pair."""
    return st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co")), **options)


def override(*overrides: str) -> RunConfig:
    return load_config(None, ["data.task=add", *overrides])


def test_values_of_a_file_reach_the_config(write: WriteYaml) -> None:
    config = load_config(write("data: {train: problems.jsonl}\ngrader: {type: answer}\nrun:\n  steps: 7\n"))
    assert config.data.train == Path("problems.jsonl")
    assert config.run.steps == 7


def test_a_name_stands_for_the_section_that_has_only_a_name(write: WriteYaml) -> None:
    config = load_config(write("data: {task: add}\nalgorithm: dapo\nmodel: some-model\n"))
    assert (config.algorithm.name, config.model.name) == ("dapo", "some-model")


def test_a_section_whose_lines_are_all_commented_out_keeps_its_defaults(write: WriteYaml) -> None:
    assert load_config(write("data: {task: add}\nrun:\n  # steps: 3\n")) == build_config({"data": {"task": "add"}})


@pytest.mark.parametrize("written", ["1e-5", "1E-5", "1.0e-5", "0.00001"])
def test_a_rate_with_an_exponent_is_a_number(write: WriteYaml, written: str) -> None:
    from_file = load_config(write(f"data: {{task: add}}\noptim:\n  learning_rate: {written}\n"))
    assert from_file.optim.learning_rate == 1e-5
    assert override(f"optim.learning_rate={written}").optim.learning_rate == 1e-5


@pytest.mark.parametrize("written", ["no", "on", "2024-01-31", "1:30", "0x1F"])
def test_text_that_yaml_1_1_would_misread_stays_text(write: WriteYaml, written: str) -> None:
    config = load_config(write(f"data: {{train: a}}\ngrader: {{type: answer, reference: {written}}}\n"))
    assert config.grader is not None
    assert config.grader.model_dump()["reference"] == written


def test_the_last_override_wins_and_the_file_gives_the_rest(write: WriteYaml) -> None:
    path = write("data: {task: add}\nalgorithm: {name: grpo, clip_high: 0.2}\n")
    config = load_config(path, ["algorithm.clip_high=0.3", "algorithm.clip_high=0.28", "algorithm.beta=0.1"])
    assert (config.algorithm.clip_high, config.algorithm.beta) == (0.28, 0.1)


def test_an_override_of_the_algorithm_by_name_keeps_its_other_settings(write: WriteYaml) -> None:
    config = load_config(write("data: {task: add}\nalgorithm: {clip_high: 0.2}\n"), ["algorithm=dapo"])
    assert (config.algorithm.name, config.algorithm.clip_high) == ("dapo", 0.2)


def test_an_override_reaches_into_shorthand(write: WriteYaml) -> None:
    config = load_config(write("data: {task: add}\nalgorithm: gspo\n"), ["algorithm.beta=0.5"])
    assert (config.algorithm.name, config.algorithm.beta) == ("gspo", 0.5)


def test_an_override_may_be_a_list_null_or_a_section() -> None:
    config = override('sampling.stop=["</answer>"]', "run.steps=", "run.minutes=2", "optim={warmup_steps: 3}")
    assert config.sampling.stop == ("</answer>",)
    assert config.run.steps is None
    assert config.optim.warmup_steps == 3


@given(rate=st.floats(min_value=1e-300, max_value=1e300))
def test_any_number_survives_an_override(rate: float) -> None:
    assert override(f"optim.learning_rate={rate!r}").optim.learning_rate == rate


@given(texts=st.lists(printable().filter(bool)))
def test_any_json_survives_an_override(texts: list[str]) -> None:
    assert override(f"sampling.stop={json.dumps(texts)}").sampling.stop == tuple(texts)


@pytest.mark.parametrize("wrong", ["steps", "=3", "run..steps=3", ".run=3"])
def test_an_override_without_key_or_value_says_how_to_write_one(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"write key\.path=value"):
        override(wrong)


def test_an_override_that_is_not_yaml_is_named() -> None:
    with pytest.raises(ConfigError, match=r"override sampling\.stop=\[a: .*put quotes around it"):
        override("sampling.stop=[a")


def test_an_override_inside_a_plain_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="`learning_rate` is 3, so nothing can be set inside it"):
        override("optim.learning_rate=3", "optim.learning_rate.value=3")


texts = st.text(st.characters(exclude_categories=["Cs"]))
configs = st.builds(
    lambda stop, reference, rate, steps, directory: build_config(
        {
            "data": {"train": "some folder/problems.jsonl"},
            "grader": {"type": "answer", "reference": reference},
            "sampling": {"stop": stop},
            "optim": {"learning_rate": rate},
            "run": {"steps": steps, "minutes": 1.5, "directory": directory},
        }
    ),
    stop=st.lists(texts.filter(bool)),
    reference=texts
    | st.sampled_from(["1e-5", "no", "null", "~", "2024-01-01", "0o7", "=", "<<", " a", "a \n b\n", "🙂", "\r\n", ""]),
    rate=st.floats(min_value=1e-12, max_value=1.0) | st.just("auto"),
    steps=st.none() | st.integers(1, 10**6),
    directory=st.none() | st.sampled_from(["runs/a b", "no", "1e5"]),
)


@given(config=configs)
def test_a_dumped_config_loads_back_equal(tmp_path_factory: pytest.TempPathFactory, config: RunConfig) -> None:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_bytes(dump_config(config).encode())
    assert load_config(path) == config


def test_a_dumped_config_has_the_order_of_the_schema_and_keeps_source_readable() -> None:
    source = "def grade(sample, item):\n    return 1.0\n"
    text = dump_config(build_config({"grader": {"type": "python", "source": source}, "data": {"train": "a.jsonl"}}))
    sections = [line.removesuffix(":") for line in text.splitlines() if line.endswith(":") and line[0] != " "]
    assert sections == [
        "model", "data", "grader", "grading", "algorithm", "reward", "sampling", "engine", "optim", "evaluation", "run",
    ]  # fmt: skip
    assert "source: |\n    def grade(sample, item):\n        return 1.0\n" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {task: add}\nrun: [1\n", r"run\.yaml:3: this is not YAML"),
        ("data:\n\ttask: add\n", r"run\.yaml:2: this is not YAML: .* Indent with spaces, not tabs"),
        ("data: {task: add}\ngrader: a: b\n", r"run\.yaml:2: .*quotes"),
        ("- data\n", r"run\.yaml: a configuration is a list of `key: value` lines"),
        ("data: \x00\n", r"run\.yaml: this is not YAML: .*Save it as plain UTF-8 text"),
        (
            "data: {task: add}\nrun:\n  steps: 3\n  steps: 4\n",
            r"run\.yaml:4: `run\.steps` is given twice, first in line 3",
        ),
        ("data: !!python/none x\n", r"run\.yaml:1: this is not YAML: could not determine a constructor"),
    ],
)
def test_a_text_that_is_no_configuration_is_refused_with_its_line(write: WriteYaml, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(write(text))


def test_an_alias_that_holds_itself_does_not_hang(write: WriteYaml) -> None:
    with pytest.raises(ConfigError, match=r"run\.yaml:1: .*`data\.more` is unknown"):
        load_config(write("data: &data {task: add, more: *data}\n"))


def test_a_missing_file_a_folder_and_a_binary_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"data: \xff")
    with pytest.raises(ConfigError, match="there is no such file"):
        load_config(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match=r"this is a folder; give a YAML file, such as .*config\.yaml"):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match=r"this is not UTF-8 text \(byte 6\)"):
        load_config(tmp_path / "binary.yaml")


def test_changed_settings_alone_load_back_to_an_equal_configuration(tmp_path: Path) -> None:
    config = build_config(
        {"data": {"train": "a.jsonl"}, "grader": {"type": "answer", "compare": "number"}, "run": {"steps": 3}}
    )
    text = dump_changed_settings(config)
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_config(path) == config
    assert "auto" not in text
    assert "null" not in text
