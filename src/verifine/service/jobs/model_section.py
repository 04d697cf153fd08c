"""The `model` section of a job's run: a base, a tuned model, or the weights of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

from verifine.config import LoraConfig, RunConfig
from verifine.service.jobs.request import ReasoningEffort
from verifine.service.models.bases import TrainableModel
from verifine.types import Json
from verifine.wire.api_error import invalid_request

LORA = "verifine.model.lora"


def model_section(model: TrainableModel, effort: ReasoningEffort, own: Mapping[str, Json]) -> dict[str, object]:
    """`own` is what the request sets of it; `effort` is for chat templates that have one.

    From a checkpoint, training goes on with the adapters and the template's values that it was trained with.
    """
    values: dict[str, object] = dict(own)
    template: dict[str, Json] = {} if effort == "default" else {"reasoning_effort": effort}
    if model.checkpoint is not None:
        trained = model.checkpoint.trained
        template = {**trained.chat_template_kwargs, **template}
        lora = None if trained.lora is None else trained.lora.model_dump(mode="json")
        values = {"lora": lora, **values, "start_from": str(model.checkpoint.folder)}
    given = own.get("chat_template_kwargs", {})
    values["chat_template_kwargs"] = {**template, **given} if isinstance(given, dict) else given
    return {**values, "name": model.source}


def refuse_other_adapters(config: RunConfig, model: TrainableModel) -> None:
    """Refuses to train other weights than a checkpoint has.

    Raises:
        ApiError: with the field that asks for it.
    """
    if model.checkpoint is None or config.model.lora == model.checkpoint.trained.lora:
        return
    trained = _describe(model.checkpoint.trained.lora)
    message = (
        f'"{LORA}" must be left out: {model.name} was trained with {trained}, and a job that starts from this '
        "checkpoint trains the same; start from a fine_tuned_model to train others"
    )
    raise invalid_request(message, param=LORA)


def _describe(lora: LoraConfig | None) -> str:
    if lora is None:
        return "all weights"
    base = "" if lora.base_bits is None else f", on a base in {lora.base_bits} bits"
    return f"LoRA adapters of rank {lora.rank}, alpha {lora.alpha} and targets {lora.targets}{base}"
