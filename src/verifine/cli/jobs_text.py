"""Jobs of a service as text for people."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from verifine.cli.one_line import one_line
from verifine.insights.outcome import pluralize
from verifine.insights.text_table import text_table
from verifine.runs.status import DISK_FULL, MAX_MINUTES, MAX_STEPS, SOLVED, Status

HEADINGS = ("job", "status", "model", "made", "result")

RESULT_WIDTH = 60
"""Characters of an error in a table."""

NAME_WIDTH = 18
"""Characters of a fact's name, and the gap after it."""

ENDINGS: Mapping[str, str] = {
    MAX_STEPS: "it has taken all steps that it was allowed (max_steps)",
    MAX_MINUTES: "it has used all time that it was allowed (max_minutes)",
    DISK_FULL: "the disk of the service is full",
    SOLVED: "nearly all answers were right",
    Status.FINISHED: "all steps were taken",
    Status.OUT_OF_TIME: "its time was used up",
    Status.NO_PROGRESS: "evaluations got no better",
    Status.NO_SIGNAL: "there was nothing to learn from",
}
"""What `verifine.ending` of a job says, in words."""

PAUSED_BY_REQUEST = "it was asked to"

_MORE = {MAX_STEPS: " --max-steps N", MAX_MINUTES: " --max-minutes N"}
"""What a job that was paused needs to be resumed with."""


def describe_jobs(jobs: Sequence[Mapping[str, Any]], *, has_more: bool) -> str:
    """A line a job."""
    if not jobs:
        return "There are no jobs yet; make one with `verifine jobs create run.yaml`."
    rows = [(job["id"], job["status"], job["model"], _time(job["created_at"]), _result(job)) for job in jobs]
    return "\n".join([*text_table([HEADINGS, *rows]), *(["... and older ones (--limit)"] if has_more else [])])


def describe_job(job: Mapping[str, Any], events: Sequence[Mapping[str, Any]] = ()) -> str:
    """What is known of a job; `events`: the newest first, as many as are at hand."""
    finish, ended = job["estimated_finish"], job["finished_at"]
    facts = {
        "job": job["id"],
        "status": job["status"],
        "reason": _reason(job),
        "model": job["model"],
        "made": _time(job["created_at"]),
        "last step": _last_step(events),
        "estimated finish": None if finish is None else _time(finish),
        "ended": None if ended is None else _time(ended),
        "budget": _budget(job),
        "trained tokens": job["trained_tokens"],
        "training file": job["training_file"],
        "validation file": job["validation_file"],
        "result files": ", ".join(job["result_files"]) or None,
        "suffix": job["user_provided_suffix"],
        "result": job["fine_tuned_model"],
        "error": None if job["error"] is None else job["error"]["message"].replace("\n", "\n" + " " * NAME_WIDTH),
    }
    return "\n".join(f"{name:<{NAME_WIDTH}}{value}" for name, value in facts.items() if value is not None)


def describe_pause(job: Mapping[str, Any]) -> str:
    """Why a paused job is paused, and how it continues."""
    more = _MORE.get(job["verifine"].get("ending"), "")
    return f"the job is paused: {_reason(job)}; `verifine jobs resume {job['id']}{more}` continues it"


def held_out_rewards(events: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The mean rewards on held-out data that are among the events, by the names of the evaluations."""
    found = [each["data"] for each in events if each["data"] is not None and "evaluation" in each["data"]]
    rewards = {data["evaluation"]: data.get("full_valid_mean_reward") for data in found}
    return {name: reward for name, reward in rewards.items() if reward is not None}


def describe_gain(rewards: Mapping[str, float]) -> Iterator[str]:
    """The line of the rewards before and after training, where both are known."""
    if "baseline" in rewards and "final" in rewards:
        yield f"held-out reward: {rewards['baseline']:.4g} before training, {rewards['final']:.4g} after it"


def describe_event(event: Mapping[str, Any]) -> str:
    """One line."""
    mark = {"warn": "! ", "error": "!! "}.get(event["level"], "")
    return f"{_time(event['created_at'])}  {mark}{event['message']}"


class WatchText:
    """The messages of a job's stream as lines, with what earlier messages have told."""

    def __init__(self, read_job: Callable[[], Mapping[str, Any]]) -> None:
        """`read_job`: the job as it is now."""
        self._read_job = read_job
        self._rewards: dict[str, float] = {}

    def describe(self, name: str, content: Mapping[str, Any]) -> Iterator[str]:
        """The lines for a message: events say what steps and evaluations are, so those have none."""
        match name:
            case "state" if content["state"] == "paused":
                job = self._read_job()
                if job["status"] == "paused":
                    yield describe_pause(job)
            case "events":
                self._rewards |= held_out_rewards(content["events"])
                yield from map(describe_event, content["events"])
            case "steps" if content["rewound_to"] is not None:
                yield f"the run went back to step {content['rewound_to']}"
            case "end":
                yield from describe_gain(self._rewards)
                yield f"the job is {content['state']}"


def _reason(job: Mapping[str, Any]) -> str | None:
    """Why a job was paused or has ended; None: there is no word for it, or status and error say it.

    A job that was cancelled while it was paused still has the word of its pause.
    """
    if job["error"] is not None or job["status"] == "cancelled":
        return None
    ending = job["verifine"].get("ending")
    if ending is None:
        return PAUSED_BY_REQUEST if job["status"] == "paused" else None
    return ENDINGS.get(ending, str(ending))


def _last_step(events: Sequence[Mapping[str, Any]]) -> str | None:
    """None: no step is among the events."""
    steps = (each["data"] for each in events if each["data"] is not None and "train_mean_reward" in each["data"])
    last = next(steps, None)
    if last is None:
        return None
    total, reward = last["total_steps"], last["train_mean_reward"]
    of, told = "" if total is None else f" of {total}", "" if reward is None else f", reward {reward:.4g}"
    return f"{last['step']}{of}{told}"


def _budget(job: Mapping[str, Any]) -> str | None:
    """None: it has no limit but its own length, or it is over."""
    run = (job["verifine"].get("run") or {}) if job["finished_at"] is None else {}
    steps, minutes = run.get(MAX_STEPS), run.get(MAX_MINUTES)
    parts = [
        *([] if steps is None else [pluralize(steps, "step")]),
        *([] if minutes is None else [f"{minutes:g} minutes"]),
    ]
    return f"pauses after {' or '.join(parts)}" if parts else None


def _result(job: Mapping[str, Any]) -> str:
    """On one line; an error is cut at a word."""
    if job["fine_tuned_model"] is not None or job["error"] is None:
        return str(job["fine_tuned_model"] or "")
    message = job["error"]["message"]
    line = one_line(message, len(message))
    short = textwrap.shorten(line, RESULT_WIDTH, placeholder=" …")
    return short if short != "…" else one_line(line, RESULT_WIDTH)


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
