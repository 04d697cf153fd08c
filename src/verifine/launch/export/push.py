"""Pushing an exported folder to the Hugging Face hub: one commit with every file, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils._validators import validate_repo_id

from verifine.errors import ConfigError, HubError
from verifine.models.provision.hub import Hub
from verifine.models.quiet import no_progress_bars

_MADE_BY_THE_HUB = frozenset({".gitattributes"})
_LOGIN = "set HF_TOKEN to a token that may write, or run `hf auth login`"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPlace:
    """A repository on the hub, and how it is to be written."""

    repository: str
    """OWNER/NAME."""
    is_public: bool = False
    """Whether everybody may read it; one that exists is not changed."""
    updates: bool = False
    """Whether the files of a repository that has some already are replaced; its history stays."""
    hub: Hub = field(default_factory=Hub)


def check_place(place: PushPlace) -> None:
    """Refuses what would be refused after the model was written. Nothing on the hub is changed.

    Raises:
        ConfigError: it is no name of a repository, or of one that has files already.
        HubError: there is no token, or the hub cannot be asked.
    """
    _check_name(place.repository)
    if place.hub.is_offline:
        raise HubError("HF_HUB_OFFLINE is set, so nothing can be pushed; unset it, or export a folder (--to merged)")
    if place.hub.token is None:
        raise HubError(f"the hub takes a model only with a token: {_LOGIN}")
    try:
        info = place.hub.api.model_info(place.repository, token=place.hub.token)
    except RepositoryNotFoundError:
        return
    except Exception as error:
        raise _explain(error, place) from error
    files = {each.rfilename for each in info.siblings or ()} - _MADE_BY_THE_HUB
    if files and not place.updates:
        raise ConfigError(
            f"--repo: {place.repository} has {len(files)} files already; give another name, or replace them in a new "
            "commit with --update"
        )
    if not info.private and not place.is_public:
        raise ConfigError(
            f"--repo: {place.repository} is public, so everybody could read the model; say --public if that is meant, "
            "or give another name"
        )


def push_folder(folder: Path, place: PushPlace) -> str:
    """Creates the repository if it is not there, and commits every file of the folder. Returns the commit's address.

    Large files are sent first; until the commit, which is the last request, nobody sees any of them.

    Raises:
        HubError: the hub refuses it, or the connection broke. Pushing again sends what is missing.
    """
    try:
        with no_progress_bars():
            place.hub.api.create_repo(
                place.repository, token=place.hub.token, private=not place.is_public, repo_type="model", exist_ok=True
            )
            commit = place.hub.api.upload_folder(
                repo_id=place.repository,
                folder_path=folder,
                token=place.hub.token,
                commit_message="Upload a model trained with Verifine",
                delete_patterns="*" if place.updates else None,
            )
    except Exception as error:
        raise _explain(error, place) from error
    return commit.commit_url


def _check_name(repository: str) -> None:
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ConfigError(f"--repo: {error}; write OWNER/NAME") from error
    if repository.count("/") != 1:
        raise ConfigError(f"--repo: {repository!r} names no owner; write OWNER/NAME")


def _explain(error: Exception, place: PushPlace) -> HubError:
    """What failed, for anything that the hub's client or its HTTP library raise."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, HfHubHTTPError):
        cause = cause.__cause__
    told = [error] if cause is None or cause is error else [error, cause]
    reason = " ".join(" ".join(str(each).split()) or type(each).__name__ for each in told)
    status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else None
    if status == 401:
        return HubError(f"the hub does not know the token; {_LOGIN}")
    if status == 403:
        return HubError(f"the token may not write {place.repository}: {reason}; {_LOGIN}")
    return HubError(
        f"pushing to {place.repository} failed ({reason}); nothing of it can be seen there. Try again: what has "
        "arrived is not sent again"
    )
