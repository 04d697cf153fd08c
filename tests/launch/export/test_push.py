from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from verifine.errors import ConfigError, HubError
from verifine.launch.export.push import PushPlace, check_place, push_folder
from verifine.models.provision.hub import Hub
from verifine.testing.hub_uploads import PushedRepository, UploadServer, serve_uploads

NAME, TOKEN = "mira/sums", "hf_mira"

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # from the hub's own client
README = "---\nlicense: apache-2.0\n---\n# Sums\n"


@pytest.fixture
def server() -> Iterator[UploadServer]:
    with serve_uploads({TOKEN: "mira", "hf_osei": "osei"}) as running:
        running.readers = frozenset({"hf_reader"})
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "README.md").write_text(README)
    (folder / "config.json").write_text("{}")
    (folder / "curves.png").write_bytes(b"\x89PNG")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 5000)
    return folder


def push(folder: Path, place: PushPlace) -> str:
    check_place(place)
    return push_folder(folder, place)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_push_is_a_private_repository_with_one_commit_of_every_file(server: UploadServer, folder: Path) -> None:
    address = push(folder, server.place(NAME, TOKEN))
    repository = server.repositories[NAME]
    assert repository.is_private
    assert repository.files == {".gitattributes": b"", **contents(folder)}
    assert repository.commits == ["Upload a model trained with Verifine"]
    assert address.startswith(f"{server.endpoint}/{NAME}/commit/")


def test_it_is_public_only_on_request(server: UploadServer, folder: Path) -> None:
    push(folder, server.place(NAME, TOKEN, is_public=True))
    assert not server.repositories[NAME].is_private


def test_looking_first_changes_nothing(server: UploadServer) -> None:
    check_place(server.place(NAME, TOKEN))
    assert server.repositories == {}
    assert [request.split()[0] for request in server.requests] == ["GET"]


def test_without_a_token_nothing_is_asked(server: UploadServer) -> None:
    with pytest.raises(HubError, match="HF_TOKEN"):
        check_place(server.place(NAME, None))
    assert server.requests == []


def test_offline_nothing_is_asked(server: UploadServer) -> None:
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        check_place(PushPlace(repository=NAME, hub=Hub(token=TOKEN, is_offline=True)))


@pytest.mark.parametrize("name", ["sums", "a/b/c", "mira/su ms", "/sums", ""])
def test_what_names_no_repository_is_refused(name: str, server: UploadServer) -> None:
    with pytest.raises(ConfigError, match="--repo: .*OWNER/NAME"):
        check_place(server.place(name, TOKEN))
    assert server.requests == []


def test_a_token_that_the_hub_does_not_know_is_refused_before_anything_is_written(server: UploadServer) -> None:
    with pytest.raises(HubError, match="does not know the token"):
        check_place(server.place(NAME, "hf_wrong"))


@pytest.mark.parametrize("token", ["hf_reader", "hf_osei"])
def test_a_token_without_the_right_to_write_is_refused(token: str, server: UploadServer, folder: Path) -> None:
    with pytest.raises(HubError, match=f"the token may not write {NAME}.*a token that may write"):
        push(folder, server.place(NAME, token))
    assert server.repositories == {}


def test_a_repository_with_files_is_refused_unless_it_is_to_be_updated(server: UploadServer, folder: Path) -> None:
    old = PushedRepository(is_private=True, files={".gitattributes": b"", "config.json": b"old", "stale.bin": b"1"})
    server.repositories[NAME] = old
    with pytest.raises(ConfigError, match=r"has 2 files already.*--update"):
        push(folder, server.place(NAME, TOKEN))
    assert old.commits == []
    push(folder, server.place(NAME, TOKEN, updates=True))
    assert server.repositories[NAME].files == {".gitattributes": b"", **contents(folder)}
    assert len(old.commits) == 1


def test_a_repository_without_files_is_filled(server: UploadServer, folder: Path) -> None:
    server.repositories[NAME] = PushedRepository(is_private=True)
    push(folder, server.place(NAME, TOKEN))
    assert contents(folder).items() <= server.repositories[NAME].files.items()


def test_what_everybody_could_read_is_never_written_by_accident(server: UploadServer, folder: Path) -> None:
    server.repositories[NAME] = PushedRepository(is_private=False)
    with pytest.raises(ConfigError, match=r"is public.*--public"):
        push(folder, server.place(NAME, TOKEN, updates=True))
    assert server.repositories[NAME].commits == []
    push(folder, server.place(NAME, TOKEN, is_public=True))
    assert len(server.repositories[NAME].commits) == 1


def test_an_upload_that_breaks_is_seen_by_nobody_and_continues_the_next_time(
    server: UploadServer, folder: Path
) -> None:
    server.storage_breaks_after = 1
    with pytest.raises(HubError, match=r"pushing to mira/sums failed .*Try again"):
        push(folder, server.place(NAME, TOKEN))
    assert server.repositories[NAME].files == {".gitattributes": b""}
    assert server.repositories[NAME].commits == []
    server.storage_breaks_after = None
    before = len(server.requests)
    push(folder, server.place(NAME, TOKEN))
    assert contents(folder).items() <= server.repositories[NAME].files.items()
    sent = [request for request in server.requests[before:] if request.startswith("PUT")]
    assert len(sent) == 1, "what had arrived is not sent again"


def test_a_commit_that_the_hub_refuses_leaves_the_repository_as_it_was(server: UploadServer, folder: Path) -> None:
    server.refuses_commits = True
    with pytest.raises(HubError, match="nothing of it can be seen there"):
        push(folder, server.place(NAME, TOKEN))
    assert server.repositories[NAME].commits == []


def test_a_hub_that_is_not_there_is_an_error_of_ours(server: UploadServer) -> None:
    gone = Hub(api=HfApi(endpoint="http://127.0.0.1:9"), token=TOKEN, is_offline=False)
    with pytest.raises(HubError, match="failed"):
        check_place(PushPlace(repository=NAME, hub=gone))


def test_a_card_that_the_hub_does_not_take_is_told_before_files_are_sent(server: UploadServer, folder: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: my own\n---\n")
    with pytest.raises(HubError, match="license"):
        push(folder, server.place(NAME, TOKEN))
    assert not any(request.startswith("PUT") for request in server.requests)
