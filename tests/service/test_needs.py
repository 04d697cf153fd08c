from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import JsonValue

from verifine.config import LoraConfig, RunConfig, build_config
from verifine.models.memory.folder_shape import shape_of_folder
from verifine.models.provision.catalogue import find_entry
from verifine.models.provision.shipped import SHIPPED
from verifine.service.jobs.needs import JobNeeds, MachineRoom, Shortage, estimate_needs, find_shortage, read_room
from verifine.testing import save_tiny_model

GIB = 1 << 30
ROOM = MachineRoom(memory=8 * GIB, free_memory=4 * GIB, disk=100 * GIB, free_disk=10 * GIB)


def config(name: str, **sections: dict[str, JsonValue]) -> RunConfig:
    model = {"name": name, **sections.pop("model", {})}
    grader = {"type": "format", "pattern": ".*"}
    return build_config({"data": {"train": "x.jsonl"}, "grader": grader, "model": model, **sections})


@pytest.mark.parametrize(
    ("memory", "disk", "held", "code", "is_final"),
    [
        (4, 10, 0, None, None),
        (5, 1, 0, "insufficient_memory", False),
        (9, 1, 0, "insufficient_memory", True),
        (1, 11, 0, "insufficient_disk", False),
        (1, 11, 1, None, None),  # what a run that is resumed has there already
        (1, 101, 0, "insufficient_disk", True),
    ],
)
def test_what_never_fits_is_told_from_what_does_not_fit_now(
    memory: int, disk: int, held: int, code: str | None, is_final: bool | None
) -> None:
    found = find_shortage(JobNeeds(memory=memory * GIB, disk=disk * GIB), ROOM, held * GIB)
    assert (None if found is None else (found.code, found.is_final)) == (None if code is None else (code, is_final))


def test_both_numbers_are_told() -> None:
    for needed, has in ((9, "8.0 GiB"), (5, "4.0 GiB")):
        found = find_shortage(JobNeeds(memory=needed * GIB, disk=0), ROOM)
        assert isinstance(found, Shortage)
        assert f"{needed}.0 GiB" in found.message
        assert has in found.message


def test_a_large_model_takes_more_than_a_small_one_and_adapters_less() -> None:
    small, large = (estimate_needs(config(name), in_main_memory=True) for name in ("SmolLM2-135M-Instruct", "Qwen3-4B"))
    adapted = estimate_needs(config("Qwen3-4B", model={"lora": {}}), in_main_memory=True)
    assert small is not None
    assert large is not None
    assert adapted is not None
    assert 135e6 * 16 < small.memory < 6 * GIB
    assert large.memory > 4e9 * 16
    assert 4e9 * 4 < adapted.memory < large.memory / 2
    assert adapted.disk < large.disk / 10


def test_each_checkpoint_that_is_kept_takes_space() -> None:
    few, many = (estimate_needs(config("SmolLM2-135M-Instruct", run={"keep_last": kept})) for kept in (1, 11))
    entry = find_entry("SmolLM2-135M-Instruct")
    assert few is not None
    assert many is not None
    assert entry is not None
    assert many.disk - few.disk == 10 * 12 * entry.sizes.shape(None).parameters


def test_a_model_on_an_accelerator_takes_no_main_memory() -> None:
    needs = estimate_needs(config("Qwen3-4B"), in_main_memory=False)
    assert needs is not None
    assert needs.memory == 0


def test_of_a_model_that_is_not_there_nothing_is_known(tmp_path: Path) -> None:
    assert estimate_needs(config("somebody/something")) is None
    assert estimate_needs(config(str(tmp_path))) is None


def test_the_shape_of_a_folder_is_read_without_torch(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    shape = shape_of_folder(folder, None)
    assert shape is not None
    assert shape.layers > 0
    assert shape.trainable == shape.parameters
    pico = shape_of_folder(SHIPPED["pico"].folder, LoraConfig())
    assert pico is not None
    assert pico.is_known_decoder
    assert pico.trainable < pico.own_parameters


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model_type": "mamba"}', '{"num_attention_heads": 0}'])
def test_of_a_model_that_is_no_decoder_the_weights_are_counted(tmp_path: Path, content: str) -> None:
    folder = save_tiny_model(tmp_path)
    known = shape_of_folder(folder, None)
    (folder / "config.json").write_text(content)
    counted = shape_of_folder(folder, None)
    assert known is not None
    assert counted is not None
    assert (counted.parameters, counted.layers) == (known.parameters, 0)


def test_the_sizes_that_a_config_leaves_out_follow_from_the_rest(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    whole = shape_of_folder(folder, None)
    fields = json.loads((folder / "config.json").read_text())
    heads = fields["num_attention_heads"]
    if fields["head_dim"] == fields["hidden_size"] // heads:
        del fields["head_dim"]
    (folder / "config.json").write_text(json.dumps(fields))
    assert shape_of_folder(folder, None) == whole


def test_the_room_on_this_machine_is_what_it_has(tmp_path: Path) -> None:
    room = read_room(tmp_path / "not" / "yet")
    assert 0 < room.free_memory <= room.memory
    assert 0 < room.free_disk <= room.disk
