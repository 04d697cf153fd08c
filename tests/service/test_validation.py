from __future__ import annotations

from pathlib import Path

import pytest

from verifine.service.jobs.file_question import FileAnswer, FileQuestion
from verifine.service.jobs.job import FAILURES, UNFORESEEN
from verifine.service.jobs.states import JobState
from verifine.service.jobs.validation import JobValidator
from verifine.testing.supervised_jobs import SupervisedJob


def test_a_job_that_nobody_can_prepare_is_given_up_and_holds_up_no_other(world: SupervisedJob, tmp_path: Path) -> None:
    def ask(question: FileQuestion) -> FileAnswer:
        if question.seed == 1:
            raise ZeroDivisionError
        return FileAnswer(rows=80)

    parts, broken = world.parts, world.job
    other = world.add_job(seed=2)
    validator = JobValidator(parts.jobs, parts.files, parts.models, tmp_path / "jobs", ask)
    for _ in range(FAILURES - 1):
        with pytest.raises(ZeroDivisionError):
            validator.validate_next()
    validator.validate_next()
    validator.validate_next()
    assert parts.jobs.find("local", broken.id).failure == UNFORESEEN
    assert parts.jobs.find("local", other.id).state is JobState.QUEUED
