from __future__ import annotations

import time
from pathlib import Path
from random import Random
from threading import Thread

import pytest
import torch
from safetensors.torch import load_file

from verifine.checkpoints.tensors import SHARDS, TensorSnapshot, snapshot


def make(count: int) -> dict[str, torch.Tensor]:
    return {f"tensor {index}": torch.full((40,), float(index)) for index in range(count)}


@pytest.mark.parametrize("seed", range(30))
def test_a_file_holds_the_tensors_as_they_were_whenever_the_rest_is_copied(seed: int, tmp_path: Path) -> None:
    owned, random, written = make(50), Random(seed), bytearray()
    tensor_snapshot = TensorSnapshot(owned)
    pause_s, block_bytes = random.choice([0.0, 1e-5]), random.choice([16, 64, 1000])

    def write() -> None:
        for block in tensor_snapshot.encode(block_bytes=block_bytes):
            time.sleep(pause_s)  # whoever may change the tensors has time to
            written.extend(block)

    writer = Thread(target=write)
    writer.start()
    time.sleep(random.uniform(0, 0.01))
    tensor_snapshot.copy_remaining()
    for tensor in owned.values():
        tensor.fill_(-1.0)
    writer.join()
    (tmp_path / "file").write_bytes(written)
    found = load_file(tmp_path / "file")
    assert found.keys() == make(50).keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in make(50).items())


def test_tensors_of_every_kind_and_shape_are_written_as_they_are(tmp_path: Path) -> None:
    tensors = {
        "number": torch.tensor(3),
        "nothing": torch.empty(0),
        "turned": torch.arange(12, dtype=torch.float64).reshape(3, 4).T,
        "claims": torch.tensor([True, False, True]),
        "half": torch.ones(5, dtype=torch.bfloat16),
        "learned": torch.nn.Parameter(torch.ones(3, 3)),
    }
    (tmp_path / "file").write_bytes(b"".join(map(bytes, TensorSnapshot(tensors).encode(block_bytes=32))))
    found = load_file(tmp_path / "file")
    assert {name: tensor.dtype for name, tensor in found.items()} == {name: t.dtype for name, t in tensors.items()}
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_only_what_is_not_written_yet_is_copied() -> None:
    tensor_snapshot = TensorSnapshot(make(20))
    blocks = tensor_snapshot.encode(block_bytes=160)
    everything = tensor_snapshot.remaining_bytes
    assert everything > 20 * 160
    for _ in range(everything // 160 - 4):
        next(blocks)
    assert 4 * 160 <= tensor_snapshot.remaining_bytes <= 6 * 160
    tensor_snapshot.copy_remaining()
    assert sum(map(len, blocks)) <= 6 * 160
    assert tensor_snapshot.remaining_bytes == 0


def test_shards_are_of_about_the_same_size_and_hold_every_tensor_once() -> None:
    tensors = {str(size): torch.empty(size) for size in (900, 400, 303, 302, 250, 6, 5, 0)}
    shards = snapshot(tensors)
    assert len(shards) == SHARDS
    sizes = sorted(shard.remaining_bytes for shard in shards)
    assert sizes[-1] < 4 * 900 + 500  # one tensor is not divided
    assert sizes[0] > 4 * 300
    assert len(snapshot({"a": torch.ones(2), "b": torch.ones(3)})) == 2
    assert snapshot({}) == []
