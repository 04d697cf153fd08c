"""Builds a grader and grades an answer: `python -m` this module PARENT, with a trial on standard input."""

from __future__ import annotations

import sys

from verifine.errors import GraderError
from verifine.graders.build import build_grader
from verifine.graders.result import describe_grade
from verifine.launch.grader_report import grade_all
from verifine.machine.parent import end_with_parent
from verifine.service.trials.question import OUTCOME, TRIAL, GraderTrial, TrialOutcome
from verifine.types import Sample


def carry_out_trial(trial: GraderTrial) -> TrialOutcome:
    try:
        grader = build_grader(trial.grader)
    except GraderError as error:
        return TrialOutcome(problem=str(error))
    try:
        if trial.sample is None:
            return TrialOutcome()
        graded = grade_all(grader, [Sample(output_text=trial.sample, item=trial.item)])
    finally:
        grader.close()
    return TrialOutcome(result=describe_grade(trial.grader, graded.grades[0], graded.seconds))


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    sys.stdout.buffer.write(OUTCOME.dump_json(carry_out_trial(TRIAL.validate_json(sys.stdin.buffer.read()))))
