from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from verifine.errors import ModelError
from verifine.models.provision.cache import cache_folder
from verifine.models.provision.stored import ask_hub, provision_model
from verifine.testing import save_tiny_model


def no_progress(text: str, done: int, total: int) -> None: ...


def test_a_local_folder_is_used_where_it_is(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "mine")
    found = provision_model(str(folder), tmp_path / "cache", no_progress)
    assert (found.name, found.folder, found.source) == (str(folder), folder, "local folder")


@pytest.mark.parametrize("written", ["./mine", "mine", "mine/", "../{0}/mine"])
def test_a_folder_is_called_what_the_user_wrote(written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tiny_model(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    name = written.format(tmp_path.name)
    found = provision_model(name, tmp_path / "cache", no_progress)
    assert (found.name, found.folder) == (name, tmp_path / "mine")
    (tmp_path / "mine" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"^(\./|\.\./[^/]+/)?mine has no"):
        provision_model(name, tmp_path / "cache", no_progress)


def test_a_model_in_the_cache_is_not_fetched_again(tmp_path: Path) -> None:
    stored = save_tiny_model(tmp_path / "models" / "HuggingFaceTB--SmolLM2-135M-Instruct")
    for name in ("SmolLM2-135M-Instruct", "smollm2-135m-instruct", "HuggingFaceTB/SmolLM2-135M-Instruct"):
        found = provision_model(name, tmp_path, no_progress)
        assert (found.folder, found.source) == (stored, "local cache")


def test_the_cache_is_where_verifine_home_says(tmp_path: Path) -> None:
    assert cache_folder({"VERIFINE_HOME": str(tmp_path)}) == tmp_path
    assert cache_folder({"XDG_CACHE_HOME": "/var/caches"}) == Path("/var/caches/verifine")
    assert cache_folder({}) == Path.home() / ".cache" / "verifine"


def test_an_unknown_name_is_refused_with_the_catalogue(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r'"SmolLM2-135M".*"SmolLM2-135M-Instruct"\?.*Qwen3-0.6B'):
        provision_model("SmolLM2-135M", tmp_path, no_progress)


def test_a_model_that_only_the_hub_has_is_refused_when_the_hub_may_not_be_asked(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nobody/nothing: HF_HUB_OFFLINE"):
        provision_model("nobody/nothing", tmp_path, no_progress)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_folder_without_a_config_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"it has no config.json"):
        provision_model(str(tmp_path), tmp_path, no_progress)


def test_weights_that_can_run_code_are_refused(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "mine")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no \*.safetensors.*refused.*Convert it"):
        provision_model(str(folder), tmp_path, no_progress)


def test_a_model_that_brings_its_own_code_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "mine")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModelForCausalLM": "evil.Model"}}))
    with pytest.raises(ModelError, match="its own Python code"):
        provision_model(str(folder), tmp_path, no_progress)


@pytest.mark.slow
def test_a_hub_that_does_not_answer_is_given_up_in_three_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hub = HfApi(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
        failure = ask_hub("owner/name", hub)
    assert failure is not None
    assert "3 seconds" in failure or "cannot be reached" in failure
