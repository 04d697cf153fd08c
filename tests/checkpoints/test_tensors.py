from __future__ import annotations

from itertools import islice
from pathlib import Path
from threading import Event, Thread

import pytest
import torch
from safetensors.torch import load_file

from verifine.checkpoints.tensors import SHARDS, TensorSnapshot, snapshot


def make(count: int) -> dict[str, torch.Tensor]:
    return {f"tensor {index}": torch.full((40,), float(index)) for index in range(count)}


@pytest.mark.parametrize("block_bytes", [16, 64, 1000])
def test_a_file_holds_the_tensors_as_they_were_whenever_the_rest_is_copied(block_bytes: int, tmp_path: Path) -> None:
    count = sum(1 for _ in TensorSnapshot(make(50)).encode(block_bytes=block_bytes))
    for written in range(0, count, max(count // 30, 1)):
        owned = make(50)
        tensor_snapshot = TensorSnapshot(owned)
        blocks = tensor_snapshot.encode(block_bytes=block_bytes)
        content = b"".join(bytes(block) for block in islice(blocks, written))
        tensor_snapshot.copy_remaining()
        for tensor in owned.values():
            tensor.fill_(-1.0)
        assert_file_holds(make(50), content + b"".join(map(bytes, blocks)), tmp_path)


@pytest.mark.parametrize("seed", range(10))
def test_the_rest_may_be_copied_while_another_thread_writes(seed: int, tmp_path: Path) -> None:
    owned, written = make(50), bytearray()
    tensor_snapshot, has_begun, blocks_before = TensorSnapshot(owned), Event(), 20 * seed

    def write() -> None:
        for number, block in enumerate(tensor_snapshot.encode(block_bytes=16)):
            written.extend(block)
            if number == blocks_before:
                has_begun.set()

    writer = Thread(target=write)
    writer.start()
    has_begun.wait()
    tensor_snapshot.copy_remaining()
    for tensor in owned.values():
        tensor.fill_(-1.0)
    writer.join()
    assert_file_holds(make(50), bytes(written), tmp_path)


def assert_file_holds(tensors: dict[str, torch.Tensor], content: bytes, folder: Path) -> None:
    (folder / "file").write_bytes(content)
    found = load_file(folder / "file")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


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
