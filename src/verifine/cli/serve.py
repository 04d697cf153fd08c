"""`verifine serve`: OpenAI's fine-tuning API on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def serve_command(
    limits: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LIMIT=VALUE]...", help="Limits, such as endpoint_idle_seconds=60; see docs/service.md."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="The address of this machine to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8080,
    data: Annotated[
        Path | None,
        typer.Option(help="Where files, jobs and the database are; `service` in VERIFINE_HOME if not given."),
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="postgresql://USER@HOST/NAME, or sqlite:///PATH; SQLite in --data if not given.")
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Show the runs of the command line in this folder as well.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FOLDER", help="A model that jobs may name, beside the catalogue's; repeatable."),
    ] = None,
) -> None:
    """Take fine-tuning jobs in the form of OpenAI's API, and train them one after the other.

    Jobs go on when the service ends, and are found again when it starts.
    """
    from verifine.config.limit_words import read_limits
    from verifine.errors import ConfigError
    from verifine.service.limits import ServiceLimits
    from verifine.service.serve import JobService, ServeOptions

    folders: dict[str, Path] = {}
    for each in model or []:
        name, equals, folder = each.partition("=")
        if not equals or not name or not folder:
            raise ConfigError(f"--model {each}: write NAME=FOLDER")
        folders[name] = Path(folder).absolute()
    options = ServeOptions(
        host=host,
        port=port,
        data=data,
        database=database,
        folders=folders,
        runs=runs,
        limits=read_limits(limits or [], ServiceLimits),
    )
    service = JobService(options, os.environ)
    print(f"Serving at {service.address}")
    print(f"export OPENAI_BASE_URL={service.address}/v1")
    print(f"export OPENAI_API_KEY={service.key}", flush=True)
    service.run()
    print("stopped; jobs that run go on")
