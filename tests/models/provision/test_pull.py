"""Pulling from a hub that breaks, lies and refuses: a model is complete, or not there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub.constants import DOWNLOAD_CHUNK_SIZE

from verifine.errors import DiskError, ModelError
from verifine.machine.disk import Disk
from verifine.models.provision.cache import ORIGIN_FILE, ModelCache, Origin, StoredModel, read_origin
from verifine.models.provision.folder import hash_model_folder
from verifine.models.provision.hub import HubFile, HubModel, InterruptedDownloadError
from verifine.models.provision.pull import HubSource, pull_model
from verifine.models.provision.transfer import Transfer
from verifine.testing import save_tiny_model
from verifine.testing.disk import BROKEN, FULL, Fault, FaultyDisk
from verifine.testing.hub import HubRepository, HubServer, serve_hub

NAME = "someone/tiny"
WEIGHTS = "model.safetensors"

Told = list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def server(folder: Path) -> Iterator[HubServer]:
    with serve_hub({NAME: HubRepository.of_folder(folder)}) as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(folder=tmp_path)


def pull(
    server: HubServer,
    cache: ModelCache,
    name: str = NAME,
    *,
    token: str | None = None,
    revision: str | None = None,
    again: bool = False,
    told: Told | None = None,
) -> StoredModel:
    def progress(text: str, done: int, total: int) -> None:
        if told is not None:
            told.append((text, done, total))

    source = HubSource(
        hub=server.hub(token), hub_id=name, revision=revision, timeout_s=10, cache=cache, progress=progress
    )
    return pull_model(name, cache, [source], progress, commit=source.find().revision if again else None)


def weights_of(server: HubServer) -> bytes:
    return server.repositories[NAME].files[WEIGHTS]


def nothing_is_there(cache: ModelCache) -> bool:
    return cache.find(NAME) is None and cache.stored() == []


def test_a_pulled_model_is_what_the_hub_has_and_says_where_it_is_from(
    server: HubServer, cache: ModelCache, folder: Path
) -> None:
    stored = pull(server, cache)
    assert hash_model_folder(stored.folder) == hash_model_folder(folder)
    origin = read_origin(stored.folder)
    assert origin is not None
    assert (origin.hub_id, origin.revision, origin.licence) == (NAME, "a" * 40, "apache-2.0")
    assert origin.files[WEIGHTS].sha256 == hashlib.sha256(weights_of(server)).hexdigest()
    assert set(origin.files) == {path.name for path in folder.iterdir()}
    assert cache.stored() == [stored]
    assert not cache.partial_of(NAME).exists()


def test_progress_is_told_file_by_file_up_to_the_whole(server: HubServer, cache: ModelCache) -> None:
    told: Told = []
    pull(server, cache, told=told)
    size = len(weights_of(server))
    of_weights = [(done, total) for text, done, total in told if WEIGHTS in text]
    assert of_weights[0] == (0, size)
    assert of_weights[-1] == (size, size)
    assert any("asking the Hugging Face hub" in text for text, _, _ in told)


def test_a_model_that_is_here_is_not_asked_for_again(server: HubServer, cache: ModelCache) -> None:
    pull(server, cache)
    before = len(server.requests)
    pull(server, cache)
    assert len(server.requests) == before


def test_another_revision_takes_the_place_of_the_one_that_is_here(server: HubServer, cache: ModelCache) -> None:
    pull(server, cache)
    server.repositories[NAME].revision = "b" * 40
    assert pull(server, cache).revision == "a" * 40
    assert pull(server, cache, revision="main", again=True).revision == "b" * 40
    with pytest.raises(ModelError, match="no revision"):
        pull(server, cache, revision="v9", again=True)
    found = cache.find(NAME)
    assert found is not None
    assert found.revision == "b" * 40


def test_a_pull_that_was_killed_between_the_two_renames_is_completed_without_another_fetch(
    server: HubServer, cache: ModelCache, tmp_path: Path
) -> None:
    pull(server, cache)
    server.repositories[NAME].revision = "b" * 40
    pull(server, cache, revision="main", again=True)
    cache.place_of(NAME).rename(cache.partial_of(NAME))  # as if the second rename had not happened
    (cache.models / f".{cache.place_of(NAME).name}.old.tmp").mkdir()
    before = len(server.requests)
    assert pull(server, cache).revision == "b" * 40
    assert len(server.requests) == before
    found = cache.find(NAME)
    assert found is not None
    assert found.revision == "b" * 40


def test_one_that_has_waited_for_the_same_commit_does_not_fetch_it_again(server: HubServer, cache: ModelCache) -> None:
    source = HubSource(
        hub=server.hub(), hub_id=NAME, revision="main", timeout_s=10, cache=cache, progress=lambda *_: None
    )
    server.repositories[NAME].revision = "b" * 40
    commit = source.find().revision
    pull(server, cache, revision="main")  # by the process that was waited for
    assert pull_model(NAME, cache, [source], lambda *_: None, commit=commit).revision == commit
    assert server.fetched(WEIGHTS) == [0]


def test_an_interrupted_download_is_kept_and_no_other_source_is_asked(server: HubServer, cache: ModelCache) -> None:
    def broken(folder: Path) -> Origin:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / WEIGHTS).write_bytes(b"half")
        raise InterruptedDownloadError("the download of it was interrupted")

    def other(folder: Path) -> Origin:
        raise AssertionError(f"asked to fill {folder}")

    with pytest.raises(ModelError, match="interrupted"):
        pull_model(NAME, cache, [broken, other], lambda *_: None)
    assert (cache.partial_of(NAME) / WEIGHTS).read_bytes() == b"half"
    assert nothing_is_there(cache)


def parts_of(server: HubServer, cache: ModelCache, disk: Disk, count: int) -> Callable[[], object]:
    """A download of the weights in so many parts."""
    content = weights_of(server)
    digest = hashlib.sha256(content).hexdigest()
    file = HubFile(name=WEIGHTS, size=len(content), sha256=digest, git_hash=None)
    model = HubModel(hub_id=NAME, revision="a" * 40, licence=None, files=(file,))
    partial = cache.partial_of(NAME)
    partial.mkdir(parents=True, exist_ok=True)
    transfer = Transfer(
        hub=server.hub(),
        model=model,
        folder=partial,
        disk=disk,
        progress=lambda *_: None,
        part_bytes=-(-len(content) // count),
    )
    return lambda: transfer.fetch([file])


@pytest.mark.parametrize("error", [FULL, BROKEN])
@pytest.mark.parametrize("place", range(1, 11))
def test_a_download_that_the_disk_cuts_off_goes_on_from_there(
    place: int, error: int, server: HubServer, cache: ModelCache, tmp_path: Path
) -> None:
    draft = f"models/.partial-someone--tiny/.{WEIGHTS}.tmp"
    fault = Fault(point=f"append {draft} {place}", moment="within", error=error)
    with pytest.raises(DiskError) as refused:
        parts_of(server, cache, FaultyDisk(tmp_path, fault), 10)()
    assert refused.value.is_full == (error == FULL)
    assert nothing_is_there(cache)
    part = -(-len(weights_of(server)) // 10)
    assert (tmp_path / draft).stat().st_size == part * (place - 1)
    parts_of(server, cache, cache.disk, 10)()
    assert server.fetched(WEIGHTS) == [0, part * (place - 1)]
    assert (cache.partial_of(NAME) / WEIGHTS).read_bytes() == weights_of(server)


@pytest.mark.slow  # the hub's client waits a second before it takes a connection up again
@pytest.mark.parametrize("place", range(10))
def test_a_connection_that_breaks_leaves_no_model_and_the_next_attempt_completes_it(
    place: int, server: HubServer, cache: ModelCache
) -> None:
    server.cut_after = place * len(weights_of(server)) // 10
    with pytest.raises(ModelError, match=r"model\.safetensors was interrupted"):
        pull(server, cache)
    assert nothing_is_there(cache)
    server.cut_after = None
    assert (pull(server, cache).folder / WEIGHTS).read_bytes() == weights_of(server)


@pytest.mark.slow
def test_a_connection_that_breaks_late_costs_the_last_megabytes_alone(server: HubServer, cache: ModelCache) -> None:
    server.repositories[NAME].files[WEIGHTS] = bytes(range(256)) * (25 << 12)
    server.cut_after = 24 << 20
    with pytest.raises(ModelError, match="interrupted"):
        pull(server, cache)
    server.cut_after = None
    stored = pull(server, cache)
    # The hub's client hands over 10 MiB at a time.
    assert server.fetched(WEIGHTS) == [0, DOWNLOAD_CHUNK_SIZE * 2, DOWNLOAD_CHUNK_SIZE * 2]
    assert (stored.folder / WEIGHTS).read_bytes() == weights_of(server)


def test_a_server_without_ranges_is_read_from_the_start(server: HubServer, cache: ModelCache, tmp_path: Path) -> None:
    fault = Fault(point=f"append models/.partial-someone--tiny/.{WEIGHTS}.tmp 3", moment="before", error=BROKEN)
    with pytest.raises(DiskError):
        parts_of(server, cache, FaultyDisk(tmp_path, fault), 10)()
    server.knows_ranges = False
    parts_of(server, cache, cache.disk, 10)()
    assert server.fetched(WEIGHTS) == [0, 0]
    assert (cache.partial_of(NAME) / WEIGHTS).read_bytes() == weights_of(server)


def test_blanks_that_a_power_cut_left_are_read_again(server: HubServer, cache: ModelCache) -> None:
    partial = cache.partial_of(NAME)
    partial.mkdir(parents=True)
    (partial / ".revision").write_text("a" * 40)
    (partial / f".{WEIGHTS}.tmp").write_bytes(bytes(1000))
    stored = pull(server, cache)
    assert server.fetched(WEIGHTS) == [1000, 0]
    assert (stored.folder / WEIGHTS).read_bytes() == weights_of(server)


def test_what_was_fetched_of_another_commit_is_not_used(server: HubServer, cache: ModelCache) -> None:
    partial = cache.partial_of(NAME)
    partial.mkdir(parents=True)
    (partial / ".revision").write_text("b" * 40)
    (partial / "config.json").write_text("{}")
    (partial / "old.json").write_text("{}")
    stored = pull(server, cache)
    assert not (stored.folder / "old.json").exists()
    assert json.loads((stored.folder / "config.json").read_bytes())["model_type"] == "llama"


@pytest.mark.parametrize("name", [WEIGHTS, "tokenizer.json"])
def test_a_file_with_another_hash_is_refused_and_removed(name: str, server: HubServer, cache: ModelCache) -> None:
    repository = server.repositories[NAME]
    content = repository.files[name]
    repository.served[name] = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(ModelError, match=rf"{name} of someone/tiny is damaged"):
        pull(server, cache)
    assert nothing_is_there(cache)
    assert not list(cache.models.rglob(f"*{name}*"))
    repository.served.clear()
    assert (pull(server, cache).folder / name).read_bytes() == content


def test_a_model_that_does_not_fit_the_disk_is_refused_before_it_is_fetched(
    server: HubServer, cache: ModelCache
) -> None:
    server.repositories[NAME].sizes[WEIGHTS] = 1 << 60
    with pytest.raises(DiskError, match=r"takes [\d.]+ GB more.*VERIFINE_HOME") as refused:
        pull(server, cache)
    assert refused.value.is_full
    assert server.fetched(WEIGHTS) == []


@pytest.mark.slow
def test_every_point_of_writing_may_fail_and_the_next_attempt_succeeds(
    server: HubServer, tmp_path: Path, folder: Path
) -> None:
    first = FaultyDisk(tmp_path / "0")
    pull(server, ModelCache(folder=tmp_path / "0", disk=first))
    assert len(first.points) > 15
    for number, point in enumerate(first.points, start=1):
        root = tmp_path / str(number)
        cache = ModelCache(folder=root, disk=FaultyDisk(root, Fault(point=point, moment="before", error=FULL)))
        with pytest.raises(DiskError):
            pull(server, cache)
        # After the last rename the model is there, whatever fails then.
        assert nothing_is_there(cache) or hash_model_folder(cache.place_of(NAME)) == hash_model_folder(folder)
        stored = pull(server, replace(cache, disk=FaultyDisk(root)))
        assert hash_model_folder(stored.folder) == hash_model_folder(folder)


def test_a_gated_model_is_refused_with_where_to_accept_its_licence(server: HubServer, cache: ModelCache) -> None:
    server.repositories[NAME].reader_token = "hf_right"
    with pytest.raises(ModelError, match=r"gated: accept its licence at http.*/someone/tiny and set HF_TOKEN"):
        pull(server, cache)
    with pytest.raises(ModelError, match="your token may not read it") as refused:
        pull(server, cache, token="hf_wrong")
    assert "hf_wrong" not in str(refused.value)
    assert pull(server, cache, token="hf_right").revision == "a" * 40


def test_an_unknown_model_is_refused_with_the_nearest_of_its_owner(server: HubServer, cache: ModelCache) -> None:
    with pytest.raises(ModelError, match=r"someone/tinny.*did you mean someone/tiny\?"):
        pull(server, cache, "someone/tinny")
    assert server.requests == []


def test_pickled_weights_are_refused_before_they_are_fetched(server: HubServer, cache: ModelCache) -> None:
    files = server.repositories[NAME].files
    files["pytorch_model.bin"] = files.pop(WEIGHTS)
    with pytest.raises(ModelError, match=r"only pytorch_model\.bin.*can run code"):
        pull(server, cache)
    assert server.fetched("pytorch_model.bin") == []


def test_a_model_with_code_of_its_own_is_refused_before_its_weights_are_fetched(
    server: HubServer, cache: ModelCache
) -> None:
    files = server.repositories[NAME].files
    files["config.json"] = json.dumps({**json.loads(files["config.json"]), "auto_map": {"AutoModel": "m.M"}}).encode()
    with pytest.raises(ModelError, match="its own Python code"):
        pull(server, cache)
    assert server.fetched(WEIGHTS) == []


def test_a_model_without_a_tokenizer_is_refused_before_its_weights_are_fetched(
    server: HubServer, cache: ModelCache
) -> None:
    server.repositories[NAME].files.pop("tokenizer.json")
    with pytest.raises(ModelError, match=r"has no tokenizer\. Put its weights into a folder with the tokenizer\.json"):
        pull(server, cache)
    assert server.fetched(WEIGHTS) == []


def test_only_what_transformers_reads_is_fetched(server: HubServer, cache: ModelCache) -> None:
    more = {"consolidated.safetensors": b"x", "onnx/model.safetensors": b"x", "model.gguf": b"x", "LICENSE": b"mine"}
    server.repositories[NAME].files.update(more)
    stored = pull(server, cache)
    assert {path.name for path in stored.folder.iterdir()} & {*more, "onnx"} == {"LICENSE"}
    assert (stored.folder / ORIGIN_FILE).is_file()
