"""`verifine export`: a trained model in the form that another program reads."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class ExportForm(StrEnum):
    """What `--to` may be."""

    MERGED = "merged"
    ADAPTER = "adapter"


def export_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or a checkpoint in one.")],
    to: Annotated[
        ExportForm,
        typer.Option("--to", help="merged: a whole model for transformers and vLLM; adapter: LoRA for peft."),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A new folder; one in RUN/export if not given.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="The weights' type. merged: float32 (as trained), bfloat16 or float16.")
    ] = None,
    no_samples: Annotated[
        bool, typer.Option("--no-samples", help="Quote no held-out prompts and answers in the model card.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")] = False,
) -> None:
    """Write a trained model, with its model card, as a folder that other programs load."""
    from verifine.cli.display import make_display
    from verifine.launch.export.export import ExportOptions, export
    from verifine.launch.export.target import find_export_target

    target = find_export_target(run)
    options = ExportOptions(form=to.value, numbers=dtype, out=out, shows_samples=not no_samples)
    display = make_display(sys.stdout if not as_json else sys.stderr, as_json=False)
    with display:
        folder = export(target, options, display)
    files = sorted(path.name for path in folder.iterdir())
    if as_json:
        print(json.dumps({"folder": str(folder), "files": files}))
    else:
        print(f"Saved   {folder} ({', '.join(files)})")
