"""`verifine serve`: OpenAI's fine-tuning API, for this machine or for others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from verifine.service.serve import JobService


def serve_command(
    limits: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LIMIT=VALUE]...", help="Limits, such as endpoint_idle_seconds=60; see docs/service.md."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address of this machine to listen at; see docs/operate.md for others than this.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8080,
    name: Annotated[
        list[str] | None, typer.Option(metavar="HOST", help="What clients call the service; repeatable.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="PEM", help="The certificate, with its chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="PEM", help="Its private key.")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy speaks TLS for it, and nothing else reaches --host.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Where files, jobs and the database are; `service` in VERIFINE_HOME if not given."),
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="postgresql://USER@HOST/NAME, or sqlite:///PATH; SQLite in --data if not given.")
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Show administrators the runs of the command line in this folder as well."),
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
    from verifine.service.access.address import ServiceAddress, read_certificate
    from verifine.service.limits import ServiceLimits
    from verifine.service.serve import JobService, ServeOptions

    folders: dict[str, Path] = {}
    for each in model or []:
        model_name, equals, folder = each.partition("=")
        if not equals or not model_name or not folder:
            raise ConfigError(f"--model {each}: write NAME=FOLDER")
        folders[model_name] = Path(folder).absolute()
    address = ServiceAddress(
        host=host,
        port=port,
        names=tuple(name or ()),
        certificate=read_certificate(tls_cert, tls_key),
        is_behind_proxy=behind_proxy,
    )
    options = ServeOptions(
        address=address,
        data=data,
        database=database,
        folders=folders,
        runs=runs,
        limits=read_limits(limits or [], ServiceLimits),
    )
    service = JobService(options, os.environ)
    _tell_address(service)
    service.run()
    print("stopped; jobs that run go on")


def _tell_address(service: JobService) -> None:
    """What is printed may be kept as a log, so that no key is, and the start token on a terminal alone."""
    import shlex
    import sys

    print(f"Serving at {service.address}")
    if service.key_file is not None:
        print(f"export OPENAI_BASE_URL={service.address}/v1")
        print(f'export OPENAI_API_KEY="$(cat {shlex.quote(str(service.key_file))})"')
    if service.page is not None and sys.stdout.isatty():
        print(f"In a browser of this machine: {service.page}")
    sys.stdout.flush()
