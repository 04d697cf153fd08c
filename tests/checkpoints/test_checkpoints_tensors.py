from __future__ import annotations

import time
from pathlib import Path
from random import Random
from threading import Thread

import pytest
import torch
from safetensors.torch import load_file

from verifine.checkpoints import tensors as module
from verifine.checkpoints.tensors import Lent


def make(count: int) -> dict[str, torch.Tensor]:
    return {f"tensor {index}": torch.full((40,), float(index)) for index in range(count)}


@pytest.mark.parametrize("seed", range(30))
def test_what_is_written_is_what_was_lent_whenever_it_is_taken_back(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 64)
    owned, random, written = make(50), Random(seed), bytearray()
    lent = Lent(owned)
    pause_s = random.choice([0.0, 1e-5])

    def write() -> None:
        for piece in lent.encode():
            time.sleep(pause_s)  # whoever may change the tensors has time to
            written.extend(piece)

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


def test_a_writer_that_is_slow_gives_way_after_the_piece_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 16)
    lent = Lent(make(20))
    seen: list[int] = []

    def write() -> None:
        for number, _ in enumerate(lent.encode()):
            seen.append(number)
            time.sleep(0.005)

    writer = Thread(target=write)
    writer.start()
    while len(seen) < 3:
        time.sleep(0.001)
    lent.take_back()
    assert len(seen) < 20, "of 201 pieces"
    writer.join()
    assert len(seen) == 201
