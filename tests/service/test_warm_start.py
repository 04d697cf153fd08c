"""Jobs that start from what other jobs have left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import openai
import pytest

from verifine.config import LoraConfig, RunConfig
from verifine.service.jobs.states import JobState
from verifine.service.models.store import ModelInUseError
from verifine.testing.supervised_jobs import METHOD, SupervisedJob

LORA = {"verifine": {"model": {"lora": {"rank": 4}}}}


def leave(world: SupervisedJob, **fields: Any) -> str:
    """The name of the model of a job with these fields, which also has a checkpoint of step 1."""
    if not world.state.is_final:
        world.ask(JobState.CANCELLED)
    world.add_job(**fields)
    return world.train_to_the_end()


def prepared(world: SupervisedJob, **fields: Any) -> RunConfig:
    """The run of a new job with these fields."""
    child = replace(world)
    child.add_job(**fields)
    child.validator.validate_next()
    job = world.parts.jobs.find("local", child.job.id)
    assert (job.state, job.failure) == (JobState.QUEUED, None)
    return job.run_config()


def ask(client: openai.OpenAI, world: SupervisedJob, model: str, lora: Any) -> Any:
    return client.fine_tuning.jobs.create(
        model=model,
        training_file=world.job.training_file,
        method=METHOD,  # type: ignore[arg-type]
        extra_body={"verifine": {"model": {"lora": lora}}},
    )


@pytest.mark.parametrize("before", [{"verifine": {}}, LORA])
@pytest.mark.parametrize("after", [{"verifine": {}}, LORA])
def test_a_job_starts_from_a_tuned_model_with_all_weights_or_with_adapters(
    world: SupervisedJob, before: dict[str, Any], after: dict[str, Any]
) -> None:
    tuned = leave(world, **before)
    config = prepared(world, model=tuned, **after)
    assert (config.model.name, config.model.start_from) == (str(world.run.directory.model), None)
    assert config.model.lora == (LoraConfig(rank=4) if after is LORA else None)


def test_a_job_goes_on_with_the_adapters_and_the_template_of_a_checkpoint(world: SupervisedJob) -> None:
    settings = {"model": {"lora": {"rank": 4}, "chat_template_kwargs": {"a": 1, "b": 1}}}
    tuned = leave(world, verifine=settings)
    own = {"model": {"chat_template_kwargs": {"b": 2}}}
    config = prepared(world, model=f"{tuned}:ckpt-step-1", verifine=own)
    assert config.model.name == str(world.folder.parent.parent / "tiny")
    assert config.model.start_from == world.folder / "kept" / "checkpoints" / "step-000001"
    assert config.model.lora == LoraConfig(rank=4)
    assert config.model.chat_template_kwargs == {"a": 1, "b": 2}


def test_a_job_goes_on_with_all_weights_of_a_checkpoint(world: SupervisedJob) -> None:
    tuned = leave(world)
    config = prepared(world, model=f"{tuned}:ckpt-step-1")
    assert config.model.lora is None
    assert config.model.start_from == world.folder / "kept" / "checkpoints" / "step-000001"


@pytest.mark.parametrize(
    ("before", "lora"), [({"verifine": {}}, {}), (LORA, {"rank": 8}), (LORA, None), (LORA, {"rank": 4, "alpha": 64})]
)
def test_other_weights_than_those_of_a_checkpoint_cannot_be_trained(
    client: openai.OpenAI, world: SupervisedJob, before: dict[str, Any], lora: Any
) -> None:
    tuned = leave(world, **before)
    with pytest.raises(openai.BadRequestError) as refusal:
        ask(client, world, f"{tuned}:ckpt-step-1", lora)
    assert refusal.value.param == "verifine.model.lora"
    assert "fine_tuned_model" in refusal.value.message
    assert ask(client, world, tuned, lora).status == "validating_files"


def test_what_a_tuned_model_leaves_has_the_name_of_its_root(world: SupervisedJob) -> None:
    tuned = leave(world)
    second = leave(world, model=tuned, suffix="again", **LORA)
    assert second == f"ft:tiny:local:again:{world.job.id[-8:]}"
    found = world.parts.models.find("local", second)
    assert found.base == world.parts.models.find("local", tuned).source
    assert found.adapter == world.run.directory.model / "adapter"
    # The checkpoint of the second one is loaded with the first one.
    with pytest.raises(ModelInUseError):
        world.parts.models.delete("local", tuned)
    world.parts.models.delete("local", f"{second}:ckpt-step-1")
    world.parts.models.delete("local", tuned)
    left = world.parts.models.find("local", second)
    assert (left.base, left.adapter) == (str(world.run.directory.model), None)


def test_what_a_checkpoint_leaves_has_the_same_base(world: SupervisedJob) -> None:
    tuned = leave(world, **LORA)
    second = leave(world, model=f"{tuned}:ckpt-step-1")
    found = world.parts.models.find("local", second)
    assert found.base == str(world.folder.parent.parent / "tiny")
    assert found.adapter == world.run.directory.model / "adapter"


def test_a_job_whose_model_has_been_deleted_fails_with_its_field(world: SupervisedJob) -> None:
    world.ask(JobState.CANCELLED)
    world.add_job(model="ft:tiny:local::Deleted1")
    world.validator.validate_next()
    failure = world.parts.jobs.find("local", world.job.id).failure
    assert failure is not None
    assert (failure.code, failure.param) == ("model_not_found", "model")


def test_checkpoints_are_paged_newest_first(client: openai.OpenAI, world: SupervisedJob) -> None:
    world.start()
    for step in (1, 2, 3):
        world.run.steps(step, step)
        world.run.evaluate(f"step-{step}", 0.1 * step)
        world.run.checkpoint(step)
    world.supervisor.tick()
    with openai.OpenAI(
        base_url=client.base_url, api_key=client.api_key, max_retries=0, _strict_response_validation=True
    ) as strict:
        listed = list(strict.fine_tuning.jobs.checkpoints.list(world.job.id, limit=1))
    assert [each.step_number for each in listed] == [3, 2, 1]
    assert listed[0].id.startswith("ftckpt_")
    assert listed[0].fine_tuned_model_checkpoint == f"ft:tiny:local::{world.job.id[-8:]}:ckpt-step-3"
    assert listed[0].metrics.to_dict() == {"step": 3, "train_reward_mean": 0.3, "valid_reward_mean": 0.1 * 3}
    # A cursor at a checkpoint that has been deleted still has its place.
    client.models.delete(listed[1].fine_tuned_model_checkpoint)
    rest = client.fine_tuning.jobs.checkpoints.list(world.job.id, after=listed[1].id)
    assert [each.id for each in rest] == [listed[2].id]


def test_checkpoints_of_no_job_and_permissions_are_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.fine_tuning.jobs.checkpoints.list("ftjob-nothing")
    with pytest.raises(openai.NotFoundError) as missing:
        client.fine_tuning.checkpoints.permissions.list("ft:tiny:local::Nothing1:ckpt-step-1")
    assert missing.value.type == "invalid_request_error"
