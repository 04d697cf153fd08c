from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from verifine.errors import CheckpointError, ConfigError, DiskError, ModelError
from verifine.launch.export.export import ExportOptions, export
from verifine.launch.export.target import ExportTarget, find_export_target
from verifine.launch.export.writing import refuse_full_disk
from verifine.machine.disk import draft_of
from verifine.runs.directory import RunDirectory
from verifine.testing.disk import BROKEN, FULL, Fault, FaultyDisk, Moment

QUESTION = "Largest of 3, 14"


@torch.no_grad()
def logits(network: PreTrainedModel, folder: Path) -> torch.Tensor:
    tokens = AutoTokenizer.from_pretrained(folder)(QUESTION, return_tensors="pt")
    found: torch.Tensor = network(**tokens).logits.float()
    return found


def greedy_text(network: PreTrainedModel, folder: Path) -> str:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    answer = network.generate(**prompt, max_new_tokens=24, do_sample=False)
    text: str = tokenizer.decode(answer[0])
    return text


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return found


def whole_run(run: RunDirectory) -> ExportTarget:
    return ExportTarget(run=run, step=None)


def copy_of(run: RunDirectory, folder: Path) -> RunDirectory:
    shutil.copytree(run.path, folder / "copy")
    return RunDirectory(path=folder / "copy")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


MERGED = [
    "README.md", "chat_template.jinja", "config.json", "curves.png", "generation_config.json", "model.safetensors",
    "tokenizer.json", "tokenizer_config.json",
]  # fmt: skip
ADAPTER = [
    "README.md", "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja", "curves.png",
    "tokenizer.json", "tokenizer_config.json",
]  # fmt: skip


def test_a_merged_model_is_what_the_run_saved_without_its_adapters(lora_run: RunDirectory, tmp_path: Path) -> None:
    folder = export(whole_run(lora_run), ExportOptions(form="merged", out=tmp_path / "out"))
    assert folder == tmp_path / "out"
    assert names(folder) == MERGED
    for name in set(MERGED) - {"README.md", "curves.png"}:
        assert (folder / name).read_bytes() == (lora_run.model / name).read_bytes()


def test_base_plus_adapter_is_the_merged_model(lora_run: RunDirectory, base: Path, tmp_path: Path) -> None:
    merged = export(whole_run(lora_run), ExportOptions(form="merged", out=tmp_path / "merged"))
    adapter = export(whole_run(lora_run), ExportOptions(form="adapter", out=tmp_path / "adapter"))
    assert names(adapter) == ADAPTER
    whole = AutoModelForCausalLM.from_pretrained(merged)
    start = AutoModelForCausalLM.from_pretrained(base)
    untrained = logits(start, base)
    both = PeftModel.from_pretrained(start, adapter)
    torch.testing.assert_close(logits(both, adapter), logits(whole, merged), rtol=1e-4, atol=1e-4)
    assert greedy_text(both, adapter) == greedy_text(whole, merged)
    assert (logits(whole, merged) - untrained).abs().max() > 0.1, "or the adapter could be missing"


