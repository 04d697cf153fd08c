"""`verifine grade`: try a grader before training with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from verifine.cli.options import UnsafeGraderExec

if TYPE_CHECKING:
    from verifine.launch.grader_report import GraderReport

app = typer.Typer(
    name="grade",
    help="Try a grader before training with it: on one answer, the grader itself, or a whole dataset.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_Spec = Annotated[str, typer.Option("--grader", help="A JSON or YAML file in OpenAI's grader form, or a preset.")]
_JudgeUrl = Annotated[
    str | None,
    typer.Option(
        "--judge-url",
        help="The server for model graders, up to /v1; else OPENAI_BASE_URL.",
        metavar="URL",
    ),
]
_JudgeKey = Annotated[
    str | None,
    typer.Option("--judge-key-env", help="The environment variable with its key; else OPENAI_API_KEY.", metavar="NAME"),
]


@app.command("run")
def run_grader(
    grader: _Spec,
    sample: Annotated[
        str, typer.Option(help="The answer to grade, or @FILE to read it; @@ for a text that begins with @.")
    ],
    item: Annotated[
        str, typer.Option(help="The row it answers, as a JSON object with the fields the grader reads, or @FILE.")
    ] = "{}",
    opened_text: Annotated[
        str, typer.Option(help="What the chat template writes before the answer, such as '<think>'.", metavar="TEXT")
    ] = "",
    thinks: Annotated[
        bool, typer.Option("--thinks", help="The answer begins behind a thought, as those of reasoning models do.")
    ] = False,
    judge_url: _JudgeUrl = None,
    judge_key_env: _JudgeKey = None,
    unsafe_grader_exec: UnsafeGraderExec = False,
) -> None:
    """Grade one answer and print the result as JSON, in the form of OpenAI's graders/run.

    An answer that cannot be graded is a result too: its reward is 0, metadata.errors says why, and so does a line on
    standard error.
    """
    from verifine.cli.grader_options import build_services, explain_grade, read_item, read_text, to_json
    from verifine.data.thoughts import find_answer
    from verifine.graders import load_grader_config
    from verifine.graders.result import describe_grade
    from verifine.launch.grader_report import grade_all, open_grader
    from verifine.types import Sample

    config = load_grader_config(grader)
    text = read_text(sample, "--sample")
    start = find_answer(opened_text, text) if thinks else 0
    answer = Sample.of(text, read_item(item), opened=opened_text, answer_start=start)
    services = build_services(judge_url, judge_key_env, unsafe_grader_exec)
    with open_grader(config, services, grader) as scoring:
        graded = grade_all(scoring, [answer])
    grade = graded.grades[0]
    print(to_json(describe_grade(config, grade, graded.seconds).model_dump(mode="json")))
    if (explanation := explain_grade(grade)) is not None:
        print(explanation, file=sys.stderr)


@app.command("validate")
def validate_grader(
    grader: Annotated[str, typer.Argument(metavar="GRADER", help="The grader's file, or the name of a preset.")],
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print the grader with all defaults filled in, like OpenAI's graders/validate."),
    ] = False,
    judge_url: _JudgeUrl = None,
    judge_key_env: _JudgeKey = None,
    unsafe_grader_exec: UnsafeGraderExec = False,
) -> None:
    """Check whether a grader can be used: its fields, its templates, and its code, which is loaded in the sandbox.

    All problems are shown at once.
    """
    from verifine.cli.grader_options import build_services, to_json
    from verifine.graders import load_grader_config
    from verifine.launch.grader_report import open_grader

    config = load_grader_config(grader)
    services = build_services(judge_url, judge_key_env, unsafe_grader_exec)
    with open_grader(config, services, grader):
        pass
    if as_json:
        print(to_json({"grader": config.model_dump(mode="json")}))
        return
    print(f"{grader} is a valid {config.type} grader")


@app.command("test")
def try_grader(
    grader: Annotated[
        str | None,
        typer.Option(help="A JSON or YAML file in OpenAI's grader form, or a preset; with --rollouts, the run's own."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The dataset whose rows are graded; with --rollouts, the run's own.")
    ] = None,
    rollouts: Annotated[
        Path | None, typer.Option(metavar="RUN_DIR", help="Grade the saved answers of this run again.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=COLUMN", help="A field and its column or the path in one, as data.columns; repeatable."
        ),
    ] = None,
    answer_field: Annotated[
        str | None,
        typer.Option(metavar="FIELD", help="The field with an answer to grade; else model_sample or output_text."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Grade at most this many rows, or saved answers, evenly spread.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Also draw the histogram as an image.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    judge_url: _JudgeUrl = None,
    judge_key_env: _JudgeKey = None,
    unsafe_grader_exec: UnsafeGraderExec = False,
) -> None:
    """Show how a grader scores a whole dataset, or the saved answers of a run.

    Without --rollouts it grades the answer of each row; for a row without one it takes the right answer, written
    in the ways a model may write it, and the best of them counts. Empty text and nonsense are graded as well. With
    --rollouts it grades what a model answered in a run, and compares the scores with those that were recorded.
    """
    from verifine.cli.grader_options import build_services, check_plot, progress_bar, read_columns, to_json
    from verifine.cli.grader_report_text import describe_grader_report
    from verifine.errors import ConfigError
    from verifine.graders import load_grader_config
    from verifine.launch.grader_report import GradedRows, GraderUse, report_on_rows, report_on_run
    from verifine.launch.grader_report_numbers import grader_report_numbers

    check_plot(plot)
    columns = read_columns(column)
    if columns and rollouts is not None:
        raise ConfigError("--column belongs to --data; the rows of a run are read with the run's own data.columns")
    services = build_services(judge_url, judge_key_env, unsafe_grader_exec)
    config = None if grader is None else load_grader_config(grader)
    with progress_bar() as progress:
        use = GraderUse(services=services, limit=limit, progress=progress)
        if rollouts is not None:
            report = report_on_run(rollouts, config, grader, data, use)
        elif config is None or grader is None or data is None:
            raise ConfigError("nothing to grade: give --grader and --data, or --rollouts with a run directory")
        else:
            rows = GradedRows(data=data, columns=columns, answer_field=answer_field)
            report = report_on_rows(config, grader, rows, use)
    if plot is not None:
        _draw(report, plot)
    if as_json:
        print(to_json(grader_report_numbers(report)))
        return
    print(describe_grader_report(report))
    if plot is not None:
        print(f"\n{plot}")


def _draw(report: GraderReport, path: Path) -> None:
    """The histogram as a PNG."""
    from verifine.insights.charts import to_png
    from verifine.insights.score_plot import draw_scores
    from verifine.machine.disk import write_whole

    write_whole(path, to_png(draw_scores(f"{report.grader.name} on {report.place}", report.series)))
