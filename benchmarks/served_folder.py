"""Makes the folder that the servers of benchmarks/serving.py load, in a process of its own, since it needs torch.

It is a model's folder in which the end of an answer is a token that the model practically never writes. So answers are
as long as a request says, in every server, and no server pays for suppressing a token. Sampling is from the model's
whole distribution where a server takes what a request does not say from the folder.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from model_folders import model_folder
from table import add_json_option, publish
from workloads import MODEL

WHOLE_DISTRIBUTION = {"do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0}
"""Of a `generation_config.json`."""


def make_served_folder(model: Path, into: Path) -> str | None:
    """Copies the folder `model` and returns its new end of an answer; None: the tokenizer has no token to spare."""
    shutil.copytree(model, into, dirs_exist_ok=True)
    _change(into / "generation_config.json", WHOLE_DISTRIBUTION)
    names = json.loads((into / "tokenizer_config.json").read_text(encoding="utf-8"))
    template = (into / "chat_template.jinja").read_text(encoding="utf-8")
    tokenizer = json.loads((into / "tokenizer.json").read_text(encoding="utf-8"))
    spare = [
        token
        for token in tokenizer["added_tokens"]
        if token["special"] and token["content"] not in names.values() and token["content"] not in template
    ]
    if not spare:
        return None
    end = spare[-1]
    _change(into / "generation_config.json", {"eos_token_id": end["id"]})
    _change(into / "config.json", {"eos_token_id": end["id"]})
    _change(into / "tokenizer_config.json", {"eos_token": end["content"]})
    return str(end["content"])


def _change(path: Path, fields: dict[str, Any]) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**found, **fields}, indent=2), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL, help="a catalogue name, a folder, or tiny")
    parser.add_argument("--into", type=Path, required=True)
    add_json_option(parser)
    options = parser.parse_args()
    end = make_served_folder(model_folder(options.model), options.into)
    publish(f"answers end with {end or 'the end of the model itself'}", end, options.json)


if __name__ == "__main__":
    main()
