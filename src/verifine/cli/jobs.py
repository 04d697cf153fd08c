"""`verifine jobs`: the jobs of a service, over HTTP."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from verifine.service.client.connection import ServiceConnection

app = typer.Typer(
    name="jobs",
    help="Make and watch the jobs of a service that `verifine serve` runs, here or elsewhere.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_Server = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The service; else VERIFINE_SERVER, else OPENAI_BASE_URL beside a service's key, else "
        "http://127.0.0.1:8080.",
    ),
]
_Data = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The --data of the service, which has its key; else VERIFINE_API_KEY."),
]
_AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, and nothing else.")]
_Job = Annotated[str, typer.Argument(metavar="JOB", help="The id of a job.")]

FAILED = 5
"""The exit code when a job that was watched did not succeed."""


@app.command("create")
def send_job(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A run.yaml, or a request of OpenAI's API as .json.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Values that override a run.yaml's own.")
    ] = None,
    server: _Server = None,
    data: _Data = None,
    watch: Annotated[bool, typer.Option("--watch", help="Watch the job until it ends.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Upload the files that FILE names, and make a job."""
    from verifine.service.client.job_requests import create_job

    with _connect(server, data) as service:
        job = create_job(service, file, overrides or [], _tell)
        _show(job, as_json)
        if watch:
            _watch(service, job["id"], as_json)


@app.command("list")
def show_jobs(
    server: _Server = None,
    data: _Data = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="The newest so many.")] = 20,
    as_json: _AsJson = False,
) -> None:
    """List jobs, the newest first."""
    from verifine.cli.jobs_text import describe_jobs

    with _connect(server, data) as service:
        page = service.get("/v1/fine_tuning/jobs", limit=limit)
    print(json.dumps(page["data"]) if as_json else describe_jobs(page["data"], has_more=page["has_more"]))


@app.command("show")
def show_job(job: _Job, server: _Server = None, data: _Data = None, as_json: _AsJson = False) -> None:
    """Show what is known about a job."""
    from verifine.cli.jobs_text import describe_job

    with _connect(server, data) as service:
        found = service.get(f"/v1/fine_tuning/jobs/{_id(job)}")
        if as_json:
            print(json.dumps(found))
        else:
            print(describe_job(found, service.get(f"/v1/fine_tuning/jobs/{_id(job)}/events", limit=100)["data"]))


@app.command("watch")
def follow_job(job: _Job, server: _Server = None, data: _Data = None, as_json: _AsJson = False) -> None:
    """Follow a job until it ends, also over a restart of the service; exit code 5 if it does not succeed."""
    with _connect(server, data) as service:
        _watch(service, _id(job), as_json)


@app.command("logs")
def print_log(job: _Job, server: _Server = None, data: _Data = None, as_json: _AsJson = False) -> None:
    """Print everything that has happened to a job so far, the oldest first."""
    from verifine.cli.jobs_text import describe_event

    events: list[dict[str, Any]] = []
    with _connect(server, data) as service:
        query: dict[str, str | int] = {"limit": 100}
        while True:
            page = service.get(f"/v1/fine_tuning/jobs/{_id(job)}/events", **query)
            events += page["data"]
            if not page["has_more"]:
                break
            query["after"] = page["data"][-1]["id"]
    for event in reversed(events):
        print(json.dumps(event) if as_json else describe_event(event))


@app.command("cancel")
def cancel_job(job: _Job, server: _Server = None, data: _Data = None, as_json: _AsJson = False) -> None:
    """End a job; what it has saved stays."""
    if _ask("cancel", job, server, data, as_json)["status"] == "running":
        _tell("the job will be cancelled after its current step")


@app.command("pause")
def pause_job(job: _Job, server: _Server = None, data: _Data = None, as_json: _AsJson = False) -> None:
    """Save a checkpoint at the next step, and end until the job is resumed."""
    if _ask("pause", job, server, data, as_json)["status"] == "running":
        _tell("the job will be paused after its current step")


@app.command("resume")
def resume_job(
    job: _Job,
    server: _Server = None,
    data: _Data = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Pause again after this step.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Pause again after so many minutes of training.")] = None,
    as_json: _AsJson = False,
) -> None:
    """Continue a paused job from its checkpoint."""
    given = {"max_steps": max_steps, "max_minutes": max_minutes}
    run = {name: value for name, value in given.items() if value is not None}
    _ask("resume", job, server, data, as_json, {"verifine": {"run": run}} if run else None)


def _connect(server: str | None, data: Path | None) -> ServiceConnection:
    from verifine.service.client.connection import connect

    return connect(server, data, os.environ)


def _ask(
    verb: str, job: str, server: str | None, data: Path | None, as_json: bool, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    with _connect(server, data) as service:
        answered: dict[str, Any] = service.post(f"/v1/fine_tuning/jobs/{_id(job)}/{verb}", body)
    _show(answered, as_json)
    return answered


def _watch(service: ServiceConnection, job_id: str, as_json: bool) -> None:
    from verifine.cli.jobs_text import WatchText
    from verifine.service.client.watching import watch_job

    text = WatchText(lambda: service.get(f"/v1/fine_tuning/jobs/{job_id}"))
    for name, content in watch_job(service, job_id, _tell):
        lines = [json.dumps({"type": name, **content})] if as_json else text.describe(name, content)
        for line in lines:
            print(line, flush=True)
        if name == "end" and content["state"] != "succeeded":
            raise typer.Exit(FAILED)


def _show(job: dict[str, Any], as_json: bool) -> None:
    from verifine.cli.jobs_text import describe_job

    print(json.dumps(job) if as_json else describe_job(job), flush=True)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _id(job: str) -> str:
    """As a part of an address."""
    from urllib.parse import quote

    from verifine.errors import ConfigError

    if not job.strip() or job in (".", ".."):
        raise ConfigError(f"{job!r} is no job; `verifine jobs list` shows their ids")
    return quote(job, safe="")
