"""Writes train.jsonl and held-out.jsonl: made-up notes about patients, and what an invented guideline says to each.

python make_data.py [FOLDER]
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

COMPLAINTS: Mapping[str, Sequence[str]] = {
    "bleeding": (
        "blood is running from a deep cut",
        "a wound that bleeds through three bandages",
        "blood spurts from the arm",
        "bleeding heavily from the leg",
        "a heavy nosebleed that does not stop",
        "losing a lot of blood after a bite",
        "the cut on the thigh bleeds heavily",
        "a hand that bleeds without end",
    ),
    "chest": (
        "pain in the chest since noon",
        "chest pain that goes into the left arm",
        "a tight chest when walking",
        "a squeezed feeling in the chest",
        "a burning pain in the chest",
        "the chest hurts at every breath",
        "stabbing chest pain at night",
        "a heavy feeling in the chest",
    ),
    "fall": (
        "fell on the stairs",
        "fell off a ladder",
        "slipped on ice and fell",
        "had a fall in the garden",
        "fell out of bed",
        "stumbled and fell in the kitchen",
        "a fall from a bicycle",
        "fell in the bathroom",
    ),
    "harmless": (
        "a sore throat since Monday",
        "a stuffed nose",
        "an itching rash on the arm",
        "a cough for a week",
        "a sprained ankle",
        "an earache since last night",
        "a headache since morning",
        "a stiff neck",
        "trouble falling asleep",
        "back ache after gardening",
        "a small burn on a finger",
        "red eyes",
        "a tick bite",
        "a stomach ache after lunch",
        "a blister on the heel",
        "toothache on the left",
    ),
}
"""Wordings of what patients complain about: those at even places are trained on, those at odd places held out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What a note says. `complaint` is a key of COMPLAINTS."""

    complaint: str
    age: int
    pressure: int
    pain: int
    temperature: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A line of the guideline. The first that applies to a patient decides."""

    condition: str
    applies: Callable[[Patient], bool]
    finding: str
    """In the words of the note, with its number in braces."""
    urgency: str
    step: str


RULES = (
    Rule(
        condition="heavy bleeding",
        applies=lambda patient: patient.complaint == "bleeding",
        finding="bleeding",
        urgency="red",
        step="surgeon",
    ),
    Rule(
        condition="pressure below 90",
        applies=lambda patient: patient.pressure < 90,
        finding="pressure {pressure}",
        urgency="red",
        step="infusion",
    ),
    Rule(
        condition="chest pain",
        applies=lambda patient: patient.complaint == "chest",
        finding="chest pain",
        urgency="red",
        step="ECG",
    ),
    Rule(
        condition="a fall at 70 or older",
        applies=lambda patient: patient.complaint == "fall" and patient.age >= 70,
        finding="fall",
        urgency="orange",
        step="X-ray",
    ),
    Rule(
        condition="pain of 7 or more",
        applies=lambda patient: patient.pain >= 7,
        finding="pain {pain}",
        urgency="orange",
        step="painkiller",
    ),
    Rule(
        condition="temperature of 39 or more",
        applies=lambda patient: patient.temperature >= 39,
        finding="temperature {temperature}",
        urgency="orange",
        step="blood test",
    ),
    Rule(
        condition="none of these",
        applies=lambda _: True,
        finding="nothing",
        urgency="green",
        step="waiting room",
    ),
)
GUIDELINE = "Guideline; the first line that applies decides.\n" + "\n".join(
    f"{rule.condition}: {rule.urgency}, {rule.step}" for rule in RULES
)
SOLVED = (
    ("Age 41, a swollen finger. Pressure 82, pain 3, temperature 37.1.", "pressure 82, red, infusion"),
    ("Age 23, a sore knee. Pressure 124, pain 2, temperature 36.8.", "nothing, green, waiting room"),
    ("Age 55, hiccups. Pressure 131, pain 8, temperature 36.9.", "pain 8, orange, painkiller"),
    ("Age 62, chest pain. Pressure 112, pain 4, temperature 37.0.", "chest pain, red, ECG"),
    ("Age 34, a runny nose. Pressure 117, pain 2, temperature 39.4.", "temperature 39.4, orange, blood test"),
    ("Age 78, fell at home. Pressure 141, pain 3, temperature 36.7.", "fall, orange, X-ray"),
    ("Age 19, a bleeding wound. Pressure 126, pain 5, temperature 37.2.", "bleeding, red, surgeon"),
    ("Age 30, a bruise. Pressure 78, pain 2, temperature 36.6.", "pressure 78, red, infusion"),
)


def patients(draw: random.Random) -> Iterator[tuple[Patient, Rule]]:
    """Patients without end, each rule deciding about as many as every other."""
    wanted = list(RULES)
    while True:
        draw.shuffle(wanted)
        for rule in wanted:
            while True:
                patient = _any_patient(draw)
                if next(each for each in RULES if each.applies(patient)) is rule:
                    break
            yield patient, rule


def _any_patient(draw: random.Random) -> Patient:
    return Patient(
        complaint=draw.choice(["harmless", "harmless", "bleeding", "chest", "fall"]),
        age=draw.randint(18, 69) if draw.random() < 0.6 else draw.randint(70, 95),
        pressure=draw.randint(100, 150) if draw.random() < 0.75 else draw.randint(70, 85),
        pain=draw.randint(0, 5) if draw.random() < 0.7 else draw.randint(7, 10),
        temperature=draw.randint(364, 379) / 10 if draw.random() < 0.7 else draw.randint(390, 406) / 10,
    )


def rows(seed: int, size: int, side: int) -> Iterator[dict[str, object]]:
    """`size` different notes with complaints at even (0) or odd (1) places."""
    draw = random.Random(seed)
    seen: set[str] = set()
    for patient, rule in patients(draw):
        if len(seen) == size:
            return
        wording = draw.choice(COMPLAINTS[patient.complaint][side::2])
        note = (
            f"Age {patient.age}, {wording}. Pressure {patient.pressure}, pain {patient.pain}, "
            f"temperature {patient.temperature}."
        )
        if note not in seen:
            seen.add(note)
            finding = rule.finding.format(**asdict(patient))
            steps = {"finding": finding, "urgency": rule.urgency, "next": rule.step}
            yield {"messages": chat(note), "complaint": wording, "steps": steps, "gt_answer": ", ".join(steps.values())}


def chat(note: str) -> list[dict[str, str]]:
    turns = [{"role": "system", "content": GUIDELINE}]
    for solved, answer in SOLVED:
        turns += [{"role": "user", "content": solved}, {"role": "assistant", "content": answer}]
    return [*turns, {"role": "user", "content": note}]


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for name, seed, size, side in (("train", 1, 2000, 0), ("held-out", 2, 160, 1)):
        lines = [json.dumps(row) + "\n" for row in rows(seed, size, side)]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
