"""Asking a judge about samples: each question once, and each failure a grade."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from verifine.graders.grader import grade_together
from verifine.graders.judge.chat import render_chat
from verifine.graders.judge.question import Question, UnreadableResultError
from verifine.graders.judge.verdict import VerdictError, read_completion, read_result
from verifine.graders.remote import HttpFailure, HttpFailureKind, HttpReply, HttpRequest, Recent
from verifine.graders.sample_error import SampleError
from verifine.graders.services import Services
from verifine.types import Grade, GradeFault, Json, Sample

MAX_REMEMBERED = 100_000
"""Scores that are kept: about 20 MB."""

_FORMAT_REFUSED = re.compile(r"response_format|json_schema|structured|guided|grammar", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A rendered chat; chats with the same key are the same."""

    key: bytes
    messages: list[Json]


class JudgeGrader:
    """Asks a model about each sample; unscorable where its result is not one that was asked for.

    It remembers what was asked before, and whether the server can be told the form of its answer.
    """

    def __init__(self, question: Question, services: Services) -> None:
        """GraderError if there is no judge to ask."""
        server = services.judge()
        self._question = question
        self._base_url = server.base_url
        self._lease = services.lease(server)
        self._scores: Recent[bytes, float] = Recent(MAX_REMEMBERED)
        self._takes_response_format = True

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return grade_together(samples, self._render, self._grade_asked)

    def close(self) -> None:
        """Give the connections back."""
        self._lease.close()

    def _render(self, sample: Sample) -> _Asked:
        try:
            messages = render_chat(self._question.messages, self._question.instruction, sample)
            identity: list[Json] = [self._question.identity, self._base_url, messages]
            return _Asked(key=hashlib.sha256(_json(identity)).digest(), messages=messages)
        except (TypeError, ValueError, RecursionError) as error:
            raise SampleError(f"the judge cannot be sent this as JSON: {error}") from error

    def _grade_asked(self, asked: Sequence[_Asked]) -> list[Grade]:
        """Each different chat is asked once."""
        distinct = {each.key: each for each in asked}
        known = {key: score for key in distinct if (score := self._scores.get(key)) is not None}
        fresh = [each for key, each in distinct.items() if key not in known]
        answers = dict(zip((each.key for each in fresh), self._ask(fresh), strict=True))
        grades = []
        for each in asked:
            if each.key in known:
                grades.append(self._scored(known[each.key]))
            else:
                grades.append(answers[each.key])
                # The tokens and the time were spent once, on the first.
                answers[each.key] = replace(answers[each.key], usage={}, seconds=0.0)
        return grades

    def _ask(self, asked: Sequence[_Asked]) -> list[Grade]:
        answers = self._post(asked, with_format=self._takes_response_format)
        if any(_refuses_format(answer) for answer in answers):
            self._takes_response_format = False
            again = [each for each, answer in zip(asked, answers, strict=True) if _refuses_format(answer)]
            plain = iter(self._post(again, with_format=False))
            answers = [next(plain) if _refuses_format(answer) else answer for answer in answers]
        grades = [self._grade(answer) for answer in answers]
        for each, grade in zip(asked, grades, strict=True):
            if grade.score is not None:
                self._scores.put(each.key, grade.score)
        return grades

    def _post(self, asked: Sequence[_Asked], *, with_format: bool) -> list[HttpReply | HttpFailure]:
        url = f"{self._base_url.rstrip('/')}/chat/completions"
        return self._lease.client.post_all(
            [HttpRequest(url=url, body=_json(self._body(each.messages, with_format=with_format))) for each in asked]
        )

    def _body(self, messages: list[Json], *, with_format: bool) -> dict[str, Json]:
        sampling = self._question.sampling
        optional: Mapping[str, Json] = {
            "seed": sampling.seed,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_completion_tokens": sampling.max_completions_tokens,
            "reasoning_effort": sampling.reasoning_effort,
            "response_format": self._response_format() if with_format else None,
        }
        given = {name: value for name, value in optional.items() if value is not None}
        return {"model": self._question.model, "messages": messages, **given}

    def _response_format(self) -> dict[str, Json]:
        step = _object({"description": {"type": "string"}, "conclusion": {"type": "string"}})
        schema = _object({"steps": {"type": "array", "items": step}, "result": dict(self._question.result_schema)})
        return {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": schema}}

    def _grade(self, answer: HttpReply | HttpFailure) -> Grade:
        if isinstance(answer, HttpFailure):
            return self._unasked(answer)
        usage = {}
        try:
            completion = read_completion(answer.value)
            usage = {self._question.model: completion.usage}
            score = self._question.score(read_result(completion))
        except (VerdictError, UnreadableResultError) as error:
            fault = error.fault if isinstance(error, VerdictError) else GradeFault.MODEL_PARSE
            reason = f'the judge "{self._question.model}" gave no verdict: {error}'
            return replace(Grade.unscorable(reason, fault, answer.seconds), usage=usage)
        return replace(self._scored(score), seconds=answer.seconds, usage=usage)

    def _scored(self, score: float) -> Grade:
        answer_ok = score == 1 if self._question.decides else None
        return Grade(score=score, parts={self._question.name: score}, answer_ok=answer_ok)

    def _unasked(self, failure: HttpFailure) -> Grade:
        if failure.code == "content_filter":
            faults = frozenset({GradeFault.MODEL_REFUSAL})
        elif failure.kind is HttpFailureKind.TIMEOUT:
            faults = frozenset({GradeFault.MODEL_SERVER, GradeFault.UNRESPONSIVE_REWARD})
        else:
            faults = frozenset({GradeFault.MODEL_SERVER})
        reason = f'the judge "{self._question.model}" could not be asked: {failure.message}'
        return Grade(score=None, reason=reason, faults=faults, seconds=failure.seconds)


def _refuses_format(answer: HttpReply | HttpFailure) -> bool:
    return (
        isinstance(answer, HttpFailure)
        and answer.status in (400, 422)
        and _FORMAT_REFUSED.search(answer.detail) is not None
    )


def _object(properties: dict[str, Json]) -> dict[str, Json]:
    """A JSON Schema as strict servers want it: every property required, and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _json(value: Json) -> bytes:
    """ValueError for what JSON cannot hold: NaN, or half a character."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
