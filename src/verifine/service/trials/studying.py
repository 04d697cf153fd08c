"""Answers questions about data and graders: `python -m` this module PARENT, with one on standard input."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from verifine.data import read_examples
from verifine.data.summary import summarize_data
from verifine.errors import VerifineError
from verifine.graders import Services
from verifine.launch.grader_report import (
    GradedRows,
    GraderReport,
    GraderUse,
    report_on_rows,
    report_on_run,
)
from verifine.launch.grader_report_numbers import grader_report_numbers
from verifine.machine.parent import end_with_parent
from verifine.runs.jsonl import finite
from verifine.service.trials.study import (
    STUDY,
    STUDY_REPLY,
    DatasetQuestion,
    DatasetRow,
    DatasetStudy,
    GradedAnswer,
    GraderStudy,
    ProbingQuestion,
    RegradingQuestion,
    StudyQuestion,
    StudyReply,
)
from verifine.service.whole_text import make_whole

NAME = "the grader"


def study(question: StudyQuestion) -> StudyReply:
    """What a user has to fix is a reply, too. Numbers are finite in it, and texts whole."""
    return STUDY_REPLY.validate_python(make_whole(finite(STUDY_REPLY.dump_python(_study(question)))))


def _study(question: StudyQuestion) -> StudyReply:
    try:
        match question:
            case DatasetQuestion():
                return StudyReply(dataset=study_dataset(question))
            case ProbingQuestion(path=path, columns=columns, answer_field=field):
                rows = GradedRows(data=path, columns=columns, answer_field=field)
                use = GraderUse(services=Services(), limit=question.limit)
                return StudyReply(grader=_describe(report_on_rows(question.grader, NAME, rows, use)))
            case RegradingQuestion(run=run, grader=grader):
                use = GraderUse(services=Services(), limit=question.limit)
                return StudyReply(grader=_describe(report_on_run(run, grader, NAME, None, use)))
    except VerifineError as error:
        return StudyReply(problem=str(error))


def study_dataset(question: DatasetQuestion) -> DatasetStudy:
    """Raises DataError: the file cannot be trained on."""
    examples = read_examples(question.path, question.columns, question.system_prompt)
    summary = summarize_data(examples, [], is_carved_out=True)
    shown = range(question.first, min(question.first + question.count, len(examples)))
    return DatasetStudy(
        rows=summary.train_rows,
        fields=dict(summary.fields),
        duplicates=summary.duplicates.count,
        constant_reference=summary.constant_reference,
        shown=[
            DatasetRow(
                label=examples[place].label,
                messages=[_plain(message) for message in examples[place].messages],
                item=dict(examples[place].item),
            )
            for place in shown
        ],
    )


def _describe(report: GraderReport) -> GraderStudy:
    answers = [
        GradedAnswer(
            label=each.attempt.row.label,
            probe=each.attempt.probe.value,
            text=each.attempt.text,
            score=each.grade.score,
            reason=each.grade.reason,
            parts=dict(each.grade.parts),
        )
        for each in report.probes
    ]
    return GraderStudy(numbers=grader_report_numbers(report), answers=answers)


def _plain(message: Any) -> dict[str, Any]:
    return {name: value for name, value in asdict(message).items() if value not in (None, (), "")}


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    sys.stdout.buffer.write(STUDY_REPLY.dump_json(study(STUDY.validate_json(sys.stdin.buffer.read()))))
