"""`verifine models`: which models there are, what each takes, and which are on this machine."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Annotated

import typer

from verifine.cli.models_text import describe_model_list, describe_pulled, describe_summary
from verifine.types import Json

app = typer.Typer(
    name="models",
    help="The models that Verifine knows by name, and those on this machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, and nothing else.")]
_Name = Annotated[str, typer.Argument(metavar="MODEL", help="A catalogue name, a Hugging Face hub id, or a folder.")]


@app.command("list")
def list_command(as_json: _AsJson = False) -> None:
    """List the catalogue, and other models that were pulled.

    Any hub id or local folder of a supported architecture works as well. Memory is what training takes at the least on
    one accelerator; `verifine models show` says more.
    """
    from verifine.launch.models.listing import list_models
    from verifine.models.provision.cache import ModelCache, cache_folder

    listing = list_models(ModelCache(folder=cache_folder()))
    if as_json:
        rows: list[Json] = [summary.row() for summary in listing.summaries]
        print(json.dumps({"models": rows, "faults": list(listing.faults)}))
    else:
        print("\n".join([describe_model_list(listing.summaries), *(f"! {fault}" for fault in listing.faults)]))


@app.command("show")
def show_command(model: _Name, as_json: _AsJson = False) -> None:
    """Show what is known about one model: licence, context, thinking, and what training it takes."""
    from verifine.launch.models.listing import find_summary
    from verifine.models.provision.cache import ModelCache, cache_folder

    summary = find_summary(model, ModelCache(folder=cache_folder()))
    print(json.dumps(summary.row()) if as_json else describe_summary(summary))


@app.command("pull")
def pull_command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A catalogue name or a Hugging Face hub id.")],
    revision: Annotated[
        str | None,
        typer.Option(help="A commit, a branch or a tag; it takes the place of the one that is here. Else the newest."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines: the stages, then the model.")] = False,
) -> None:
    """Fetch a model from the hub, or go on with a download that was interrupted.

    Training fetches a model by itself. HF_TOKEN is used for models that need one, HF_ENDPOINT for a mirror of the hub,
    and VERIFINE_HOME is where models are kept.
    """
    from verifine.cli.display import make_display
    from verifine.launch.models.listing import find_summary
    from verifine.models.provision.cache import ModelCache, cache_folder
    from verifine.models.provision.stored import fetch_model_files
    from verifine.runs.events import tell_progress

    cache = ModelCache(folder=cache_folder())
    with make_display(sys.stdout, as_json=as_json) as display:
        stored = fetch_model_files(model, cache, partial(tell_progress, display), revision=revision)
        summary = find_summary(stored.hub_id, cache)
        display.note(describe_pulled(summary, stored.folder))
        display.done({"type": "model", "folder": str(stored.folder), **summary.row()})


@app.command("remove")
def remove_command(model: _Name) -> None:
    """Remove a model that was pulled from this machine."""
    from verifine.launch.models.listing import remove_stored
    from verifine.models.provision.cache import ModelCache, cache_folder
    from verifine.preflight.memory import describe_bytes

    hub_id, size = remove_stored(model, ModelCache(folder=cache_folder()), tell_waiting=lambda: _tell_waiting(model))
    print(f"{hub_id} is removed: {describe_bytes(size)} are free again.")


def _tell_waiting(model: str) -> None:
    print(f"waiting for another process that is fetching {model} ...", flush=True)
