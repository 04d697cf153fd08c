"""What is asked of the Hugging Face hub, through its own client."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from typing import BinaryIO, TypeVar

from huggingface_hub import HfApi, ModelInfo, get_token, hf_hub_url
from huggingface_hub.constants import HF_HUB_OFFLINE
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]
from huggingface_hub.utils.tqdm import tqdm

from verifine.errors import ModelError, VerifineError

FIRST_ANSWER_S = 3.0
"""How long the hub has to answer where there is another source."""

PATIENT_S = 20.0
"""And where there is none."""

_NEIGHBOURS = 200
"""Models of an owner among which a near name is looked for."""

Answer = TypeVar("Answer")


class InterruptedDownloadError(ModelError):
    """The hub has the model, and what was fetched of it is kept for the next attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of a repository."""

    name: str
    size: int
    sha256: str | None
    """None: it lies in git itself, and `git_hash` is known."""
    git_hash: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """A model on the hub at one commit."""

    hub_id: str
    revision: str
    licence: str | None
    files: tuple[HubFile, ...]


class _NoBar(tqdm):
    """Shows nothing: progress is told by what is written."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **{**options, "disable": True})  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """The hub, or a mirror of it."""

    api: HfApi = field(default_factory=HfApi)
    token: str | None = field(default_factory=get_token, repr=False)
    is_offline: bool = HF_HUB_OFFLINE

    def find(self, hub_id: str, revision: str | None, timeout_s: float) -> HubModel:
        """The files of a model, at the newest commit or at `revision`: a commit, a branch or a tag.

        Raises:
            ModelError: there is no such model or revision, it may not be read, or the hub does not answer in time.
        """
        if self.is_offline:
            raise ModelError("HF_HUB_OFFLINE is set, so the hub was not asked.")

        def ask() -> ModelInfo:
            info = self.api.model_info(
                hub_id, revision=revision, timeout=timeout_s, files_metadata=True, token=self.token
            )
            if info.gated:  # about those it tells everybody
                self.api.auth_check(hub_id, token=self.token)
            return info

        try:
            info = _within(timeout_s, ask)
        except GatedRepoError as error:
            raise ModelError(self._gated(hub_id)) from error
        except RevisionNotFoundError as error:
            raise ModelError(f'{hub_id} has no revision "{revision}"; give a commit, a branch or a tag.') from error
        except RepositoryNotFoundError as error:
            raise ModelError(
                f"the hub has no model of that name{self._neighbours(hub_id)}, or you may not read it (is HF_TOKEN "
                "set?)."
            ) from error
        except VerifineError:
            raise
        except Exception as error:
            raise ModelError(f"the hub at {self.api.endpoint} cannot be reached ({type(error).__name__}).") from error
        return _describe(hub_id, info)

    def read(self, model: HubModel, file: HubFile, sink: BinaryIO, done: int) -> None:
        """Writes a file to `sink`, which has its first `done` bytes already. Broken connections are taken up again.

        Raises:
            InterruptedDownloadError: it cannot be read to its end.
            DiskError: it cannot be written.
        """
        url = hf_hub_url(model.hub_id, file.name, revision=model.revision, endpoint=self.api.endpoint)
        headers = build_hf_headers(token=self.token)
        try:
            http_get(
                url, sink, resume_size=done, headers=headers, expected_size=file.size, tqdm_class=_NoBar,
                displayed_filename=file.name,
            )  # fmt: skip
        except VerifineError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InterruptedDownloadError(
                f"the download of {file.name} was interrupted ({reason}). Try again; it continues where it stopped."
            ) from error

    def _gated(self, hub_id: str) -> str:
        page = f"{self.api.endpoint}/{hub_id}"
        if self.token is None:
            return f"the model is gated: accept its licence at {page} and set HF_TOKEN, or run `hf auth login`."
        return f"the model is gated, and your token may not read it: accept its licence at {page} with that account."

    def _neighbours(self, hub_id: str) -> str:
        """A clause with the nearest names of the same owner."""
        owner = hub_id.partition("/")[0]

        def ask() -> list[str]:
            return [each.id for each in islice(self.api.list_models(author=owner, token=self.token), _NEIGHBOURS)]

        try:
            names = _within(FIRST_ANSWER_S, ask)
        except Exception:  # noqa: BLE001 - the hint is not worth another failure
            return ""
        nearest = get_close_matches(hub_id, names, n=3)
        return f" (did you mean {' or '.join(nearest)}?)" if nearest else ""


def _within(timeout_s: float, ask: Callable[[], Answer]) -> Answer:
    """What `ask` returns or raises.

    It runs in a thread of its own, because resolving a host name can take far longer than a client's time-out.

    Raises:
        ModelError: it took too long.
    """
    answers: list[Answer] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            answers.append(ask())
        except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if failures:
        raise failures[0]
    if not answers:
        raise ModelError(f"the hub did not answer within {timeout_s:.0f} seconds.")
    return answers[0]


def _describe(hub_id: str, info: ModelInfo) -> HubModel:
    if info.sha is None:
        raise ModelError(f"the hub names no revision of {hub_id}, so it cannot be said what would be fetched.")
    card = info.card_data
    licence = None if card is None else card.get("license_name") or card.get("license")
    return HubModel(
        hub_id=hub_id,
        revision=info.sha,
        licence=licence if isinstance(licence, str) else None,
        files=tuple(
            HubFile(
                name=each.rfilename,
                size=each.lfs.size if each.lfs is not None else each.size or 0,
                sha256=None if each.lfs is None else each.lfs.sha256,
                git_hash=each.blob_id,
            )
            for each in info.siblings or ()
        ),
    )
