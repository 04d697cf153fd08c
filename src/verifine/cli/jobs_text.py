"""Jobs of a service as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from verifine.insights.text_table import text_table

HEADINGS = ("job", "status", "model", "made", "result")


def describe_jobs(jobs: Sequence[Mapping[str, Any]], *, has_more: bool) -> str:
    """A line a job."""
    if not jobs:
        return "There are no jobs yet; make one with `verifine jobs create run.yaml`."
    rows = [(job["id"], job["status"], job["model"], _time(job["created_at"]), _result(job)) for job in jobs]
    return "\n".join([*text_table([HEADINGS, *rows]), *(["... and older ones (--limit)"] if has_more else [])])


def describe_job(job: Mapping[str, Any]) -> str:
    """What is known of a job."""
    facts = {
        "job": job["id"],
        "status": job["status"],
        "model": job["model"],
        "made": _time(job["created_at"]),
        "ended": None if job["finished_at"] is None else _time(job["finished_at"]),
        "training file": job["training_file"],
        "validation file": job["validation_file"],
        "suffix": job["user_provided_suffix"],
        "result": job["fine_tuned_model"],
        "error": None if job["error"] is None else job["error"]["message"],
    }
    return "\n".join(f"{name:<16}{value}" for name, value in facts.items() if value is not None)


def describe_event(event: Mapping[str, Any]) -> str:
    """One line."""
    mark = {"warn": "! ", "error": "!! "}.get(event["level"], "")
    return f"{_time(event['created_at'])}  {mark}{event['message']}"


def describe_message(name: str, content: Mapping[str, Any]) -> Iterator[str]:
    """The lines for a message of a stream: events say what steps and evaluations are, so those have none."""
    match name:
        case "events":
            yield from map(describe_event, content["events"])
        case "steps" if content["rewound_to"] is not None:
            yield f"the run went back to step {content['rewound_to']}"
        case "end":
            yield f"the job is {content['state']}"


def _result(job: Mapping[str, Any]) -> str:
    return str(job["fine_tuned_model"] or (job["error"] or {}).get("message", ""))[:60]


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
