from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from verifine.errors import ConfigError, HubError, ModelError
from verifine.launch.export.export import ExportOptions
from verifine.launch.export.publish import publish
from verifine.launch.export.target import ExportTarget
from verifine.runs.directory import RunDirectory
from verifine.runs.run_file import InputFacts, read_run_file, write_run_file
from verifine.testing.hub_uploads import UploadServer, serve_uploads

NAME, TOKEN = "mira/sums", "hf_mira"

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # from the hub's own client


@pytest.fixture
def server() -> Iterator[UploadServer]:
    with serve_uploads({TOKEN: "mira"}) as running:
        yield running


@pytest.fixture
def run(lora_run: RunDirectory, tmp_path: Path) -> RunDirectory:
    return RunDirectory(path=shutil.copytree(lora_run.path, tmp_path / "run"))


def test_what_is_on_the_hub_loads_as_it_stands(run: RunDirectory, server: UploadServer, tmp_path: Path) -> None:
    address = publish(ExportTarget(run=run, step=None), ExportOptions(form="merged"), server.place(NAME, TOKEN))
    assert address.startswith(f"{server.endpoint}/{NAME}/commit/")
    files = server.repositories[NAME].files
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert AutoModelForCausalLM.from_pretrained(tmp_path).config.model_type == "llama"
    card = files["README.md"].decode()
    assert f'from_pretrained("{NAME}")' in card
    assert f"vllm serve {NAME}" in card
    assert list(run.exports.iterdir()) == [], "the folder was only for the way there"


def test_a_folder_that_was_named_stays(run: RunDirectory, server: UploadServer, tmp_path: Path) -> None:
    options = ExportOptions(form="adapter", out=tmp_path / "here")
    publish(ExportTarget(run=run, step=None), options, server.place(NAME, TOKEN))
    pushed = server.repositories[NAME].files
    assert {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()}.items() <= pushed.items()
    assert str(tmp_path).encode() not in b"".join(pushed.values()), "folders of this machine stay here"


def test_a_push_that_breaks_leaves_no_folder(run: RunDirectory, server: UploadServer) -> None:
    server.refuses_commits = True
    with pytest.raises(HubError):
        publish(ExportTarget(run=run, step=None), ExportOptions(form="merged"), server.place(NAME, TOKEN))
    assert list(run.exports.iterdir()) == []


def test_a_form_that_the_model_does_not_have_creates_no_repository(run: RunDirectory, server: UploadServer) -> None:
    with pytest.raises(ModelError, match="tokenizer"):
        publish(ExportTarget(run=run, step=None), ExportOptions(form="gguf"), server.place(NAME, TOKEN))
    with pytest.raises(ConfigError, match="--dtype"):
        publish(
            ExportTarget(run=run, step=None), ExportOptions(form="merged", numbers="q8_0"), server.place(NAME, TOKEN)
        )
    assert server.repositories == {}


def test_a_licence_of_its_own_is_taken_by_the_hub(run: RunDirectory, server: UploadServer) -> None:
    run_file = read_run_file(run.path)
    facts = InputFacts(hub_id="some/base", licence="qwen-research")
    write_run_file(run.path, replace(run_file, inputs=facts))
    publish(ExportTarget(run=run, step=None), ExportOptions(form="merged"), server.place(NAME, TOKEN))
    card = server.repositories[NAME].files["README.md"].decode()
    assert "license: other\nlicense_name: qwen-research\n" in card
