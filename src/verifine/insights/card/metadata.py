"""The YAML front matter of a card, by which the Hugging Face hub sorts and links models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from verifine.config.dataset import HubDataset
from verifine.insights.card.licences import LICENCES
from verifine.insights.card.subject import CardSubject, ModelForm
from verifine.runs.record import RunRecord

_LIBRARIES: Mapping[ModelForm, str] = {"merged": "transformers", "adapter": "peft", "gguf": "transformers"}
_RELATIONS: Mapping[ModelForm, str] = {"merged": "finetune", "adapter": "adapter", "gguf": "finetune"}
"""A GGUF file has tuned weights, so it is more than a quantised base model."""
_TASK = "text-generation"


def front_matter(record: RunRecord, subject: CardSubject, title: str) -> str:
    """The lines between `---`. What is not known is left out.

    The hub refuses a card with a licence that it does not know, unless it is called `other`, with a name.
    """
    inputs = record.run_file.inputs
    base, licence = (None, None) if inputs is None else (inputs.hub_id, inputs.licence)
    results = [*_results(record)]
    data = ModelCardData(
        base_model=base,
        base_model_relation=None if base is None else _RELATIONS[subject.form],
        library_name=_LIBRARIES[subject.form],
        license=licence if licence is None or licence in LICENCES else "other",
        license_name=licence if licence is not None and licence not in LICENCES else None,
        pipeline_tag=_TASK,
        tags=[*_tags(record)],
        datasets=[*dict.fromkeys(_datasets(record))] or None,
        model_name=title if results else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---"


def _tags(record: RunRecord) -> Iterator[str]:
    yield from ("verifine", "reinforcement-learning", record.config.algorithm.name.replace("_", "-"))
    if record.config.model.lora is not None:
        yield "lora"


def _datasets(record: RunRecord) -> Iterator[str]:
    for place in (record.config.data.train, record.config.data.eval):
        if isinstance(place, HubDataset):
            yield place.name


def _results(record: RunRecord) -> Iterator[EvalResult]:
    """The accuracy on a dataset of the hub: of other data the hub could not say what it was measured on."""
    place = record.config.data.eval or record.config.data.train
    accuracy = None if record.final is None else record.final.answer_accuracy
    if accuracy is None or place is None or isinstance(place, Path):
        return
    yield EvalResult(
        task_type=_TASK,
        dataset_type=place.name,
        dataset_name=place.stem,
        dataset_config=place.config,
        dataset_split=place.split,
        metric_type="accuracy",
        metric_name="Answer accuracy on held-out rows",
        metric_value=round(accuracy, 4),
    )
