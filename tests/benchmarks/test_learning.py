"""Learning by the minute: what is measured when, by a clock that counts what it is asked, and what is made of it."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import learning
import pytest
from learning_config import quickstart_config, settings_of, this_machine
from learning_curve import Clock, HeldOut, LearningCurve, Moment, Recorder, Setup, Side, TrainingStep, mean_curve
from learning_figure import draw_learning
from learning_task import open_task
from learning_verifine import learn, train
from matplotlib.image import imread

from verifine.config import build_config
from verifine.graders import Grader
from verifine.insights.charts import to_png
from verifine.launch.quickstart import quickstart_settings
from verifine.models.fingerprint import take_fingerprint
from verifine.testing.trainers import right_when_even, scripted_trainer
from verifine.training.schedule import Schedule
from verifine.types import Grade, Sample

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SETUP = Setup(task="largest", model="tiny", problems=8, marks=(30.0, 60.0), trl_micro_batch=32)


def ticking() -> Clock:
    """Ten seconds pass from each look at it to the next."""
    return Clock(itertools.count(0.0, 10.0).__next__)


def curve(side: Side = "verifine", seed: int = 0, accuracies: Sequence[float] = (0.25, 0.5, 0.75)) -> LearningCurve:
    """Steps end at 20, 40, 60 and 80 seconds; the marks 30 and 60 are measured at 40 and at 60."""
    start, first, second = accuracies
    return LearningCurve(
        side=side,
        seed=seed,
        setup=SETUP,
        settings=settings_of(SETUP, seed),
        machine=this_machine(),
        precision="float32",
        ready_s=10.0,
        steps=[TrainingStep(seconds=20.0 * count, reward=0.1 * count) for count in range(1, 5)],
        held_out=[
            HeldOut(seconds=0.0, steps=0, accuracy=start),
            HeldOut(seconds=40.0, steps=2, accuracy=first),
            HeldOut(seconds=60.0, steps=3, accuracy=second),
        ],
    )


def test_clock_counts_the_age_of_the_process_and_stands_still_while_it_is_stopped() -> None:
    looks = iter([100.0, 103.0, 103.0, 150.0, 151.0])
    clock = Clock(looks.__next__, age_s=7.0)
    assert clock.seconds() == 10.0
    with clock.stopped():
        pass
    assert clock.seconds() == 11.0


def test_recorder_measures_at_the_first_end_of_a_step_after_each_mark_off_the_clock() -> None:
    looks = iter([0.0, *(0.0, 500.0), 512.0, 520.0, 535.0, *(535.0, 635.0), 740.0, *(740.0, 741.0)])
    recorder = Recorder(Clock(looks.__next__), (30.0, 60.0, 100.0), iter([0.2, 0.4, 0.6]).__next__)
    recorder.begin()
    assert (recorder.ready_s, recorder.share_done) == (12.0, 0.12)
    assert [recorder.step_done(reward) for reward in (0.1, None, 0.3)] == [False, False, True]
    assert recorder.share_done == 1.4
    assert recorder.steps == [
        TrainingStep(seconds=20.0, reward=0.1),
        TrainingStep(seconds=35.0, reward=None),
        TrainingStep(seconds=140.0, reward=0.3),
    ]
    assert recorder.held_out == [
        HeldOut(seconds=0.0, steps=0, accuracy=0.2),
        HeldOut(seconds=35.0, steps=2, accuracy=0.4),
        HeldOut(seconds=140.0, steps=3, accuracy=0.6),  # of the marks 60 and 100, which one step passed
    ]


def test_newcomer_sees_the_steps_done_by_then_and_the_accuracy_of_their_weights() -> None:
    begun, early, end = curve().held_out
    assert curve().seen_at(19.0) == Moment(steps=0, reward=None, held_out=begun)
    # The weights after one step were not measured: the next measurement is told, with its time.
    assert curve().seen_at(25.0) == Moment(steps=1, reward=0.1, held_out=early)
    assert curve().seen_at(59.0).held_out == early
    assert curve().seen_at(60.0).held_out == end
    assert curve().seen_at(60.0).reward == pytest.approx(0.2)


def test_mean_curve_averages_times_and_accuracies_of_each_mark_once() -> None:
    later = replace(
        curve(),
        ready_s=20.0,
        held_out=[HeldOut(seconds=0.0, steps=0, accuracy=0.75), HeldOut(seconds=100.0, steps=1, accuracy=1.0)],
    )
    assert mean_curve([curve(), later]) == [(15.0, 0.5), (70.0, 0.75), (80.0, 0.875)]
    assert mean_curve([later]) == [(20.0, 0.75), (100.0, 1.0)]


def test_both_sides_learn_with_the_settings_of_the_quickstart() -> None:
    config = quickstart_config(SETUP, seed=3)
    wanted = build_config(quickstart_settings("largest", "tiny", 1.0))
    assert (config.data.eval_size, config.run.seed) == (8, 3)
    for section in ("model", "algorithm", "reward", "sampling", "optim", "evaluation", "engine"):
        assert getattr(config, section) == getattr(wanted, section), section


def test_rate_follows_the_schedule_by_the_clock() -> None:
    trainer, _, learner = scripted_trainer(right_when_even)
    recorder = Recorder(ticking(), SETUP.marks, lambda: 0.5)
    train(trainer, recorder, Schedule(final_share=0.0))
    assert (recorder.ready_s, [step.seconds for step in recorder.steps]) == (20.0, [30.0, 50.0, 60.0])
    assert learner.rate_factors == pytest.approx([2 / 3, 1 / 2, 1 / 6])
    assert [step.reward for step in recorder.steps] == [0.5, 0.5, 0.5]


def test_verifine_side_steps_until_the_last_mark() -> None:
    recorder, precision = learn(SETUP, 0, ticking())
    assert precision in ("float32", "bfloat16")
    assert [step.seconds for step in recorder.steps] == [30.0, 50.0, 60.0]
    assert [(each.seconds, each.steps) for each in recorder.held_out] == [(0.0, 0), (30.0, 1), (60.0, 3)]
    assert all(step.reward is not None for step in recorder.steps)


@dataclass
class NotingGrader:
    """Grades as another grader, and notes which questions it is asked."""

    grader: Grader
    samples: list[Sample]

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        self.samples += samples
        return [replace(grade, score=float(index % 2)) for index, grade in enumerate(self.grader.grade(samples))]

    def close(self) -> None: ...


@pytest.mark.slow
@pytest.mark.skipif(find_spec("trl") is None, reason="TRL is not installed")
@pytest.mark.filterwarnings("ignore")  # those of TRL
def test_trl_side_learns_from_the_same_prompts_and_its_weights_are_asked(tmp_path: Path) -> None:
    from learning_trl import make_trainer

    with open_task(SETUP, 0) as task:
        noting = NotingGrader(task.grader, [])
        trainer, recorder = make_trainer(replace(task, grader=noting), SETUP, ticking(), tmp_path)
        begun = task.eval_set.engine.fingerprint()
        trainer.train()
        asked = task.eval_set.engine.fingerprint()
        assert asked == take_fingerprint(trainer.model.state_dict())
        assert asked != begun
    assert [(each.seconds, each.steps) for each in recorder.held_out] == [(0.0, 0), (30.0, 1), (60.0, 3)]
    assert [step.reward for step in recorder.steps] == [0.5, 0.5, 0.5]
    sampling = task.config.sampling
    prompts = task.prompts[: 3 * sampling.prompts_per_step]
    drawn = [prompt.item["question"] for prompt in prompts for _ in range(sampling.group_size)]
    assert [sample.item["question"] for sample in noting.samples] == drawn
    assert max(len(sample.output_text) for sample in noting.samples) <= task.config.sampling.max_new_tokens


def test_result_of_a_child_is_kept_and_not_measured_again(tmp_path: Path) -> None:
    asked: list[tuple[str, Sequence[str]]] = []

    def child(script: str, words: Sequence[str]) -> Any:
        asked.append((script, words))
        return json.loads(json.dumps(asdict(curve("trl", seed=2))))

    first = learning.learn("trl", 2, SETUP, tmp_path, child)
    assert first == curve("trl", seed=2)
    assert learning.learn("trl", 2, SETUP, tmp_path, child) == first
    [(script, words)] = asked
    assert script == "learning_side.py"
    assert dict(zip(words[:12:2], words[1:12:2], strict=True)) == {
        "--side": "trl",
        "--seed": "2",
        "--task": "largest",
        "--model": "tiny",
        "--problems": "8",
        "--micro-batch": "32",
    }
    assert words[12:-1] == ["--marks", "30.0", "60.0", "--began"]


@pytest.mark.parametrize("other", [{"setup": replace(SETUP, problems=9)}, {"settings": ""}, {"machine": "another"}])
def test_kept_result_of_other_settings_is_refused_by_its_name(tmp_path: Path, other: dict[str, Any]) -> None:
    path = tmp_path / "verifine-0.json"
    path.write_text(json.dumps(asdict(replace(curve(), **other))), encoding="utf-8")
    with pytest.raises(SystemExit, match=str(path)):
        learning.read_kept(path, 0, SETUP)


def test_more_problems_than_are_left_to_learn_from_are_refused() -> None:
    learning.refuse_too_many_problems(replace(SETUP, task="subtract", problems=100))
    with pytest.raises(SystemExit, match="--problems 115"):
        learning.refuse_too_many_problems(replace(SETUP, task="subtract", problems=200))


def test_tables_have_a_line_for_each_run_and_for_each_moment_of_a_side() -> None:
    curves = [curve(), curve(seed=1, accuracies=(0.25, 0.5, 1.0)), curve("trl", accuracies=(0.25, 0.25, 0.375))]
    runs = learning.describe_runs(curves).splitlines()
    assert len(runs) == 5
    # 6 of 8 right: Wilson's interval, from 8 problems.
    assert [cell.strip() for cell in runs[2].split("|")[1:-1]] == [
        *("Verifine", "0", "float32", "10", "4", "20", "0.25", "0.75", "0.41 to 0.93", "60")
    ]
    moments = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in learning.describe_moments(curves).splitlines()
    ]
    assert moments[2:] == [
        ["30", "Verifine", "1", "0.1", "0.5", "40"],
        ["30", "TRL", "1", "0.1", "0.25", "40"],
        ["60", "Verifine", "3", "0.2", "0.875", "60"],
        ["60", "TRL", "3", "0.2", "0.375", "60"],
    ]


def test_figure_names_the_lines_at_their_ends_and_not_over_each_other() -> None:
    curves = [curve(), curve(seed=1), curve("trl", accuracies=(0.25, 0.5, 0.7))]
    figure = draw_learning(curves)
    axes: Any = figure.axes[0]
    bold = [line for line in axes.lines if line.get_linewidth() > 2]
    assert len(axes.lines) == len(bold) + 2  # a faint line for each of two seeds, and none beside the single one
    assert [list(line.get_xdata()) for line in bold] == [[0.0, 10 / 60, 40 / 60, 1.0]] * 2
    assert list(bold[0].get_ydata()) == [0.25, 0.25, 0.5, 0.75]
    assert [text.get_text() for text in axes.texts[1::2]] == ["after 4 steps", "after 4 steps"]
    names = {text.get_text(): text.xy[1] for text in axes.texts[::2]}
    assert names.keys() == {"Verifine  0.75", "TRL  0.70"}
    assert names["TRL  0.70"] == 0.7
    assert names["Verifine  0.75"] - names["TRL  0.70"] >= 0.15
    assert imread(io.BytesIO(to_png(figure))).shape[1] == 1840


@pytest.mark.slow
def test_learning_runs_from_end_to_end_and_keeps_what_it_has(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "learning.py"), "--quick", "--skip-trl", "--seeds", "0", "--json", "-"]
    begun, again = (subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True) for _ in "12")
    assert again.stdout == begun.stdout
    [row] = json.loads(begun.stdout)
    assert row["held_out"][0]["steps"] == 0
    assert row["held_out"][-1]["steps"] == len(row["steps"]) >= 1
    assert (tmp_path / "learning" / "learning.png").is_file()
