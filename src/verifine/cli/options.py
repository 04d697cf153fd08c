"""The options that `train` and `check` share, and the config built from them and a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from verifine.config import RunConfig

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CONFIG.yaml] [KEY.PATH=VALUE]...", help="A config file, and values that override its own."
    ),
]
Dataset = Annotated[Path | None, typer.Option(help="JSONL, CSV or Parquet, or hf://OWNER/NAME; rows with `messages`.")]
EvalDataset = Annotated[Path | None, typer.Option(help="Held-out examples, in any of these forms.")]
Model = Annotated[str | None, typer.Option(help="A catalogue name, a hub id or a folder.")]
Algorithm = Annotated[
    str | None,
    typer.Option(help="GRPO, DR_GRPO, DAPO, RLOO, REINFORCE_PP, REINFORCE_PPB (with baseline), PPO, GSPO or CISPO."),
]
GraderSpec = Annotated[
    str | None,
    typer.Option(
        help="A JSON or YAML file in OpenAI's grader form, or a preset: answer_exact, answer_number, think_answer_tags,"
        " boxed or code."
    ),
]
RewardType = Annotated[
    str | None,
    typer.Option(
        "--reward-type", "-rt", help="A grader and the system prompt for it: think_answer_tags, boxed or code."
    ),
]
SystemPrompt = Annotated[
    str | None, typer.Option("--system-prompt", "-s", help="A system message for chats that have none.")
]
ChatTemplateKwargs = Annotated[
    str | None,
    typer.Option(
        metavar="JSON", help="Values for variables of the chat template, for example '{\"enable_thinking\": false}'."
    ),
]
Steps = Annotated[int | None, typer.Option(help="Training steps.")]
MaxNewTokens = Annotated[int | None, typer.Option(help="Longest answer, in tokens.")]
Seed = Annotated[int | None, typer.Option(help="Seed of every random number of the run.")]
UnsafeGraderExec = Annotated[
    bool, typer.Option("--unsafe-grader-exec", help="Run graders' code outside the sandbox. Only for code you trust.")
]

UNSAFE_NOTE = (
    "warning   --unsafe-grader-exec: graders' code and code that the model writes run with your rights on this machine"
)


def warn_of(unsafe_grader_exec: bool) -> None:
    """Prints the warning to standard error, so that it shows wherever standard output goes."""
    if unsafe_grader_exec:
        print(UNSAFE_NOTE, file=sys.stderr)


def reward_options(grader: str | None, reward_type: str | None, system_prompt: str | None) -> dict[str, object]:
    """The settings that --grader, --reward-type and --system-prompt stand for; None: not given."""
    from verifine.config import REWARD_TYPES
    from verifine.data.suggestion import did_you_mean
    from verifine.errors import ConfigError
    from verifine.graders import load_grader_config

    if reward_type is None:
        config = None if grader is None else load_grader_config(grader).model_dump(mode="json")
        return {"grader": config, "data.system_prompt": system_prompt}
    if grader is not None:
        raise ConfigError("--reward-type has a grader already; give either --reward-type or --grader")
    if reward_type not in REWARD_TYPES:
        hint = did_you_mean(reward_type, REWARD_TYPES)
        raise ConfigError(f'--reward-type "{reward_type}" is unknown{hint}; choose one of {", ".join(REWARD_TYPES)}')
    chosen = REWARD_TYPES[reward_type]
    return {
        "grader": chosen.grader.model_dump(mode="json"),
        "data.system_prompt": chosen.system_prompt if system_prompt is None else system_prompt,
        "sampling.stop": list(chosen.stop),
    }


def template_values(text: str | None) -> object:
    """The object that --chat-template-kwargs holds; None: not given."""
    from verifine.config.document import parse_document
    from verifine.errors import ConfigError

    if text is None:
        return None
    try:
        value = parse_document(text, "--chat-template-kwargs").value
    except ConfigError as error:
        raise ConfigError(f"--chat-template-kwargs: {text!r} is not JSON") from error
    if not isinstance(value, dict):
        raise ConfigError(
            f"--chat-template-kwargs: {text!r} is no object; write its values by name, for example "
            "'{\"enable_thinking\": false}'"
        )
    return value


def load_run(words: list[str], options: Mapping[str, object]) -> RunConfig:
    """The config from a file, overrides and options; an option that was not given is None."""
    from verifine.config import load_config
    from verifine.errors import ConfigError

    has_file = bool(words) and ("=" not in words[0] or Path(words[0]).is_file())
    file, overrides = (Path(words[0]), words[1:]) if has_file else (None, words)
    if file is None and options["data.train"] is None and not overrides:
        raise ConfigError("nothing to train on: give a config file, or --dataset with --model and --grader")
    # JSON is YAML, so an option is an override like any other.
    set_by_option = [f"{key}={json.dumps(value, default=str)}" for key, value in options.items() if value is not None]
    return load_config(file, [*overrides, *set_by_option])
