from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from verifine.errors import ModelError
from verifine.models.provision.cache import ModelCache, cache_folder
from verifine.models.provision.hub import Hub
from verifine.models.provision.stored import fetch_model_files, provision_model
from verifine.testing import save_tiny_model
from verifine.testing.hub import HubRepository, serve_hub


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
    assert [path for path in (tmp_path / "models").iterdir() if path.is_dir()] == []


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


def test_a_hub_that_does_not_answer_is_given_up_in_time() -> None:
    with serve_hub({}), socket.create_server(("127.0.0.1", 0)) as silent:
        hub = Hub(api=HfApi(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"), token=None, is_offline=False)
        with pytest.raises(ModelError, match="did not answer within 0 seconds"):
            hub.find("owner/name", None, 0.1)


def test_a_hub_that_cannot_be_reached_is_named_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    hub = Hub(api=HfApi(endpoint=address), token=None, is_offline=False)
    with pytest.raises(ModelError, match=f"the hub at {address} cannot be reached"):
        hub.find("owner/name", None, 5)


def test_a_model_of_the_hub_is_fetched_once_and_then_found(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "mine")
    with serve_hub({"someone/tiny": HubRepository.of_folder(folder)}) as server:
        first = provision_model("someone/tiny", tmp_path, no_progress, server.hub())
        asked = len(server.requests)
        again = provision_model("someone/tiny", tmp_path, no_progress, server.hub())
    assert (first.source, again.source, len(server.requests)) == ("Hugging Face hub", "local cache", asked)
    assert first.folder == again.folder == tmp_path / "models" / "someone--tiny"


def test_an_entry_of_the_catalogue_is_fetched_by_its_hub_id(tmp_path: Path) -> None:
    repository = HubRepository.of_folder(save_tiny_model(tmp_path / "mine"))
    with serve_hub({"Qwen/Qwen3-0.6B": repository}) as server:
        found = provision_model("qwen3-0.6b", tmp_path, no_progress, server.hub())
    assert found.folder == tmp_path / "models" / "Qwen--Qwen3-0.6B"


def test_an_architecture_that_cannot_be_trained_is_refused_before_its_weights_are_fetched(tmp_path: Path) -> None:
    repository = HubRepository.of_folder(save_tiny_model(tmp_path / "mine"))
    config = json.loads(repository.files["config.json"])
    repository.files["config.json"] = json.dumps({**config, "model_type": "mamba"}).encode()
    with serve_hub({"someone/tiny": repository}) as server:
        with pytest.raises(ModelError, match="Verifine trains text decoders"):
            provision_model("someone/tiny", tmp_path, no_progress, server.hub())
        assert server.fetched("model.safetensors") == []


def test_another_revision_is_fetched_only_if_it_is_another_commit(tmp_path: Path) -> None:
    repository = HubRepository.of_folder(save_tiny_model(tmp_path / "mine"))
    cache = ModelCache(folder=tmp_path)
    with serve_hub({"someone/tiny": repository}) as server:
        fetch_model_files("someone/tiny", cache, no_progress, server.hub())
        fetch_model_files("someone/tiny", cache, no_progress, server.hub(), revision="main")
        assert server.fetched("model.safetensors") == [0]
        repository.revision = "b" * 40
        assert fetch_model_files("someone/tiny", cache, no_progress, server.hub()).revision == "a" * 40
        found = fetch_model_files("someone/tiny", cache, no_progress, server.hub(), revision="main")
    assert found.revision == "b" * 40
    assert server.fetched("model.safetensors") == [0, 0]
