from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from verifine.config import build_config, dump_config, load_config
from verifine.config.graders import GraderConfig, PythonGraderConfig, TextSimilarityGraderConfig, WeightedGraderConfig
from verifine.errors import GraderError
from verifine.graders import build_grader, grade_samples, load_grader_config
from verifine.graders.combined import CombinedGrader
from verifine.graders.weighted import WeightedGrader
from verifine.types import Grade, GradeFault, Sample, TokenUsage

GUIDE = Path(__file__).parents[2] / "docs" / "howto" / "combine-graders.md"

SAMPLES = [Sample(output_text=text, item={}) for text in ("a", "b")]


class Scripted:
    """Gives every answer the same grade, and remembers."""

    def __init__(self, grade: Grade) -> None:
        self._grade = grade
        self.calls: list[Sequence[Sample]] = []
        self.closed = 0

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        self.calls.append(samples)
        return [self._grade] * len(samples)

    def close(self) -> None:
        self.closed += 1


def combine(*weighted: tuple[float, Grade]) -> Grade:
    graders = {f"g{place}": Scripted(grade) for place, (_, grade) in enumerate(weighted)}
    weights = {f"g{place}": weight for place, (weight, _) in enumerate(weighted)}
    first, second = grade_samples(CombinedGrader(graders, WeightedGrader(weights).combine), SAMPLES)
    assert first == second
    return first


def test_the_score_is_the_sum_of_weight_times_score() -> None:
    grade = combine((2.0, Grade(score=0.75)), (-0.5, Grade(score=3.0)), (0.0, Grade(score=9.0)))
    assert grade == Grade(score=2 * 0.75 - 0.5 * 3, parts={"g0": 0.75, "g1": 3.0, "g2": 9.0})


def test_a_part_is_the_score_of_its_grader_not_the_parts_of_that() -> None:
    assert combine((0.5, Grade(score=1.0, parts={"format": 1.0, "answer": 1.0}))).parts == {"g0": 1.0}


@pytest.mark.parametrize(
    ("judgements", "together"),
    [((None, None), None), ((True, None), True), ((None, False), False), ((True, False), False), ((True, True), True)],
)
def test_all_graders_that_judge_must_agree(judgements: tuple[bool | None, bool | None], together: bool | None) -> None:
    first, second = judgements
    formats = combine((1, Grade(score=1.0, format_ok=first)), (0, Grade(score=1.0, format_ok=second)))
    assert (formats.format_ok, formats.answer_ok) == (together, None)
    answers = combine((1, Grade(score=1.0, answer_ok=first)), (0, Grade(score=1.0, answer_ok=second)))
    assert (answers.format_ok, answers.answer_ok) == (None, together)


def test_what_is_penalised_is_not_wanted() -> None:
    right, penalty = Grade(score=1.0, answer_ok=True), Grade(score=0.0, answer_ok=False)
    assert combine((1.0, right), (-1.0, penalty)).answer_ok is True
    assert combine((-1.0, penalty)).answer_ok is None


def test_an_answer_that_any_grader_cannot_score_is_unscorable_by_the_name_of_that_grader() -> None:
    broken = Grade.unscorable("no reference")
    assert combine((1, Grade(score=1.0)), (0.5, broken)) == Grade.unscorable("g1: no reference")
    assert combine((1, broken), (0, broken)).reason == "g0: no reference; g1: no reference"


def test_each_grader_is_asked_once_and_closed() -> None:
    graders = {"a": Scripted(Grade(score=1.0)), "b": Scripted(Grade(score=0.0))}
    weighted = CombinedGrader(graders, WeightedGrader({"a": 1.0, "b": 1.0}).combine)
    weighted.grade(SAMPLES)
    assert weighted.grade([]) == []
    weighted.close()
    assert [grader.calls for grader in graders.values()] == [[SAMPLES, []]] * 2
    assert [grader.closed for grader in graders.values()] == [1, 1]


def test_what_went_wrong_in_a_part_is_told_and_the_sum_stands() -> None:
    failed = Grade.failed("no JSON", GradeFault.SAMPLE_PARSE)
    judged = Grade(score=0.5, seconds=2.0, usage={"judge": TokenUsage(prompt=5)})
    assert combine((1, failed), (2, judged), (0, judged)) == Grade(
        score=1.0,
        reason="g0: no JSON",
        parts={"g0": 0.0, "g1": 0.5, "g2": 0.5},
        faults=frozenset({GradeFault.SAMPLE_PARSE}),
        seconds=2.0,
        usage={"judge": TokenUsage(prompt=10)},
    )


def test_a_grader_that_cannot_be_built_is_named_and_the_others_are_closed() -> None:
    before = psutil.Process().children()
    config = WeightedGraderConfig(
        type="weighted",
        graders={
            "short": PythonGraderConfig(type="python", source="def grade(sample, item):\n    return 1.0"),
            "near": TextSimilarityGraderConfig(
                type="text_similarity", input="a", reference="b", evaluation_metric="cosine"
            ),
        },
        weights={"short": 1, "near": 1},
    )
    with pytest.raises(GraderError, match=r"^graders\.near: .* cosine"):
        build_grader(config)
    assert psutil.Process().children() == before, "the sandbox goes on"


WEIGHTED = {
    "type": "weighted",
    "graders": {"right": {"type": "answer"}, "polite": {"type": "format", "pattern": ".*please.*"}},
    "weights": {"right": 1, "polite": 0.25},
}


def grade(config: GraderConfig | None, text: str, gt_answer: str) -> Grade:
    assert config is not None
    grader = build_grader(config)
    try:
        (result,) = grader.grade([Sample(output_text=text, item={"gt_answer": gt_answer})])
        return result
    finally:
        grader.close()


def test_a_weighted_grader_goes_through_yaml_overrides_and_back(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    config = build_config({"data": {"train": "a.jsonl"}, "grader": WEIGHTED})
    path.write_text(dump_config(config))
    assert load_config(path) == config
    heavier = load_config(path, ["grader.weights.polite=2"])
    assert grade(config.grader, "please <answer>7</answer>", "7").score == 1.25
    assert grade(heavier.grader, "please <answer>7</answer>", "7").score == 3


def test_a_weighted_grader_is_read_from_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "grader.json"
    path.write_text(json.dumps(WEIGHTED))
    assert load_grader_config(str(path)) == build_config({"data": {"train": "a.jsonl"}, "grader": WEIGHTED}).grader


def test_the_guides_example_scores_as_the_guide_says(tmp_path: Path) -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    path = tmp_path / "run.yaml"
    path.write_text(guide.split("```yaml\n")[1].split("```")[0])
    config = load_config(path)
    rows = [line.strip("| ").split(" | ") for line in guide.splitlines() if line.startswith("| `")]
    assert len(rows) == 3
    for answer, *cells in rows:
        result = grade(config.grader, answer.strip("`"), "56")
        assert [*result.parts.values(), result.score] == pytest.approx([float(cell) for cell in cells])


def test_a_sum_that_is_not_finite_is_unscorable() -> None:
    grade = combine((1e308, Grade(score=1.0)), (1e308, Grade(score=1.0)))
    assert grade.score is None
    assert grade.reason == "the grader gave the score inf, which is not finite"
