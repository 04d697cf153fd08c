"""Writes train.jsonl and held-out.jsonl: clauses of invented contracts, a question, and what answers it.

python make_data.py [FOLDER]
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CONTRADICTION = "contradiction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What a clause can be about. `{value}` stands for the value in clauses and in `answer`."""

    name: str
    values: Sequence[str]
    answer: str
    question: str
    clauses: Sequence[str]
    """Wordings: those at even places are trained on, those at odd places held out."""


DAYS = [str(days) for days in range(10, 100, 5)]
COUNTRIES = "Norway Spain Japan Chile Kenya Latvia Malta Peru Austria Ireland Greece Canada".split()
CITIES = "Oslo Madrid Osaka Lima Nairobi Riga Vienna Dublin Athens Toronto Turin Porto".split()
TOPICS = (
    Topic(
        name="notice",
        values=DAYS,
        answer="{value} days",
        question="What is the notice period?",
        clauses=(
            "Either party may end this contract with {value} days' notice.",
            "The contract can be cancelled in writing {value} days in advance.",
            "Notice of {value} days is needed to end the agreement.",
            "A party that wants to leave gives notice {value} days before.",
        ),
    ),
    Topic(
        name="payment",
        values=DAYS,
        answer="{value} days",
        question="When is an invoice due?",
        clauses=(
            "Invoices are due within {value} days.",
            "The customer pays each bill no later than {value} days after it.",
            "Payment is made {value} days after the invoice.",
            "Each invoice falls due after {value} days.",
        ),
    ),
    Topic(
        name="cap",
        values=[f"{thousands},000" for thousands in range(20, 100, 5)],
        answer="{value} euros",
        question="How much is liability capped at?",
        clauses=(
            "The supplier is liable for no more than {value} euros.",
            "Liability ends at a sum of {value} euros.",
            "Damages are capped at {value} euros.",
            "Claims for damages may not exceed {value} euros.",
        ),
    ),
    Topic(
        name="penalty",
        values=[str(euros) for euros in range(100, 1000, 50)],
        answer="{value} euros",
        question="What does a day of delay cost?",
        clauses=(
            "For each day of delay the supplier pays {value} euros.",
            "Late delivery costs the supplier {value} euros a day.",
            "A penalty of {value} euros is paid for every late day.",
            "If delivery is late, {value} euros are owed for each day.",
        ),
    ),
    Topic(
        name="law",
        values=COUNTRIES,
        answer="{value}",
        question="Which country's law governs?",
        clauses=(
            "This contract is governed by the law of {value}.",
            "The parties choose the law of {value}.",
            "The law of {value} applies.",
            "All of this is subject to the law of {value}.",
        ),
    ),
    Topic(
        name="court",
        values=CITIES,
        answer="{value}",
        question="Where are disputes decided?",
        clauses=(
            "Disputes are decided by the courts of {value}.",
            "The place of jurisdiction is {value}.",
            "Any dispute goes to a court in {value}.",
            "The parties sue each other in {value} only.",
        ),
    ),
)
INSTRUCTION = (
    "Quote the clause that answers the question, then give the answer. "
    "If two clauses contradict each other, quote one of them and answer: contradiction."
)
SOLVED = (
    (
        "Goods are delivered every 14 days.\nThe warranty lasts 2 years.\n\nHow long is the warranty?",
        '"The warranty lasts 2 years." -> 2 years',
    ),
    (
        "The rent is 700 euros.\nA deposit of 90 euros is paid.\nThe rent is 650 euros.\n\nWhat is the rent?",
        '"The rent is 700 euros." -> contradiction',
    ),
    (
        "The parties meet in Rome.\nThe fee is 40 euros.\n\nWhere do the parties meet?",
        '"The parties meet in Rome." -> Rome',
    ),
)


def rows(seed: int, size: int, side: int) -> Iterator[dict[str, object]]:
    """`size` questions about clauses at even (0) or odd (1) places; of every four, one is about a contradiction."""
    draw = random.Random(seed)
    for number in range(size):
        asked, *others = draw.sample(TOPICS, 3)
        values = draw.sample(asked.values, 2 if number % 4 == 3 else 1)
        wordings = draw.sample(asked.clauses[side::2], len(values))
        proof = [wording.format(value=value) for wording, value in zip(wordings, values, strict=True)]
        rest = [draw.choice(topic.clauses[side::2]).format(value=draw.choice(topic.values)) for topic in others]
        clauses = [*proof, *rest[: 3 - len(proof)]]
        draw.shuffle(clauses)
        answer = asked.answer.format(value=values[0]) if len(values) == 1 else CONTRADICTION
        yield {
            "messages": chat("\n".join(clauses) + f"\n\n{asked.question}"),
            "wording": f"{asked.name} {asked.clauses.index(wordings[0])}",
            "clauses": clauses,
            "proof": proof,
            "gt_answer": answer,
        }


def chat(question: str) -> list[dict[str, str]]:
    turns = [{"role": "system", "content": INSTRUCTION}]
    for solved, answer in SOLVED:
        turns += [{"role": "user", "content": solved}, {"role": "assistant", "content": answer}]
    return [*turns, {"role": "user", "content": question}]


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for name, seed, size, side in (("train", 1, 2000, 0), ("held-out", 2, 160, 1)):
        lines = [json.dumps(row) + "\n" for row in rows(seed, size, side)]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
