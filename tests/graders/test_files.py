from __future__ import annotations

import json
from pathlib import Path

import pytest

from verifine.config import build_config, dump_config
from verifine.config.graders import GRADER_PRESETS, AnswerGraderConfig, PythonGraderConfig
from verifine.errors import GraderError
from verifine.graders import load_grader_config

TYPES = (
    "'string_check', 'text_similarity', 'python', 'score_model', 'label_model', 'answer', 'math', 'code', 'number', "
    "'choice', 'format', 'json_schema', 'endpoint'"
)
"""Those that are not made of others."""


def write(folder: Path, value: object) -> str:
    path = folder / "grader.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(path)


def message(spec: str) -> str:
    with pytest.raises(GraderError) as caught:
        load_grader_config(spec)
    return str(caught.value)


def test_presets_are_found_by_name() -> None:
    for name, config in GRADER_PRESETS.items():
        assert load_grader_config(name) is config


def test_a_file_holds_a_grader(tmp_path: Path) -> None:
    spec = write(tmp_path, {"type": "answer", "compare": "number", "tolerance": 0.5})
    assert load_grader_config(spec) == AnswerGraderConfig(type="answer", compare="number", tolerance=0.5)


def test_openais_python_grader_is_read_as_it_is(tmp_path: Path) -> None:
    source = "def grade(sample: dict, item: dict) -> float:\n    return 1.0\n"
    spec = write(tmp_path, {"type": "python", "source": source, "image_tag": "2025-05-08"})
    assert load_grader_config(spec) == PythonGraderConfig(type="python", source=source, image_tag="2025-05-08")


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    spec = write(tmp_path, "\ufeff" + json.dumps({"type": "answer"}))
    assert load_grader_config(spec) == AnswerGraderConfig(type="answer")


def test_what_is_neither_preset_nor_file_gets_one_message_for_both() -> None:
    told = message("answer_numbr")
    assert '(did you mean "answer_number"?)' in told
    assert "answer_exact, answer_number, boxed, code, think_answer_tags, or the path of a JSON or YAML file" in told


def test_a_folder_is_no_grader(tmp_path: Path) -> None:
    assert message(str(tmp_path)).startswith(f"{tmp_path} cannot be read (Is a directory)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"type":\n  answer}', "line 2 column 3 is not JSON: "),
        ('{"type": "answer", "type": "python"}', 'is not JSON: the key "type" stands twice in one object'),
        ("[]", "does not hold a grader"),
        ("{}", f"`type` is missing; it is one of {TYPES}, 'multi', 'weighted'"),
        ('{"type": "lambda"}', f"`type` is 'lambda', but must be one of {TYPES}, 'multi', 'weighted'"),
        ('{"type": "pyton"}', "'multi', 'weighted'; did you mean 'python'?"),
        ('{"type": "multi"}', "`graders` is missing. The graders, each under the name the formula uses."),
        (
            '{"type": "multi", "graders": {"a": {"type": "answer"}}, "calculate_output": "a + b"}',
            "`calculate_output` reads b, but the graders are a",
        ),
        ('{"type": "math", "timeout_s": 0}', "`timeout_s` is 0, but must be above 0."),
        ('{"type": "code", "memory_mb": 1}', "`memory_mb` is 1, but must be at least 64."),
        ('{"type": "answer", "reference": "{{ item.x"}', "`reference`: template "),
        ('{"type": "answer", "tolerence": 1}', "`tolerence` is unknown; did you mean `tolerance`?"),
        ('{"type": "answer", "zzz": 1}', "`zzz` is unknown; the keys here are type, name, reference, compare"),
        ('{"type": "python"}', "`source` is missing. Python source that defines grade(sample, item)"),
        ('{"type": "answer", "format_weight": 2}', "`format_weight` is 2, but must be at most 1."),
        ('{"type": "format", "pattern": "("}', "`pattern` is not a regular expression: missing )"),
        (
            '{"type": "weighted", "graders": {"format": {"type": "format"}}, "weights": {"format": 1}}',
            "`graders.format`: give either `pattern` (a regular expression) or `template` (tags with ... between them)",
        ),
        (
            '{"type": "weighted", "graders": {"a": {"type": "weighted"}}, "weights": {"a": 1}}',
            f"`graders.a.type` is 'weighted', but must be one of {TYPES}",
        ),
        (
            '{"type": "weighted", "graders": {"a": {"type": "answer"}}, "weights": {"b": 1}}',
            ": `weights.a` is missing and `weights.b` is unknown; give each of a a weight, and no other",
        ),
    ],
)
def test_a_faulty_file_is_explained(tmp_path: Path, text: str, expected: str) -> None:
    spec = write(tmp_path, text)
    told = message(spec)
    assert told.startswith(spec)
    assert expected in told


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    spec = write(tmp_path, {"type": "answer", "tolerance": -1, "tagg": "x"})
    assert [line.partition(" is ")[0] for line in message(spec).splitlines()] == [
        f"{spec}: `tolerance`",
        f"{spec}: `tagg`",
    ]


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "grader.json"
    path.write_bytes(b'{"type": "\xff"}')
    assert message(str(path)) == f"{path}: byte 11 is not UTF-8; save the file as UTF-8"