def test_adapters_load_in_plain_peft_wherever_their_folder_is(
    lora_run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = export(whole_run(lora_run), ExportOptions(form="adapter", out=tmp_path / "adapter"))
    elsewhere = adapter.rename(tmp_path / "elsewhere")
    monkeypatch.chdir(elsewhere)
    found = AutoPeftModelForCausalLM.from_pretrained(".")
    whole = AutoModelForCausalLM.from_pretrained(lora_run.model)
    rows = len(AutoTokenizer.from_pretrained("."))  # peft cuts off the rows without a token
    theirs, ours = logits(found, elsewhere), logits(whole, lora_run.model)
    torch.testing.assert_close(theirs[..., :rows], ours[..., :rows], rtol=1e-4, atol=1e-4)


def test_half_as_many_bytes_hold_the_same_model_rounded(full_run: RunDirectory, tmp_path: Path) -> None:
    folder = export(whole_run(full_run), ExportOptions(form="merged", numbers="bfloat16", out=tmp_path / "out"))
    assert names(folder) == MERGED
    assert {tensor.dtype for tensor in weights(folder).values()} == {torch.bfloat16}
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
    whole, rounded = (AutoModelForCausalLM.from_pretrained(each) for each in (full_run.model, folder))
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(logits(rounded, folder), logits(whole, full_run.model), rtol=0.05, atol=0.1)
    assert "rounded to bfloat16" in (folder / "README.md").read_text()


def test_a_run_becomes_one_file_that_transformers_reads_back(byte_level_run: RunDirectory, tmp_path: Path) -> None:
    folder = export(whole_run(byte_level_run), ExportOptions(form="gguf", out=tmp_path / "out"))
    assert names(folder) == ["README.md", "base-f16.gguf", "curves.png"]
    source = {"pretrained_model_name_or_path": folder, "gguf_file": "base-f16.gguf"}
    found, whole = (
        AutoModelForCausalLM.from_pretrained(**source),
        AutoModelForCausalLM.from_pretrained(byte_level_run.model),
    )
    tokenizer = AutoTokenizer.from_pretrained(**source)
    tokens = tokenizer(QUESTION, return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(found(**tokens).logits, whole(**tokens).logits, rtol=0, atol=0.05)
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(byte_level_run.model).chat_template
    card = (folder / "README.md").read_text()
    assert 'gguf_file="base-f16.gguf"' in card
    assert "rounded to f16 and were not evaluated again" in card


def test_a_disk_that_is_full_leaves_no_half_gguf_file(byte_level_run: RunDirectory, tmp_path: Path) -> None:
    options = ExportOptions(form="gguf", numbers="q8_0", out=tmp_path / "out")
    disk = FaultyDisk(tmp_path, Fault(point="write .out.tmp/base-q8_0.gguf 1", moment="within", error=FULL))
    with pytest.raises(DiskError, match="free some space"):
        export(whole_run(byte_level_run), options, disk=disk)
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["full_run", "lora_run"])
def test_the_last_checkpoint_is_the_model(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    run: RunDirectory = request.getfixturevalue(kind)
    target = find_export_target(run.checkpoints / "step-000003")
    folder = export(target, ExportOptions(form="merged", out=tmp_path / "out"))
    assert names(folder) == MERGED
    for name, tensor in weights(run.model).items():
        assert torch.equal(tensor, weights(folder)[name])


def test_an_earlier_checkpoint_has_a_card_of_its_own(full_run: RunDirectory, tmp_path: Path) -> None:
    folder = export(
        find_export_target(full_run.checkpoints / "step-000002"), ExportOptions(form="merged", out=tmp_path / "out")
    )
    saved = weights(full_run.model)
    assert any(not torch.equal(tensor, saved[name]) for name, tensor in weights(folder).items())
    card = (folder / "README.md").read_text()
    assert "2 steps of 2 prompts" in card
    assert "| n = 2, with 95 % intervals | Base | Tuned | Change |" in card


def test_adapters_of_a_checkpoint_are_exported_as_well(lora_run: RunDirectory, tmp_path: Path) -> None:
    folder = export(
        find_export_target(lora_run.checkpoints / "step-000003"), ExportOptions(form="adapter", out=tmp_path / "out")
    )
    assert names(folder) == ADAPTER
    saved = load_file(lora_run.model / "adapter" / "adapter_model.safetensors")
    found = load_file(folder / "adapter_model.safetensors")
    assert saved.keys() == found.keys()
    assert all(torch.equal(tensor, found[name]) for name, tensor in saved.items())


def test_without_a_place_it_is_written_beside_the_model(full_run: RunDirectory, tmp_path: Path) -> None:
    run = copy_of(full_run, tmp_path)
    assert export(whole_run(run), ExportOptions(form="merged")) == run.exports / "merged"
    assert export(whole_run(run), ExportOptions(form="merged", numbers="float16")) == run.exports / "merged-float16"
    step = find_export_target(run.checkpoints / "step-000003")
    assert export(step, ExportOptions(form="merged")) == run.exports / "step-000003-merged"


def test_nothing_is_overwritten(full_run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    with pytest.raises(ConfigError, match=r"--out: .*precious exists"):
        export(whole_run(full_run), ExportOptions(form="merged", out=tmp_path / "precious"))
    assert names(tmp_path) == ["precious"]


def test_a_run_of_all_weights_has_no_adapters(full_run: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no adapters: the run trained all weights"):
        export(whole_run(full_run), ExportOptions(form="adapter", out=tmp_path / "out"))
    assert names(tmp_path) == []


def test_a_type_that_the_form_does_not_have_is_refused(full_run: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--dtype int3: .* float32 or bfloat16"):
        export(whole_run(full_run), ExportOptions(form="merged", numbers="int3", out=tmp_path / "out"))


FULL_AT = ("write .out.tmp/model.safetensors 1", "write .out.tmp/.README.md.tmp 1", "rename out 1")


@pytest.mark.parametrize("point", FULL_AT)
def test_a_disk_that_is_full_leaves_nothing(point: str, full_run: RunDirectory, tmp_path: Path) -> None:
    options = ExportOptions(form="merged", numbers="bfloat16", out=tmp_path / "out")
    faulty = FaultyDisk(tmp_path, Fault(point=point, moment="before", error=FULL))
    with pytest.raises(DiskError, match="free some space"):
        export(whole_run(full_run), options, disk=faulty)
    assert names(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "within"])
def test_a_disk_that_is_full_at_any_time_leaves_nothing(moment: Moment, full_run: RunDirectory, tmp_path: Path) -> None:
    options = ExportOptions(form="merged", numbers="bfloat16", out=tmp_path / "out")
    disk = FaultyDisk(tmp_path)
    export(whole_run(full_run), options, disk=disk)
    shutil.rmtree(tmp_path / "out")
    points = [point for point in disk.points if point.startswith("write" if moment == "within" else ("sync", "rename"))]
    assert set(FULL_AT) <= set(disk.points)
    for point in points:
        faulty = FaultyDisk(tmp_path, Fault(point=point, moment=moment, error=FULL))
        with pytest.raises(DiskError, match="free some space"):
            export(whole_run(full_run), options, disk=faulty)
        assert names(tmp_path) == [], point


def test_the_disk_may_fail_while_a_checkpoint_is_read(full_run: RunDirectory, tmp_path: Path) -> None:
    target = find_export_target(full_run.checkpoints / "step-000003")
    options = ExportOptions(form="merged", out=tmp_path / "out")
    point = "sync .out.tmp/..source.tmp.tmp/model.safetensors 1"
    with pytest.raises(DiskError):
        export(target, options, disk=FaultyDisk(tmp_path, Fault(point=point, moment="before", error=BROKEN)))
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_removed(full_run: RunDirectory, tmp_path: Path) -> None:
    left = draft_of(tmp_path / "out")
    (left / "half").mkdir(parents=True)
    (left / "half" / "model.safetensors").touch()
    folder = export(whole_run(full_run), ExportOptions(form="merged", out=tmp_path / "out"))
    assert names(folder) == MERGED
    assert names(tmp_path) == ["out"]


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """As another process does that writes there."""
    folder.mkdir()
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    yield
    os.close(handle)


def test_two_processes_do_not_write_one_folder(full_run: RunDirectory, tmp_path: Path) -> None:
    draft = draft_of(tmp_path / "out")
    with held(draft):
        (draft / "theirs").touch()
        with pytest.raises(ConfigError, match="another process is writing"):
            export(whole_run(full_run), ExportOptions(form="merged", out=tmp_path / "out"))
        assert names(draft) == ["theirs"]


def test_a_disk_that_is_too_small_is_refused_before_it_is_written(full_run: RunDirectory, tmp_path: Path) -> None:
    needed = (full_run.model / "model.safetensors").stat().st_size
    refuse_full_disk(full_run.model, tmp_path, "merged", "float32", lambda _: needed)
    refuse_full_disk(full_run.model, tmp_path, "merged", "bfloat16", lambda _: needed // 2)
    with pytest.raises(DiskError, match=r"would take .*\(--out\)"):
        refuse_full_disk(full_run.model, tmp_path, "merged", "float32", lambda _: needed - 1)


def test_a_checkpoint_of_another_base_is_refused(full_run: RunDirectory, base: Path, tmp_path: Path) -> None:
    run = copy_of(full_run, tmp_path)
    other = shutil.copytree(base, tmp_path / "other")
    (other / "generation_config.json").write_text('{"eos_token_id": 2}')
    run.config.write_text(run.config.read_text().replace(str(base), str(other)))
    with pytest.raises(ModelError, match=f"{other} has other files than the model that {run.path} was trained from"):
        export(find_export_target(run.checkpoints / "step-000003"), ExportOptions(form="merged"))
    assert not run.exports.exists() or names(run.exports) == []


def test_a_damaged_checkpoint_is_refused(full_run: RunDirectory, tmp_path: Path) -> None:
    run = copy_of(full_run, tmp_path)
    shard = next((run.checkpoints / "step-000003").glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CheckpointError):
        export(find_export_target(run.checkpoints / "step-000003"), ExportOptions(form="merged"))


def test_the_card_names_the_form_and_holds_no_secret(
    lora_run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "Largest of")
    folder = export(whole_run(lora_run), ExportOptions(form="adapter", out=tmp_path / "out"))
    card = (folder / "README.md").read_text()
    assert "library_name: peft" in card
    assert "Largest of" not in card
    assert "[secret]" in card
