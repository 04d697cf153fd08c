"""Writes a GGUF file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from gguf import GGML_QUANT_VERSION, GGUF_DEFAULT_ALIGNMENT, MODEL_ARCH_NAMES, GGUFWriter, LlamaFileType

from verifine.machine.disk import Disk, refuse_failure
from verifine.models.forms.gguf.family import add_shape, find_family
from verifine.models.forms.gguf.tensors import GgufTensor, GgufType, find_gguf_tensors
from verifine.models.forms.gguf.tokenizer import add_tokenizer, read_gguf_tokenizer

_FILE_TYPES: Mapping[GgufType, LlamaFileType] = {
    "f16": LlamaFileType.MOSTLY_F16,
    "q8_0": LlamaFileType.MOSTLY_Q8_0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufLabel:
    """What a GGUF file says about where it comes from."""

    name: str
    licence: str | None
    base: str | None
    """The base model's name on the hub."""


def write_gguf(source: Path, target: Path, numbers: GgufType, label: GgufLabel, disk: Disk) -> None:
    """Writes the model that a run has saved in `source` into one file. One tensor at a time is in memory.

    Raises:
        DiskError: it cannot be written.
        ModelError: GGUF files are not written of such a model here.
    """
    family = find_family(source)
    tokenizer = read_gguf_tokenizer(source, family.config.vocab_size)
    tensors = find_gguf_tensors(source, family, numbers)
    writer = GGUFWriter(None, MODEL_ARCH_NAMES[family.architecture])
    _add_label(writer, label)
    add_shape(writer, family)
    writer.add_file_type(_FILE_TYPES[numbers])
    writer.add_quantization_version(GGML_QUANT_VERSION)
    add_tokenizer(writer, tokenizer)
    for tensor in tensors:
        writer.add_tensor_info(
            tensor.name, tensor.shape, np.dtype(np.float32), tensor.byte_count, raw_dtype=tensor.kind
        )
    with refuse_failure(target):
        disk.write(target, _content(_header(writer), tensors))


def _add_label(writer: GGUFWriter, label: GgufLabel) -> None:
    writer.add_type("model")
    writer.add_name(label.name)
    if label.licence is not None:
        writer.add_license(label.licence)
    if label.base is not None:
        owner, _, name = label.base.rpartition("/")
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, name)
        writer.add_base_model_organization(0, owner)
        writer.add_base_model_repo_url(0, f"https://huggingface.co/{label.base}")


def _header(writer: GGUFWriter) -> bytes:
    """Everything before the tensors. The package `gguf` can only write it to a file."""
    with TemporaryDirectory(prefix="verifine-") as folder:
        path = Path(folder) / "header.gguf"
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        return path.read_bytes()


def _content(header: bytes, tensors: Sequence[GgufTensor]) -> Iterator[bytes]:
    yield header + _padding(len(header))
    for tensor in tensors:
        encoded = tensor.encode().tobytes()
        assert len(encoded) == tensor.byte_count, tensor.name
        yield encoded
        yield _padding(len(encoded))


def _padding(length: int) -> bytes:
    return bytes(-length % GGUF_DEFAULT_ALIGNMENT)
