"""A job from a file on this machine: a run.yaml, or a request in JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from verifine.config import load_config
from verifine.data.strict_json import JsonError, parse_json
from verifine.errors import ConfigError
from verifine.service.client.config_request import request_job
from verifine.service.client.connection import ServiceConnection

FILES = ("training_file", "validation_file")


def create_job(
    service: ServiceConnection, path: Path, overrides: Sequence[str], tell: Callable[[str], None]
) -> dict[str, Any]:
    """The job that is made; files that the file names are uploaded. `tell` gets what the user should know.

    Raises:
        ConfigError: the file cannot be meant, or the service refuses it.
    """
    if path.suffix.lower() == ".json":
        if overrides:
            raise ConfigError(f"{path}: a request in JSON takes no overrides; change the file")
        body = _read_request(path)
        for field in FILES:
            local = body.get(field)
            if isinstance(local, str) and (path.parent / local).is_file():
                body[field] = _upload(service, path.parent / local, tell)
    else:
        request = request_job(load_config(path, overrides))
        if request.left_out:
            tell(f"the service decides {', '.join(request.left_out)} itself")
        body = {**request.body, "training_file": _upload(service, request.training_file, tell)}
        if request.validation_file is not None:
            body["validation_file"] = _upload(service, request.validation_file, tell)
    made: dict[str, Any] = service.post("/v1/fine_tuning/jobs", body)
    return made


def _read_request(path: Path) -> dict[str, Any]:
    try:
        value = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; give a run.yaml, or a request in JSON") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text") from error
    except JsonError as error:
        raise ConfigError(f"{path}: this is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: a request is a JSON object, as POST /v1/fine_tuning/jobs takes it")
    return value


def _upload(service: ServiceConnection, path: Path, tell: Callable[[str], None]) -> str:
    file_id = service.upload(path)
    tell(f"uploaded {path} as {file_id}")
    return file_id
