"""`verifine models`: which models there are, what each takes, and which are on this machine."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from verifine.cli.models_text import describe_model_list, describe_summary

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
def list_models(as_json: _AsJson = False) -> None:
    """List the catalogue, and other models that were pulled.

    Any hub id or local folder of a supported architecture works as well. Memory is what training takes at the least on
    one accelerator; `verifine models show` says more.
    """
    from verifine.launch.models.listing import list_summaries
    from verifine.models.provision.cache import ModelCache, cache_folder

    listed = list_summaries(ModelCache(folder=cache_folder()))
    if as_json:
        print(json.dumps({"models": [summary.row() for summary in listed]}))
    else:
        print(describe_model_list(listed))


@app.command("show")
def show_model(model: _Name, as_json: _AsJson = False) -> None:
    """Show what is known about one model: licence, context, thinking, and what training it takes."""
    from verifine.launch.models.listing import find_summary
    from verifine.models.provision.cache import ModelCache, cache_folder

    summary = find_summary(model, ModelCache(folder=cache_folder()))
    print(json.dumps(summary.row()) if as_json else describe_summary(summary))


@app.command("remove")
def remove_model(model: _Name) -> None:
    """Remove a model that was pulled from this machine."""
    from verifine.launch.models.listing import remove_stored
    from verifine.models.provision.cache import ModelCache, cache_folder
    from verifine.preflight.memory import describe_bytes

    hub_id, size = remove_stored(model, ModelCache(folder=cache_folder()), tell_waiting=lambda: _tell_waiting(model))
    print(f"{hub_id} is removed: {describe_bytes(size)} are free again.")


def _tell_waiting(model: str) -> None:
    print(f"waiting for another process that is fetching {model} ...", flush=True)