YAML = "type: answer\ncompare: number  # as numbers\ntolerance: 0.5\n"
NUMBERS = AnswerGraderConfig(type="answer", compare="number", tolerance=0.5)


def write_yaml(folder: Path, text: str, name: str = "grader.yaml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.mark.parametrize("name", ["grader.yaml", "grader.yml", "GRADER.YAML"])
def test_a_yaml_file_holds_a_grader(tmp_path: Path, name: str) -> None:
    assert load_grader_config(write_yaml(tmp_path, YAML, name)) == NUMBERS
    assert load_grader_config(write_yaml(tmp_path, json.dumps({"type": "answer"}), name)) == AnswerGraderConfig(
        type="answer"
    )


def test_the_config_of_a_run_is_read_for_its_grader(tmp_path: Path) -> None:
    config = "data: {train: a.jsonl}\ngrader:\n  type: answer\n  compare: number\n  tolerance: 0.5\n"
    assert load_grader_config(write_yaml(tmp_path, config)) == NUMBERS
    saved = dump_config(build_config({"data": {"train": "a.jsonl"}, "grader": NUMBERS.model_dump(mode="json")}))
    assert load_grader_config(write_yaml(tmp_path, saved)) == NUMBERS
    assert load_grader_config(write(tmp_path, {"grader": {"type": "answer"}})) == AnswerGraderConfig(type="answer")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type: answer\ntolerance: -1\n", ":2: `tolerance` is -1, but must be at least 0."),
        ("# a run\ngrader:\n  type: answer\n  tolerence: 1\n", ":4: `tolerence` is unknown; did you mean `tolerance`?"),
        ("type: answer\ntype: python\n", ":2: `type` is given twice, first in line 1; keep one of them"),
        ("type: answer\n compare: number\n", ":2: this is not YAML: "),
        ("- type: answer\n", " does not hold a grader; begin with a line such as `type: answer`"),
        ("", " does not hold a grader"),
        ("answer\n", " does not hold a grader"),
        ("name: sig\n", ": `type` is missing"),
        ("data: {task: add}\n", " is the config of a run and names no grader"),
        ("data: {train: a.jsonl}\ngrader: null\n", " is the config of a run and names no grader"),
        ("1: 2\ntype: answer\n", ""),
    ],
)
def test_a_faulty_yaml_file_is_explained_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    spec = write_yaml(tmp_path, text)
    assert message(spec).startswith(f"{spec}{expected}")


def test_yaml_under_the_name_of_json_is_told_the_name(tmp_path: Path) -> None:
    spec = write(tmp_path, YAML)
    assert message(spec).endswith("fix the file, or let its name end in .yaml if it is YAML")
