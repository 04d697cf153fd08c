"""`verifine endpoint`: a model behind OpenAI's chat completions, on this machine."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from verifine.launch.endpoint import Endpoint


def endpoint_command(
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN|CHECKPOINT|MODEL",
            help="A run directory, a checkpoint in one, a catalogue name, a hub id or a folder.",
        ),
    ],
    limits: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LIMIT=VALUE]...", help="Limits of the server, such as choices=16; see docs/serving.md."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8000,
    name: Annotated[str | None, typer.Option(help="What clients call the model.")] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=RUN", help="LoRA adapters of the model, served beside it as NAME; repeatable."),
    ] = None,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option(help="The type of matrix products; auto: the faster one.")
    ] = "auto",
) -> None:
    """Serve a model on this machine (127.0.0.1) in the form of OpenAI's API: chat completions and completions.

    SIGTERM and Ctrl-C finish what is being answered; a second Ctrl-C does not.
    """
    from verifine.cli.display import make_display
    from verifine.config.limit_words import read_limits
    from verifine.launch.endpoint import EndpointOptions, open_endpoint, read_adapters
    from verifine.serving import ServingLimits

    options = EndpointOptions(
        model=model,
        name=name,
        port=port,
        adapters=read_adapters(adapter or []),
        precision=precision,
        limits=read_limits(limits or [], ServingLimits),
    )
    display = make_display(sys.stdout, as_json=False)
    with display:
        endpoint = open_endpoint(options, time.time(), display)
    print(_announcement(endpoint), flush=True)
    endpoint.run()
    print("stopped")


def _announcement(endpoint: Endpoint) -> str:
    served = endpoint.models[0]
    count = served.capacity.rows
    return (
        f"Serving {', '.join(each.name for each in endpoint.models)} at {endpoint.address}/v1\n"
        f"        {count} answer{'s' if count > 1 else ''} at a time, up to {served.capacity.own_tokens} tokens each; "
        f"context {served.context_tokens}\n"
        "        Ctrl-C to stop"
    )
