"""Hashes of the inputs of a run."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from verifine.config import AnyGrader
from verifine.data.message_rows import further_fields
from verifine.graders import GradeFunction, Grader
from verifine.launch.inputs import RunInputs
from verifine.models.provision.folder import hash_model_folder
from verifine.models.provision.stored import ProvisionedModel
from verifine.runs.run_file import Provenance
from verifine.types import Example

_ADDED_FIELDS = re.compile(r',"units":\[\]')
"""Fields of graders that earlier runs did not have, with their defaults. A text in JSON cannot hold this."""


def find_provenance(
    inputs: RunInputs,
    provisioned: ProvisionedModel,
    grader: Grader | GradeFunction | None,
    start: str | None,
) -> Provenance:
    """Reads every file of the model and every example; `start` is the sha256 of the checkpoint it starts from."""
    values = inputs.config.model.chat_template_kwargs
    return Provenance(
        model=hash_model_folder(provisioned.folder),
        start=start,
        data=_hash(_describe(example) for examples in (inputs.train, inputs.held_out) for example in examples),
        grader=hash_graders(_configured(inputs)) if grader is None else _hash_source(grader),
        template_values=_hash([json.dumps(dict(values), sort_keys=True)]) if values else None,
    )


def _describe(example: Example) -> str:
    """The same text for messages with role and content alone as before there were others."""
    messages = [
        {"role": message.role, "content": message.content, **further_fields(message)} for message in example.messages
    ]
    return json.dumps({**asdict(example), "messages": messages, "place": ""}, sort_keys=True)


def hash_graders(graders: Sequence[AnyGrader]) -> str:
    """The hash of their configurations; that of an earlier run, so that it can be resumed."""
    return _hash(_ADDED_FIELDS.sub("", grader.model_dump_json()) for grader in graders)


def _configured(inputs: RunInputs) -> list[AnyGrader]:
    assert inputs.grader is not None, "a run without a grader does not begin"
    second = inputs.config.evaluation.grader
    return [inputs.grader] if second is None else [inputs.grader, second]


def _hash_source(grader: Grader | GradeFunction) -> str | None:
    """The hash of the source of a function or class; None: Python cannot find its source."""
    code: Callable[..., object] | type = grader if inspect.isfunction(grader) else type(grader)
    try:
        return _hash([inspect.getsource(code)])
    except (OSError, TypeError):
        return None


def _hash(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", errors="surrogatepass") + b"\0")
    return digest.hexdigest()
