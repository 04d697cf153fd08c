from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from verifine.insights.report import render_report, write_report
from verifine.machine.threads import Threads
from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import EvaluatedSample, Evaluation, write_evaluation
from verifine.runs.events import EventSink, RunEnded, TrainingStarted
from verifine.runs.metrics import MetricLog, read_metrics
from verifine.runs.record import read_run
from verifine.runs.status import Status
from verifine.types import StepReport

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Collects a page's tags, attributes and text, and checks that what is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def render(directory: RunDirectory) -> Page:
    return Page(render_report(read_run(directory)))


def test_the_report_says_what_came_of_the_run(finished_run: RunDirectory) -> None:
    path = write_report(finished_run)
    assert path == finished_run.path / "report.html"
    page = Page(path.read_text(encoding="utf-8"))
    assert "Held-out answer accuracy rose from 0.28 to 0.66 (64 problems, 95 % interval 0.53 to 0.76)" in page.text
    assert "Of 64 problems, 26 got better and 2 got worse. Better: +0.38 (95 % interval 0.2" in page.text
    assert "that training never saw, answered greedily." in page.text
    assert page.tags.count("svg") == 3
    assert "Got better" in page.text
    assert "Got worse" in page.text
    assert "prompts_per_step: 8" in page.text
    assert "16.0 GiB" in page.text
    assert "Average score of the step's answers." in page.text


def test_the_report_says_who_had_how_many_threads(finished_run: RunDirectory) -> None:
    record = read_run(finished_run)
    assert record.environment is not None
    assert '<th scope="row">threads</th><td>not known</td>' in render_report(record)
    environment = replace(record.environment, core_quota=2.5, threads=Threads(compute=2, grading=2, data=1))
    html = render_report(replace(record, environment=environment))
    assert '<th scope="row">core_quota</th><td>2.5 cores</td>' in html
    assert '<th scope="row">threads</th><td>2 compute, 2 grading, 1 data</td>' in html


def test_the_report_asks_nothing_of_the_network_and_runs_nothing(finished_run: RunDirectory) -> None:
    html = render_report(read_run(finished_run))
    page = Page(html)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    links = [value for name, value in page.attributes if name in {"src", "href", "xlink:href", "action"}]
    assert all(link.startswith("#") for link in links)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    assert "@import" not in html
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_what_a_model_wrote_is_text_and_never_markup(finished_run: RunDirectory) -> None:
    html = render_report(read_run(finished_run))
    assert "<script" not in html
    assert "&lt;script&gt;alert(" in html
    assert "&lt;answer&gt;" in html


def test_what_stands_out_is_told_below_the_summary(new_run: RunDirectory) -> None:
    metrics = MetricLog(new_run.metrics)
    for step in range(1, 13):
        metrics.append(StepReport(step=step, metrics={"reward": 0.5, "completions/clipped_ratio": 0.6}))
    page = render(new_run)
    assert page.text.index("What stands out") < page.text.index("Training")
    assert "answers_cut_off" in page.text
    assert "Raise sampling.max_new_tokens" in page.text
    assert "completions/clipped_ratio 60%" in page.text
    assert ("class", "card finding problem") in page.attributes


def test_where_nothing_stands_out_nothing_is_said(finished_run: RunDirectory) -> None:
    assert "What stands out" not in render(finished_run).text


def test_a_report_of_a_killed_run_says_so(new_run: RunDirectory, finished_run: RunDirectory) -> None:
    start = read_run(finished_run).events[0].time
    EventSink(new_run.events, lambda: start).emit(TrainingStarted())
    assert "was killed before its first step" in write_report(new_run).read_text(encoding="utf-8")


def test_the_same_run_gives_the_same_report(finished_run: RunDirectory) -> None:
    record = read_run(finished_run)
    assert render_report(record) == render_report(record)


def test_a_run_before_its_first_step_has_a_report(new_run: RunDirectory) -> None:
    page = render(new_run)
    assert "Not finished; no step is done yet." in page.text
    assert "svg" not in page.tags
    assert "Environment" not in page.text


