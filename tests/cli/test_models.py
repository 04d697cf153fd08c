from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from verifine.models.provision.catalogue import CATALOGUE
from verifine.models.provision.shipped import SHIPPED
from verifine.testing import save_tiny_model
from verifine.testing.hub import HubRepository, serve_hub
from verifine.testing.models import with_chat_template

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The folder that stored models are in; VERIFINE_HOME of every test is inside `tmp_path`."""
    return tmp_path / "verifine-home" / "models"


def test_the_list_has_a_line_for_each_model_of_the_catalogue(verifine: Command) -> None:
    code, out, err = verifine("models", "list")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    names = [*SHIPPED, *CATALOGUE]
    assert [line.split()[0] for line in lines[1 : len(names) + 1]] == names
    llama = next(line for line in lines if line.startswith("Llama-3.2-3B-Instruct"))
    assert llama.split()[1:6] == ["3.2", "B", "131,072", "llama3.2", "*"]


def test_the_list_says_what_is_on_this_machine(verifine: Command, models: Path) -> None:
    save_tiny_model(models / "HuggingFaceTB--SmolLM2-135M-Instruct")
    save_tiny_model(models / "someone--a--b", "qwen3")
    (models / ".partial-Qwen--Qwen3-4B").mkdir()
    rows = {row["name"]: row for row in json.loads(verifine("models", "list", "--json")[1])["models"]}
    assert list(rows) == [*SHIPPED, *CATALOGUE, "someone/a--b"]
    here = {name for name, row in rows.items() if row["stored_bytes"]}
    assert here == {"pico", "SmolLM2-135M-Instruct", "someone/a--b"}
    assert rows["someone/a--b"]["model_type"] == "qwen3"


def test_a_model_of_the_catalogue_is_shown_with_its_sources(verifine: Command) -> None:
    code, out, _ = verifine("models", "show", "qwen3-4b")
    assert code == 0
    for part in ("Qwen/Qwen3-4B", "4,022,468,096", "enable_thinking: false", "<|im_end|>", "q_proj", "litgpt"):
        assert part in out


def test_a_model_that_comes_with_verifine_is_shown_and_cannot_be_removed(verifine: Command) -> None:
    code, out, _ = verifine("models", "show", "Pico")
    assert code == 0
    for part in ("pico", "comes with Verifine", "llama", "512 tokens", "apache-2.0", "<|end|>"):
        assert part in out
    for command in ("remove", "pull"):
        code, _, err = verifine("models", command, "pico")
        assert code == 3
        assert "comes with Verifine" in err


def test_a_folder_is_shown_by_what_its_files_say(verifine: Command, tmp_path: Path) -> None:
    folder = with_chat_template(
        save_tiny_model(tmp_path / "mine"), "{% if enable_thinking is defined %}<think>{% endif %}{{ messages }}"
    )
    row = json.loads(verifine("models", "show", folder, "--json")[1])
    assert (row["name"], row["hub_id"], row["licence"], row["gated"]) == (str(folder), None, None, None)
    assert (row["model_type"], row["context_length"], row["stop_tokens"]) == ("llama", 256, ["</s>"])
    assert row["thinking_switch"] == "enable_thinking"
    assert row["has_chat_template"]
    assert row["parameters"] == row["full"]["trainable"]
    assert row["lora_targets"][0] == "q_proj"


def test_a_model_without_a_chat_template_is_told_how_to_get_one(verifine: Command, tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "base")
    (folder / "chat_template.jinja").unlink()
    code, out, _ = verifine("models", "show", folder)
    assert code == 0
    assert "chat_template.jinja" in out


def test_an_unknown_model_is_told_with_the_nearest(verifine: Command) -> None:
    code, out, err = verifine("models", "show", "qwen3-4")
    assert (code, out) == (3, "")
    assert "Qwen3-4B" in err


def test_a_stored_model_that_is_refused_now_does_not_hide_the_others(verifine: Command, models: Path) -> None:
    folder = save_tiny_model(models / "someone--strange")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "mamba"}))
    listed = json.loads(verifine("models", "list", "--json")[1])
    assert len(listed["models"]) == len(SHIPPED) + len(CATALOGUE)
    assert [fault.split()[0] for fault in listed["faults"]] == ["someone/strange"]
    assert "\n! someone/strange " in verifine("models", "list")[1]


def test_a_model_is_not_pulled_by_a_name_that_no_hub_has(verifine: Command) -> None:
    code, _, err = verifine("models", "pull", "qwen3-4")
    assert code == 3
    assert "Qwen3-4B" in err


def test_pulling_a_model_of_the_catalogue_needs_no_torch() -> None:
    heavy = ("torch", "transformers")
    code = f"import sys, verifine.models.provision.stored; print([name for name in {heavy} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


@pytest.mark.parametrize("lacking", ["model.safetensors", "tokenizer.json"])
def test_a_folder_that_cannot_be_trained_is_not_shown_as_if_it_could(
    lacking: str, verifine: Command, tmp_path: Path
) -> None:
    folder = save_tiny_model(tmp_path / "mine")
    (folder / lacking).unlink()
    code, out, err = verifine("models", "show", str(folder))
    assert (code, out) == (3, "")
    assert lacking.partition(".")[2 if lacking.startswith("model") else 0] in err


@pytest.mark.slow
def test_a_model_is_pulled_with_its_revision_and_then_shown(tmp_path: Path, models: Path) -> None:
    repository = HubRepository.of_folder(save_tiny_model(tmp_path / "mine"))
    repository.files.pop("chat_template.jinja")
    with serve_hub({"someone/tiny": repository}) as server:
        environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": server.endpoint}
        command = [sys.executable, "-m", "verifine", "models", "pull", "someone/tiny"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        again = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, check=True)
    folder = models / "someone--tiny"
    assert "downloading model.safetensors of someone/tiny" in done.stdout
    assert f"revision {'a' * 40}" in done.stdout
    assert f"write one to {folder / 'chat_template.jinja'}" in done.stdout
    row = json.loads(again.stdout.splitlines()[-1])
    assert (row["folder"], row["revision"], row["licence"]) == (str(folder), "a" * 40, "apache-2.0")


def test_a_removed_model_is_gone_with_what_a_download_had_left(verifine: Command, models: Path) -> None:
    save_tiny_model(models / "HuggingFaceTB--SmolLM2-135M-Instruct")
    (models / ".partial-HuggingFaceTB--SmolLM2-135M-Instruct").mkdir()
    code, out, _ = verifine("models", "remove", "smollm2-135m-instruct")
    assert code == 0
    assert out.startswith("HuggingFaceTB/SmolLM2-135M-Instruct is removed: ")
    assert [path.name for path in models.iterdir() if path.is_dir()] == []


def test_a_model_that_is_not_here_cannot_be_removed(verifine: Command, models: Path) -> None:
    save_tiny_model(models / "someone--other")
    code, _, err = verifine("models", "remove", "Qwen3-4B")
    assert code == 3
    assert "someone/other" in err


@pytest.mark.parametrize(
    "name", ["", ".", "..", "./", "../models", "someone--other", ".partial-someone--half", "a/../b"]
)
def test_what_is_no_name_of_a_model_removes_nothing(name: str, verifine: Command, models: Path) -> None:
    save_tiny_model(models / "someone--other")
    (models / ".partial-someone--half").mkdir()
    code, out, err = verifine("models", "remove", name)
    assert (code, out) == (3, "")
    assert "someone/other" in err
    assert (models / "someone--other" / "model.safetensors").is_file()
    assert (models / ".partial-someone--half").is_dir()


def test_a_cache_that_cannot_be_written_is_told_with_its_place(verifine: Command, models: Path) -> None:
    models.parent.mkdir(exist_ok=True)
    models.write_text("in the way")
    code, _, err = verifine("models", "pull", "Qwen3-4B")
    assert code == 3
    assert f"{models} cannot be written" in err


@pytest.mark.parametrize(
    ("file", "content"), [("config.json", "null"), ("config.json", '{"auto_map": {}}'), ("tokenizer.json", "{")]
)
def test_a_folder_with_a_broken_file_is_told_by_its_name(
    file: str, content: str, verifine: Command, tmp_path: Path
) -> None:
    (save_tiny_model(tmp_path / "mine") / file).write_text(content)
    code, _, err = verifine("models", "show", tmp_path / "mine")
    assert code == 3
    assert file in err
