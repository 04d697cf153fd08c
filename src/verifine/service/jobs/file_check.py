"""Reads the files of a job and builds its grader: `python -m` this module PARENT, in a process that may be killed.

A question comes in on standard input and an answer goes out on standard output, both JSON.
"""

from __future__ import annotations

import sys

from verifine.data import hold_out, read_examples
from verifine.errors import DataError, GraderError
from verifine.graders.build import build_grader
from verifine.machine.parent import end_with_parent
from verifine.service.jobs.file_question import ANSWER, QUESTION, FileAnswer, FileQuestion


def check_files(question: FileQuestion) -> FileAnswer:
    """Reads every row."""
    try:
        train = read_examples(question.train, question.columns, question.system_prompt)
    except DataError as error:
        return FileAnswer(param="training_file", message=str(error))
    rows = len(train)
    if question.eval is None:
        rows = len(hold_out(train.fingerprints, question.seed, question.eval_size)[0])
    else:
        try:
            read_examples(question.eval, question.columns, question.system_prompt)
        except DataError as error:
            return FileAnswer(param="validation_file", message=str(error))
    try:
        build_grader(question.grader).close()
    except GraderError as error:
        return FileAnswer(param="method.reinforcement.grader", message=str(error))
    return FileAnswer(rows=rows)


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    sys.stdout.buffer.write(ANSWER.dump_json(check_files(QUESTION.validate_json(sys.stdin.buffer.read()))))
