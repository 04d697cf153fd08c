from __future__ import annotations

import time
from pathlib import Path
from random import Random
from threading import Thread

import pytest
import torch
from safetensors.torch import load_file

from verifine.checkpoints.tensors import SHARDS, Lent, lend


def make(count: int) -> dict[str, torch.Tensor]:
    return {f"tensor {index}": torch.full((40,), float(index)) for index in range(count)}


@pytest.mark.parametrize("seed", range(30))
def test_what_is_written_is_what_was_lent_whenever_it_is_taken_back(seed: int, tmp_path: Path) -> None:
    owned, random, written = make(50), Random(seed), bytearray()
    lent = Lent(owned)
    pause_s, block_bytes = random.choice([0.0, 1e-5]), random.choice([16, 64, 1000])

    def write() -> None:
        for block in lent.encode(block_bytes=block_bytes):
            time.sleep(pause_s)  # whoever may change the tensors has time to
            written.extend(block)

    writer = Thread(target=write)
    writer.start()
    time.sleep(random.uniform(0, 0.01))
    lent.take_back()
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
    (tmp_path / "file").write_bytes(b"".join(map(bytes, Lent(tensors).encode(block_bytes=32))))
    found = load_file(tmp_path / "file")
    assert {name: tensor.dtype for name, tensor in found.items()} == {name: t.dtype for name, t in tensors.items()}
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_only_what_is_not_read_yet_is_left() -> None:
    lent = Lent(make(20))
    blocks = lent.encode(block_bytes=160)
    everything = lent.left_bytes
    assert everything > 20 * 160
    for _ in range(everything // 160 - 4):
        next(blocks)
    assert 4 * 160 <= lent.left_bytes <= 6 * 160
    lent.take_back()
    assert sum(map(len, blocks)) <= 6 * 160
    assert lent.left_bytes == 0


def test_shards_are_of_about_the_same_size_and_hold_every_tensor_once() -> None:
    tensors = {str(size): torch.empty(size) for size in (900, 400, 303, 302, 250, 6, 5, 0)}
    shards = lend(tensors)
    assert len(shards) == SHARDS
    sizes = sorted(shard.left_bytes for shard in shards)
    assert sizes[-1] < 4 * 900 + 500  # one tensor is not divided
    assert sizes[0] > 4 * 300
    assert len(lend({"a": torch.ones(2), "b": torch.ones(3)})) == 2
    assert lend({}) == []
