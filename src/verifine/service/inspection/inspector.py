"""Asks processes about a run before it begins, and keeps what they found."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from pydantic import JsonValue, ValidationError

from verifine.config import RunConfig
from verifine.errors import ConfigError, VerifineError
from verifine.launch.inspection.question import (
    INSPECTOR,
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
from verifine.machine.disk import write_whole
from verifine.service.child import ChildLimits
from verifine.service.jobs.needs import estimate_needs

LOOK = ChildLimits(wall_s=300, memory_bytes=6 << 30)
TRIAL_S = 300.0
TRIAL_BYTES = 4 << 30
"""What a trial may take besides the model."""
MOST_ROWS, MOST_SAMPLES = 50, 16
KEPT = 500
"""Replies that are kept; those that were asked for longest ago go first."""

Ask = Callable[[str, bytes, ChildLimits], bytes]


class InspectionError(VerifineError):
    """A question that has no answer, since data, model, grader or the question itself are wrong."""


class Inspector:
    """Answers questions, one process at a time: what computes beside it is worth more."""

    def __init__(self, ask: Ask, folder: Path, job_threads: int | None = None) -> None:
        """`ask`: as `Children.ask`; `folder` has the replies.

        `job_threads`: those of a job, with which a check measures; None: those of any process that is asked.
        """
        self._ask, self._folder, self._job_threads = ask, folder, job_threads
        self._turn = threading.Lock()

    def look(self, config: RunConfig, *, first: int = 0, count: int = 10) -> Look:
        """What the rows are like, those from `first` on as the model reads them, and facts for `resolve`.

        Raises:
            InspectionError: the data or the model cannot be used, or more rows are asked for than MOST_ROWS.
            ChildError: the process failed, took too long, or too much memory.
        """
        if not 0 <= count <= MOST_ROWS or first < 0:
            raise InspectionError(f"ask for at most {MOST_ROWS} rows, from 0")
        reply = self._answer(LookQuestion(config=config, first=first, count=count), LOOK)
        assert reply.look is not None, "there is a look or a problem"
        return reply.look

    def try_out(self, config: RunConfig, rows: tuple[int, ...], *, samples: int = 4) -> Trial:
        """Answers of the model to some rows, graded.

        Raises:
            InspectionError: the data, the model or the grader cannot be used, or too much is asked for.
            ChildError: the process failed, took too long, or too much memory.
        """
        if not (1 <= len(rows) <= MOST_ROWS and 1 <= samples <= MOST_SAMPLES):
            raise InspectionError(f"ask for 1 to {MOST_ROWS} rows and 1 to {MOST_SAMPLES} answers to each")
        reply = self._answer(TrialQuestion(config=config, rows=rows, samples=samples), _limits_of_trial(config))
        assert reply.trial is not None, "there is a trial or a problem"
        return reply.trial

    def check(self, config: RunConfig, *, rows: int = 16) -> Mapping[str, JsonValue]:
        """What `verifine check` says of a run, as it prints it with `--json`.

        Raises:
            InspectionError: the data, the model or the grader cannot be used, or too many rows asked for.
            ChildError: the process failed, took too long, or too much memory.
        """
        if not 1 <= rows <= MOST_ROWS:
            raise InspectionError(f"ask for 1 to {MOST_ROWS} rows")
        limits = replace(_limits_of_trial(config), threads=self._job_threads)
        reply = self._answer(CheckQuestion(config=config, rows=rows), limits)
        assert reply.check is not None, "there is a check or a problem"
        return reply.check

    def _answer(self, question: Question, limits: ChildLimits) -> InspectionReply:
        asked = QUESTION.dump_json(question)
        place = self._folder / f"{_fingerprint(asked, question.config)}.json"
        with self._turn:
            reply = _read(place)
            if reply is None:
                reply = REPLY.validate_json(self._ask(INSPECTOR, asked, limits))
                self._keep(place, reply)
        if reply.problem is not None:
            raise InspectionError(reply.problem)
        return reply

    def _keep(self, place: Path, reply: InspectionReply) -> None:
        """Problems are not kept, which may be gone when it is asked again, nor what was measured."""
        if reply.problem is not None or reply.check is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(place, REPLY.dump_json(reply))
        oldest = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in oldest[:-KEPT]:
            path.unlink(missing_ok=True)


def _limits_of_trial(config: RunConfig) -> ChildLimits:
    needs = estimate_needs(config, in_main_memory=True)
    return ChildLimits(wall_s=TRIAL_S, memory_bytes=TRIAL_BYTES + (0 if needs is None else needs.memory))


def _read(place: Path) -> InspectionReply | None:
    with suppress(OSError, ValidationError):
        reply = REPLY.validate_json(place.read_bytes())
        place.touch()
        return reply
    return None


def _fingerprint(asked: bytes, config: RunConfig) -> str:
    """Of the question, of the files that it is about, and of what answers it."""
    files = {str(path): _state(path) for path in _files_of(config)}
    whole = json.dumps([version("verifine"), files, hashlib.sha256(asked).hexdigest()], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


def _files_of(config: RunConfig) -> list[Path]:
    data = [place for place in (config.data.train, config.data.eval) if isinstance(place, Path)]
    folder = Path(config.model.name).expanduser()
    return [*data, *(sorted(folder.glob("*")) if folder.is_dir() else [])]


def _state(path: Path) -> Mapping[str, int]:
    """What changes when the file does."""
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read ({error.strerror})") from error
    return {"size": found.st_size, "changed": found.st_mtime_ns}
