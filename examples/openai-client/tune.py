"""From a file to a tuned model that answers, with OpenAI's own client and a grader in OpenAI's form.

First `verifine serve`, whose two `export` lines this needs, and `python examples/extract/make_data.py .`; then
`python examples/openai-client/tune.py`. The same program asks OpenAI if the two variables are OpenAI's, but for
EXTRA.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from openai import OpenAI

BASE = "SmolLM2-135M-Instruct"

GRADER = """
import json

def grade(sample, item):
    try:
        answer = json.loads(sample["output_text"])
    except ValueError:
        return 0.0
    if not isinstance(answer, dict):
        return 0.0
    right = sum(answer.get(key) == value for key, value in item["fields"].items())
    return 0.1 + 0.9 * right / max(len(item["fields"]), len(answer))
"""

EXTRA = {"verifine": {"sampling": {"max_new_tokens": 40, "stop": ["}"]}}}
"""Ours: an answer of a small model is short, and ends with its object."""


def main() -> None:
    client = OpenAI()
    train = client.files.create(file=("train.jsonl", rows("train.jsonl", 160)), purpose="fine-tune")
    held_out = client.files.create(file=("held-out.jsonl", rows("held-out.jsonl", 64)), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(
        model=BASE,
        training_file=train.id,
        validation_file=held_out.id,
        suffix="orders",
        seed=0,
        method={
            "type": "reinforcement",
            "reinforcement": {
                "grader": {"type": "python", "name": "fields", "source": GRADER},
                "hyperparameters": {
                    "batch_size": 8,
                    "n_epochs": 1,
                    "eval_interval": 5,
                    "learning_rate_multiplier": 2,
                },
            },
        },
        extra_body=EXTRA,
    )
    follow(client, job.id)
    job = client.fine_tuning.jobs.retrieve(job.id)
    print(f"{job.status}: {job.fine_tuned_model}, {job.trained_tokens} tokens")
    if job.fine_tuned_model is None:
        raise SystemExit(str(job.error))
    for checkpoint in client.fine_tuning.jobs.checkpoints.list(job.id):
        reward = checkpoint.metrics.to_dict()["valid_reward_mean"]
        print(f"step {checkpoint.step_number}: {reward:.2f}  {checkpoint.fine_tuned_model_checkpoint}")
    for file_id in job.result_files:
        file = client.files.retrieve(file_id)
        print(f"{file.filename}: {file.bytes} bytes")
    question = json.loads(rows("held-out.jsonl", 1))["messages"]
    print(question[-1]["content"])
    for model in (BASE, job.fine_tuned_model):
        answer = client.chat.completions.create(
            model=model, messages=question, temperature=0, stop=["}"], max_completion_tokens=40
        )
        print(f"{model}: {answer.choices[0].message.content}}}")  # an answer comes without what stopped it


def rows(name: str, count: int) -> bytes:
    """The first rows of a file of make_data.py."""
    return b"\n".join(Path(name).read_bytes().splitlines()[:count])


def follow(client: OpenAI, job_id: str) -> None:
    """Prints what happens until the job has ended."""
    told: set[str] = set()
    while True:
        ended = client.fine_tuning.jobs.retrieve(job_id).finished_at is not None
        for event in reversed(list(client.fine_tuning.jobs.list_events(job_id, limit=100))):
            if event.id not in told:
                print(event.message)
                told.add(event.id)
        if ended:
            return
        time.sleep(2)


if __name__ == "__main__":
    main()
