"""docs/migrate-from-openai.md: its example runs, and its tables name every field of OpenAI's."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openai.types import FileObject, Model
from openai.types import graders as grader_types
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning.job_create_params import JobCreateParams
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint
from openai.types.fine_tuning.reinforcement_hyperparameters import ReinforcementHyperparameters
from openai.types.fine_tuning.reinforcement_method import ReinforcementMethod

from verifine.runs.events import RunEnded
from verifine.runs.status import Status
from verifine.service.database import Database
from verifine.service.http.app import ServiceParts
from verifine.service.jobs.file_check import check_files
from verifine.service.jobs.states import JobState
from verifine.service.jobs.validation import JobValidator
from verifine.service.models.bases import TrainableModel
from verifine.service.models.store import ModelStore
from verifine.testing.clock import ManualClock
from verifine.testing.service_parts import serve_parts
from verifine.testing.supervised_jobs import make_supervised_job

from .conftest import KEY

PAGE = (Path(__file__).parents[2] / "docs" / "migrate-from-openai.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
[ROW] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
NAMED = {word for code in re.findall(r"`([^`\n]+)`", PAGE) for word in re.findall(r"\w+", code)}

GRADERS = [
    grader_types.StringCheckGrader,
    grader_types.TextSimilarityGrader,
    grader_types.PythonGrader,
    grader_types.ScoreModelGrader,
    grader_types.LabelModelGrader,
    grader_types.MultiGrader,
]
OBJECTS: list[Any] = [
    JobCreateParams,
    ReinforcementMethod,
    ReinforcementHyperparameters,
    FineTuningJob,
    FineTuningJobEvent,
    FineTuningJobCheckpoint,
    FileObject,
    Model,
    *GRADERS,
]


@pytest.mark.parametrize("schema", OBJECTS, ids=lambda schema: schema.__name__)
def test_every_field_of_openai_is_in_a_table(schema: Any) -> None:
    fields = set(getattr(schema, "model_fields", None) or schema.__annotations__)
    assert fields - NAMED == set()


@pytest.mark.slow
def test_the_example_runs(
    parts: ServiceParts,
    database: Database,
    clock: ManualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, count in (("train", 16), ("held-out", 4)):
        lines = [json.dumps({**json.loads(ROW), "number": number}) for number in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    base = TrainableModel(name="SmolLM2-135M-Instruct", source=str(tmp_path / "tiny"), parameters=1000)
    parts = replace(parts, models=ModelStore(database, tmp_path, {base.name: base}, clock))
    world = make_supervised_job(parts, database, clock, tmp_path / "jobs")
    world.ask(JobState.CANCELLED)
    world.validator = JobValidator(parts.jobs, parts.files, parts.models, tmp_path / "jobs", check_files)
    names: dict[str, Any] = {}
    with serve_parts(parts) as url:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        exec(PROGRAMS[0], names)
        world.look_at(parts.jobs.find("local", names["job"].id))
        world.start()
        world.run.steps(1, 2)
        world.run.evaluate("step-2", 0.5)
        world.run.checkpoint(2)
        world.run.save_model(2)
        world.end(RunEnded(status=Status.FINISHED))
        world.supervisor.tick()
        exec(PROGRAMS[1], names)
        names["client"].close()
    tuned = f"ft:SmolLM2-135M-Instruct:local:sums:{world.job.id[-8:]}"
    assert capsys.readouterr().out.splitlines() == [
        "1.0 {'exact': 1.0, 'near': 1.0, 'short': 1.0}",
        f"succeeded {tuned} None",
        f"2 0.5 {tuned}:ckpt-step-2",
        "step_metrics.csv",
        "rollouts.jsonl",
        str(["SmolLM2-135M-Instruct", tuned, f"{tuned}:ckpt-step-2"]),
    ]