def test_a_run_with_a_baseline_only_says_what_is_not_there_yet(
    new_run: RunDirectory, finished_run: RunDirectory
) -> None:
    write_evaluation(new_run.evaluations, dict(read_run(finished_run).evaluations)[0])
    page = render(new_run)
    assert "not yet" in page.text
    assert "Answers before and after" not in page.text
    assert page.tags.count("svg") == 1


def test_a_run_after_one_step_has_a_report(new_run: RunDirectory) -> None:
    MetricLog(new_run.metrics).append(StepReport(step=1, metrics={"reward": 0.5}))
    page = render(new_run)
    assert "the average reward was 0.50" in page.text
    assert page.tags.count("svg") == 2


def test_the_parts_of_the_reward_are_listed_by_their_own_names(new_run: RunDirectory) -> None:
    metrics = {"reward": 0.5, "rewards/style": 0.125, "rewards/<b>": 1.0}
    MetricLog(new_run.metrics).append(StepReport(step=1, metrics=metrics))
    html = render_report(read_run(new_run))
    for name, value in (("reward", "0.5"), ("rewards/style", "0.125"), ("rewards/&lt;b&gt;", "1")):
        assert re.search(rf"<code>{name}</code>.*?<td[^>]*>{re.escape(value)}</td>", html, re.DOTALL)


def test_a_run_whose_grader_judges_nothing_shows_its_reward(new_run: RunDirectory) -> None:
    MetricLog(new_run.metrics).append(StepReport(step=1, metrics={"reward": 0.5, "completions/mean_length": 9.0}))
    for name, score in (("baseline", 0.25), ("final", 0.75)):
        sample = EvaluatedSample(prompt_id="a", prompt="p", text="", score=score, format_ok=None, answer_ok=None)
        write_evaluation(new_run.evaluations, Evaluation(name=name, samples=(sample,)))
    page = render(new_run)
    assert "The average reward on held-out problems rose from 0.25 to 0.75 (1 problem)" in page.text
    assert "Answer accuracy" not in page.text
    assert "right answer" not in page.text
    assert "1 problem that training never saw" in page.text


def test_a_failed_run_says_why_without_trusting_the_message(new_run: RunDirectory, finished_run: RunDirectory) -> None:
    start = read_run(finished_run).events[0].time
    EventSink(new_run.events, lambda: start).emit(RunEnded(status=Status.FAILED, error="<b>no</b>"))
    assert "Failed (&lt;b&gt;no&lt;/b&gt;)" in render_report(read_run(new_run))


def test_a_step_that_is_half_written_does_not_stop_the_report(finished_run: RunDirectory) -> None:
    with finished_run.metrics.open("a") as file:
        file.write('{"step": 42, "rewa')
    assert len(read_metrics(finished_run.metrics)) == 41
    assert "41 steps" in render(finished_run).text


def test_evaluations_stand_in_the_order_of_their_steps(finished_run: RunDirectory) -> None:
    record = read_run(finished_run)
    assert [(step, evaluation.name) for step, evaluation in record.evaluations] == [
        (0, "baseline"),
        (20, "step-20"),
        (41, "final"),
    ]
    assert record.series("kl")[2] is None
    assert record.duration_s == 252


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("verifine.runs.record", ("matplotlib", "jinja2", "torch")),
        ("verifine.insights.report", ("torch", "pyplot")),
    ],
)
def test_reading_a_run_is_cheap_and_a_report_needs_no_torch(module: str, forbidden: tuple[str, ...]) -> None:
    program = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not {name.rpartition(".")[2] for name in loaded.split()} & set(forbidden)


def test_the_template_is_part_of_the_package() -> None:
    from verifine.insights import report

    assert (Path(report.__file__).parent / "report.html.j2").is_file()


@pytest.mark.parametrize(("batch_baseline", "mixed_alone"), [(0.0, True), (0.5, False)])
def test_the_report_says_which_groups_teach(new_run: RunDirectory, batch_baseline: float, mixed_alone: bool) -> None:
    MetricLog(new_run.metrics).append(
        StepReport(step=1, metrics={"groups/frac_mixed": 0.5, "groups/frac_mixed_expected": 0.5})
    )
    record = read_run(new_run)
    reward = record.config.reward.model_copy(update={"batch_baseline": batch_baseline})
    text = render_report(replace(record, config=record.config.model_copy(update={"reward": reward})))
    assert ("Only mixed groups" in text) is mixed_alone
