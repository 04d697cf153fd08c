"""The forms of a model: their types of weights, their sizes, and how each is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from verifine.errors import ConfigError, DiskError
from verifine.insights.card.subject import CARD, CURVES, CardSubject, ModelForm
from verifine.machine.disk import Disk, free_bytes
from verifine.models.forms.adapter import write_adapter
from verifine.models.forms.files import ADAPTER_FOLDER, WEIGHTS_SUFFIX
from verifine.models.forms.gguf.tensors import GGUF_TYPES
from verifine.models.forms.gguf.write import GgufLabel, write_gguf
from verifine.models.forms.merged import MERGED_TYPES, write_merged
from verifine.preflight.memory import describe_bytes
from verifine.runs.record import RunRecord
from verifine.runs.run_file import InputFacts

_CARD_FILES = (CARD, CURVES)

_BYTES: Mapping[ModelForm, Mapping[str, float]] = {
    "merged": {name: 4 if name == "float32" else 2 for name in MERGED_TYPES},
    "adapter": {"float32": 4},
    "gguf": {"f16": 2, "q8_0": 34 / 32},
}
"""The types of weights that a form has, the usual one first, with the bytes that a weight takes."""


def decide_numbers(form: ModelForm, wanted: str | None) -> str:
    """The type of the weights: the wanted one, or the usual one of the form.

    Raises:
        ConfigError: the form does not have it.
    """
    kinds = [*_BYTES[form]]
    if wanted is None:
        return kinds[0]
    if wanted not in kinds:
        raise ConfigError(
            f"--dtype {wanted}: weights of the form {form} are {' or '.join(kinds)}; choose one, or leave --dtype out"
        )
    return wanted


def refuse_full_disk(
    source: Path, folder: Path, form: ModelForm, numbers: str, free: Callable[[Path], int] = free_bytes
) -> None:
    """Refuses a disk that is too small, before anything is written.

    Raises:
        DiskError: it is.
    """
    weights = source / ADAPTER_FOLDER if form == "adapter" else source
    stored = sum(path.stat().st_size for path in weights.glob(f"*{WEIGHTS_SUFFIX}"))
    needed, available = round(stored * _BYTES[form][numbers] / 4), free(folder)
    if available < needed:
        raise DiskError(
            f"{folder} would take {describe_bytes(needed)}, and its disk has {describe_bytes(available)} of free "
            "space; free some, or give a folder on another disk (--out)",
            is_full=False,
        )


def write_form(source: Path, folder: Path, record: RunRecord, subject: CardSubject, disk: Disk) -> None:
    """Writes the model that a run has saved in `source`, all but its card.

    Raises:
        DiskError: it cannot be written.
        ModelError: the model does not have that form.
    """
    inputs = record.run_file.inputs or InputFacts()
    match subject.form:
        case "merged":
            numbers = next(each for each in MERGED_TYPES if each == subject.numbers)
            write_merged(source, folder, numbers, disk, without=_CARD_FILES)
        case "gguf":
            assert subject.file is not None
            kind = next(each for each in GGUF_TYPES if each == subject.numbers)
            label = GgufLabel(name=subject.file.removesuffix(".gguf"), licence=inputs.licence, base=inputs.hub_id)
            write_gguf(source, folder / subject.file, kind, label, disk)
        case "adapter":
            write_adapter(
                source,
                folder,
                disk,
                base=inputs.hub_id or (None if subject.repository is None else Path(record.config.model.name).name),
                revision=inputs.revision,
                without=_CARD_FILES,
            )
