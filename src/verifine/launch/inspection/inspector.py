"""Answers questions about a run before it begins: `python -m` this module PARENT, in a process that may be killed.

A question comes in on standard input and a reply goes out on standard output, both JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace

from verifine.errors import DataError, VerifineError
from verifine.launch.build import fetch_model
from verifine.launch.checking import check_run
from verifine.launch.eval_spec import EvalSpec, EvalTarget
from verifine.launch.evaluate import evaluate_models
from verifine.launch.facts import find_facts
from verifine.launch.inputs import RunInputs, load_inputs
from verifine.launch.inspection.question import (
    QUESTION,
    REPLY,
    CheckQuestion,
    InspectionReply,
    Look,
    LookQuestion,
    Question,
    Trial,
    TrialQuestion,
)
from verifine.launch.inspection.rows import load_tokenizer, show_row, size_up_rows
from verifine.machine.parent import end_with_parent
from verifine.preflight.check import Extent
from verifine.preflight.numbers import to_numbers
from verifine.runs.events import ignore
from verifine.types import Json


def answer(question: Question) -> InspectionReply:
    """What a user has to fix is a reply, too."""
    try:
        match question:
            case LookQuestion():
                return InspectionReply(look=look(question))
            case TrialQuestion():
                return InspectionReply(trial=try_out(question))
            case CheckQuestion():
                return InspectionReply(check=carry_out_check(question))
    except VerifineError as error:
        return InspectionReply(problem=str(error))


def look(question: LookQuestion) -> Look:
    """Raises VerifineError: the data or the model cannot be used."""
    inputs = load_inputs(question.config)
    files = fetch_model(question.config, ignore)
    facts = find_facts(inputs, files)
    tokenizer = load_tokenizer(files, question.config)
    context = facts.model.context_length
    most = context - inputs.max_new_tokens(context)
    read = size_up_rows(tokenizer, inputs.train, most)
    facts = facts.with_longest_prompt(read.prompts.longest)
    shown = range(question.first, min(question.first + question.count, len(inputs.train)))
    return Look(
        train=len(inputs.train),
        held_out=len(inputs.held_out),
        rows=tuple(show_row(tokenizer, inputs.train[place], most) for place in shown),
        prompts=read.prompts,
        refused=read.refused,
        problems=read.problems,
        model=facts.model,
        machine=facts.machine,
        data=facts.data,
    )


def try_out(question: TrialQuestion) -> Trial:
    """Raises VerifineError: the data, the model or the grader cannot be used."""
    inputs = load_inputs(question.config)
    name = question.config.model.name
    spec = EvalSpec(inputs=_with_rows(inputs, question), place="rows to train on")
    [tried] = evaluate_models([EvalTarget(label=name, model=name, run=None)], spec)
    return Trial(problems=tried.evaluation.problems, seconds=tried.seconds)


def carry_out_check(question: CheckQuestion) -> Mapping[str, Json]:
    """Raises VerifineError: training would be refused, and not for what the check finds."""
    report = check_run(question.config, extent=Extent(rows=question.rows))
    numbers: Mapping[str, Json] = json.loads(json.dumps(to_numbers(report), allow_nan=False))
    return numbers


def _with_rows(inputs: RunInputs, question: TrialQuestion) -> RunInputs:
    missing = [row for row in question.rows if not 0 <= row < len(inputs.train)]
    if missing or not question.rows:
        wrong = f"row {missing[0]} is not there" if missing else "no row was named"
        raise DataError(f"{wrong}: there are {len(inputs.train)} rows to train on, from 0")
    evaluation = question.config.evaluation.model_copy(update={"samples": question.samples})
    config = question.config.model_copy(update={"evaluation": evaluation})
    return replace(inputs, config=config, held_out=[inputs.train[row] for row in question.rows])


def _reply() -> None:
    # Libraries print, and what is printed must be the reply alone.
    reply_to = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    reply = REPLY.dump_json(answer(QUESTION.validate_json(sys.stdin.buffer.read())))
    with os.fdopen(reply_to, "wb") as output:
        output.write(reply)


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    _reply()
