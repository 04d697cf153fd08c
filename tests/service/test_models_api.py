"""OpenAI's models, with its own client."""

from __future__ import annotations

import asyncio

import httpx2
import openai
import pytest

from verifine.service.database import Database
from verifine.service.jobs.states import JobState
from verifine.service.models.store import ModelStore, UnknownModelError
from verifine.testing.clock import ManualClock
from verifine.testing.supervised_jobs import SupervisedJob


@pytest.fixture
def tuned(world: SupervisedJob) -> str:
    """The name of a model that a job has left, with the checkpoint of step 1."""
    return world.train_to_the_end()


def test_models_of_the_service_and_of_jobs_are_listed(
    client: openai.OpenAI, tuned: str, clock: ManualClock, world: SupervisedJob
) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert list(listed) == ["tiny", tuned, f"{tuned}:ckpt-step-1"]
    assert (listed["tiny"].owned_by, listed["tiny"].created) == ("verifine", 0)
    assert (listed[tuned].owned_by, listed[tuned].created) == ("org-local", int(clock()))
    assert client.fine_tuning.jobs.retrieve(world.job.id).fine_tuned_model == tuned


def test_models_pass_the_client_s_strict_validation(client: openai.OpenAI, tuned: str) -> None:
    with openai.OpenAI(
        base_url=client.base_url, api_key=client.api_key, max_retries=0, _strict_response_validation=True
    ) as strict:
        assert [strict.models.retrieve(model.id) for model in strict.models.list()] == list(strict.models.list())
        assert strict.models.delete(tuned).to_dict() == {"id": tuned, "object": "model", "deleted": True}


def test_an_async_client_finds_them_too(client: openai.OpenAI, tuned: str) -> None:
    async def run() -> None:
        async with openai.AsyncOpenAI(base_url=client.base_url, api_key=client.api_key) as asynchronous:
            assert (await asynchronous.models.retrieve(tuned)).id == tuned
            assert "tiny" in [model.id async for model in asynchronous.models.list()]

    asyncio.run(run())


def test_a_deleted_model_is_gone_with_its_files(client: openai.OpenAI, tuned: str, world: SupervisedJob) -> None:
    assert client.models.delete(tuned).deleted
    assert not world.run.directory.model.exists()
    for ask in (client.models.retrieve, client.models.delete):
        with pytest.raises(openai.NotFoundError) as missing:
            ask(tuned)
        assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model=tuned, messages=[{"role": "user", "content": "2 + 2?"}])
    assert missing.value.code == "model_not_found"
    assert [model.id for model in client.models.list()] == ["tiny", f"{tuned}:ckpt-step-1"]
    client.models.delete(f"{tuned}:ckpt-step-1")
    assert not list((world.folder / "kept" / "checkpoints").iterdir())


def test_a_model_of_the_service_cannot_be_deleted(client: openai.OpenAI) -> None:
    with pytest.raises(openai.PermissionDeniedError) as refusal:
        client.models.delete("tiny")
    assert (refusal.value.code, refusal.value.param) == ("insufficient_permissions", "model")


def test_a_model_that_a_job_starts_from_cannot_be_deleted(
    client: openai.OpenAI, tuned: str, world: SupervisedJob
) -> None:
    world.add_job(model=tuned)
    with pytest.raises(openai.ConflictError) as used:
        client.models.delete(tuned)
    assert used.value.code == "model_in_use"
    assert world.job.id in used.value.message
    world.ask(JobState.CANCELLED)
    assert client.models.delete(tuned).deleted


@pytest.mark.parametrize("name", ["gpt-4o", "ft:tiny:local::nothing1", "hugging/face", "%00", "tiny:ckpt-step-1"])
def test_a_model_that_there_is_not_is_not_found(client: openai.OpenAI, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve(name)
    assert missing.value.code == "model_not_found"


def test_another_owner_s_model_is_not_found(tuned: str, world: SupervisedJob) -> None:
    for ask in (world.parts.models.find, world.parts.models.delete):
        with pytest.raises(UnknownModelError):
            ask("bob", tuned)
    assert [model.name for model in world.parts.models.list("bob")] == ["tiny"]


def test_files_of_a_deleted_model_that_a_crash_left_go_at_the_next_start(tuned: str, world: SupervisedJob) -> None:
    world.parts.models.delete("local", tuned)
    world.run.directory.model.mkdir()
    world.parts.models.remove_deleted()
    assert not world.run.directory.model.exists()


def test_what_needs_a_base_that_the_service_no_longer_has_is_not_listed(
    tuned: str, world: SupervisedJob, database: Database, clock: ManualClock
) -> None:
    without = ModelStore(database, world.folder.parent.parent, {}, clock)
    assert [model.name for model in without.list("local")] == [tuned]
    with pytest.raises(UnknownModelError, match="--model tiny=FOLDER"):
        without.find("local", f"{tuned}:ckpt-step-1")


def test_a_name_with_a_slash_reaches_its_route(http: httpx2.Client) -> None:
    answer = http.get("/v1/models/a%2Fb:c")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
