"""`verifine export`: a trained model in the form that another program reads."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer


def export_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or a checkpoint in one.")],
    to: Annotated[
        Literal["merged", "adapter", "gguf", "hub"],
        typer.Option(
            "--to",
            help="merged: a whole model for transformers and vLLM; adapter: LoRA for peft; gguf: one file for "
            "llama.cpp; hub: a repository on the Hugging Face hub.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A new folder; one in RUN/export if not given.")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="The weights' type. merged: float32 (as trained), bfloat16, float16; gguf: f16, q8_0."),
    ] = None,
    repo: Annotated[str | None, typer.Option(metavar="OWNER/NAME", help="For hub: the repository.")] = None,
    form: Annotated[Literal["merged", "adapter", "gguf"], typer.Option(help="For hub: what is pushed.")] = "merged",
    public: Annotated[
        bool, typer.Option("--public", help="For hub: everybody may read it; else it is created private.")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="For hub: replace the files of a repository that has some already.")
    ] = False,
    no_samples: Annotated[
        bool, typer.Option("--no-samples", help="Quote no held-out prompts and answers in the model card.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")] = False,
) -> None:
    """Write a trained model, with its model card, as a folder that other programs load, or push it to the hub."""
    from verifine.cli.display import make_display
    from verifine.errors import ConfigError
    from verifine.launch.export.export import ExportOptions, export
    from verifine.launch.export.publish import publish
    from verifine.launch.export.push import PushPlace
    from verifine.launch.export.target import find_export_target

    display = make_display(sys.stderr if as_json else sys.stdout, as_json=False)
    if to == "hub":
        if repo is None:
            raise ConfigError("--to hub needs --repo OWNER/NAME, the repository to push to")
        target = find_export_target(run)
        options = ExportOptions(form=form, numbers=dtype, out=out, shows_samples=not no_samples)
        with display:
            address = publish(target, options, PushPlace(repository=repo, is_public=public, updates=update), display)
        print(json.dumps({"repository": repo, "commit": address}) if as_json else f"Pushed  {address}")
        return
    if repo is not None or public or update:
        raise ConfigError(f"--repo, --public and --update belong to --to hub, and this is --to {to}")
    target = find_export_target(run)
    options = ExportOptions(form=to, numbers=dtype, out=out, shows_samples=not no_samples)
    with display:
        folder = export(target, options, display)
    files = sorted(path.name for path in folder.iterdir())
    told = json.dumps({"folder": str(folder), "files": files})
    print(told if as_json else f"Saved   {folder} ({', '.join(files)})")
