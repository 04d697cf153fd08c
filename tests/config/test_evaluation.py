from __future__ import annotations

import pytest

from verifine.config import RunConfig, build_config, dump_config
from verifine.config.document import parse_document
from verifine.config.graders import TextSimilarityGraderConfig
from verifine.errors import ConfigError
from verifine.graders import load_grader_config


def config(evaluation: dict[str, object], data: dict[str, object] | None = None, **run: object) -> RunConfig:
    return build_config({"data": {"task": "add", **(data or {})}, "evaluation": evaluation, "run": run})


def test_one_greedy_answer_by_the_training_grader_is_the_default() -> None:
    section = build_config({"data": {"task": "add"}}).evaluation
    assert (section.samples, section.temperature, section.grader, section.patience, section.keep) == (
        1, None, None, None, "last",
    )  # fmt: skip


def test_everything_can_be_said_and_is_written_down() -> None:
    grader = {"type": "string_check", "input": "{{ sample.output_text }}", "reference": "4", "operation": "eq"}
    wanted = config(
        {"samples": 8, "temperature": 0.7, "grader": grader, "pass_score": 0.5, "patience": 3, "keep": "best"},
        eval_interval=10,
    )
    assert wanted.evaluation.grader is not None
    assert wanted.evaluation.grader.type == "string_check"
    document = parse_document(dump_config(wanted), "x").value
    assert isinstance(document, dict)
    assert build_config(document) == wanted


@pytest.mark.parametrize(
    ("evaluation", "data", "run", "message"),
    [
        ({"samples": 0}, {}, {}, r"`evaluation\.samples` is 0, but must be at least 1"),
        (
            {"temperature": 0.7},
            {},
            {},
            r"`temperature` means nothing to one answer a prompt, which is greedy; raise samples, or remove it",
        ),
        (
            {"keep": "best"},
            {},
            {},
            r"`evaluation\.keep` best needs evaluations during training; set run\.eval_interval, for example to 10",
        ),
        ({"patience": 3}, {}, {}, r"`evaluation\.patience` needs evaluations during training; set run\.eval_interval"),
        (
            {"patience": 3},
            {"eval_size": 0},
            {"eval_interval": 5},
            r"`evaluation\.patience` needs held-out prompts, but data\.eval_size is 0",
        ),
        (
            {"keep": "best"},
            {},
            {"eval_interval": 5, "keep_best": 0},
            r"`evaluation\.keep` best needs a checkpoint of the best; set run\.keep_best to 1 or more",
        ),
        (
            {"keep": "bets"},
            {},
            {},
            r"`evaluation\.keep` is 'bets', but must be 'last' or 'best'; did you mean 'best'\?",
        ),
        ({"grader": {"type": "answr"}}, {}, {}, r"`evaluation\.grader\.type` is 'answr'.*did you mean 'answer'\?"),
        ({"grader": {"type": "label_model"}}, {}, {}, r"evaluation\.grader"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_hint(
    evaluation: dict[str, object], data: dict[str, object], run: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        config(evaluation, data, **run)


def test_a_graders_own_threshold_says_what_passes(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("graders")
    likeness = (
        '{"type": "text_similarity", "input": "{{ sample.output_text }}", "reference": "x", '
        '"evaluation_metric": "bleu"%s}'
    )
    (folder / "with.json").write_text(likeness % ', "pass_threshold": 0.6')
    (folder / "without.json").write_text(likeness % "")
    assert load_grader_config(str(folder / "with.json")).traits.passing_score == 0.6
    assert load_grader_config(str(folder / "without.json")).traits.passing_score is None
    assert load_grader_config("answer_number").traits.passing_score is None


def test_the_score_that_passes_is_one_of_the_grader_that_decides() -> None:
    similar = TextSimilarityGraderConfig(
        type="text_similarity", input="x", reference="y", evaluation_metric="bleu", pass_threshold=0.6
    )
    alone, with_second = config({"pass_score": 0.5}), config({"pass_score": 5, "grader": {"type": "answer"}})
    assert alone.evaluation.passing_in_training(similar) == 0.5
    assert with_second.evaluation.passing(similar) == 5
    assert with_second.evaluation.passing_in_training(similar) == 0.6
    assert with_second.evaluation.passing_in_training(None) is None
