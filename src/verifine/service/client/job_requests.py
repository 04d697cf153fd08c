"""A job from a file on this machine: a run.yaml, or a request in JSON."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verifine.config import load_config
from verifine.data.strict_json import JsonError, parse_json
from verifine.errors import ConfigError, VerifineError
from verifine.service.client.config_request import request_job
from verifine.service.client.connection import RequestRefusedError, ServiceAwayError, ServiceConnection

JOBS = "/v1/fine_tuning/jobs"
FILES = ("training_file", "validation_file")

UNKNOWN_FILE = "file_not_found"
"""The code of a refusal for a file that the service does not have."""

NOT_UPLOADED = "file-not-uploaded-yet"
"""The id of no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsentRequest:
    """A request for a job whose files are on this machine."""

    body: Mapping[str, Any]
    files: Mapping[str, Path]
    """To be uploaded, by the field that gets the id."""
    missing: Mapping[str, Path]
    """Where the files would be that the request names but that are not on this machine, by their fields."""


def create_job(
    service: ServiceConnection, path: Path, overrides: Sequence[str], tell: Callable[[str], None]
) -> dict[str, Any]:
    """The job that is made; files that the file names are uploaded. `tell` gets what the user should know.

    A refused request leaves no file at the service.

    Raises:
        ConfigError: the file cannot be meant, or the service refuses it.
    """
    is_json = path.suffix.lower() == ".json"
    request = _read_body(path, overrides) if is_json else _read_config(path, overrides, tell)
    try:
        _ask_without_files(service, request)
        return _send(service, request, tell)
    except RequestRefusedError as error:
        place = None if error.param is None else request.missing.get(error.param)
        if error.code == UNKNOWN_FILE and place is not None:
            missing = f"there is no {place.absolute()} on this machine: a path is relative to {path}"
            message = f"{error} at the service, and {missing}"
            raise ConfigError(message) from error
        raise


def _ask_without_files(service: ServiceConnection, request: UnsentRequest) -> None:
    """Has the service refuse what it can before it gets the files, for which it looks last.

    Raises:
        RequestRefusedError: it refuses something else than that the files are missing.
    """
    if not request.files:
        return
    try:
        service.post(JOBS, {**request.body, **dict.fromkeys(request.files, NOT_UPLOADED)})
    except RequestRefusedError as error:
        if error.code != UNKNOWN_FILE or error.param not in request.files:
            raise


def _send(service: ServiceConnection, request: UnsentRequest, tell: Callable[[str], None]) -> dict[str, Any]:
    uploaded: dict[str, str] = {}
    try:
        for field, path in request.files.items():
            uploaded[field] = service.upload(path)
            tell(f"uploaded {path} as {uploaded[field]}")
        made: dict[str, Any] = service.post(JOBS, {**request.body, **uploaded})
    except ServiceAwayError:  # it may have made the job
        raise
    except VerifineError:
        _remove(service, uploaded.values(), tell)
        raise
    return made


def _remove(service: ServiceConnection, file_ids: Collection[str], tell: Callable[[str], None]) -> None:
    """The service keeps a file that a job reads."""
    for file_id in file_ids:
        with suppress(VerifineError):
            service.delete(f"/v1/files/{file_id}")
            tell(f"removed {file_id} again")


def _read_config(path: Path, overrides: Sequence[str], tell: Callable[[str], None]) -> UnsentRequest:
    request = request_job(load_config(path, overrides))
    files = {"training_file": request.training_file}
    if request.validation_file is not None:
        files["validation_file"] = request.validation_file
    for name, file in zip(("data.train", "data.eval"), files.values(), strict=False):
        if not file.is_file():
            raise ConfigError(f"{name}: there is no file {file.absolute()} on this machine")
    if request.left_out:
        tell(f"the service decides {', '.join(request.left_out)} itself")
    return UnsentRequest(body=request.body, files=files, missing={})


def _read_body(path: Path, overrides: Sequence[str]) -> UnsentRequest:
    if overrides:
        raise ConfigError(f"{path}: a request in JSON takes no overrides; change the file")
    body = _read_object(path)
    named = {field: path.parent / body[field] for field in FILES if isinstance(body.get(field), str)}
    files = {field: place for field, place in named.items() if place.is_file()}
    missing = {field: place for field, place in named.items() if field not in files}
    return UnsentRequest(body=body, files=files, missing=missing)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; give a run.yaml, or a request in JSON") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text") from error
    except JsonError as error:
        place = "" if error.line is None else f" line {error.line}, column {error.column}"
        raise ConfigError(f"{path}{place}: this is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: a request is a JSON object, as POST /v1/fine_tuning/jobs takes it")
    return value
