"""A run as it is decided, and the same run in each form that starts it: pure functions of config and facts."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from pydantic import JsonValue

from verifine.config import RunConfig, dump_changed_settings
from verifine.config.resolve import ResolvedConfig, resolve
from verifine.launch.inspection.question import Look
from verifine.preflight.memory import Lengths, MemoryEstimate, estimate_memory


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedRun:
    """What a config comes to on this machine, with this model and these rows."""

    config: ResolvedConfig
    memory: MemoryEstimate
    """If all prompts are as long as the longest, and all answers as long as is allowed."""
    steps_per_epoch: float
    """How many steps see every row once."""


def resolve_run(config: RunConfig, look: Look) -> ResolvedRun:
    """Decides everything that the config leaves open."""
    resolved = resolve(config, look.model, look.machine, look.data)
    answer = resolved.sampling.max_new_tokens
    lengths = Lengths(longest_prompt=look.prompts.longest, usual_answer=answer, longest_answer=answer)
    needs = resolved.memory_needs(look.model.shape)
    return ResolvedRun(
        config=resolved,
        memory=estimate_memory(needs, lengths, resolved.memory, look.machine.memory),
        steps_per_epoch=look.train / resolved.sampling.prompts_per_step,
    )


def as_yaml(config: RunConfig) -> str:
    """The file for `verifine train FILE`."""
    return dump_changed_settings(config)


def as_command(config: RunConfig) -> str:
    """`verifine train` with what is not the default as overrides, ready to be copied into a shell."""
    words = [f"{path}={json.dumps(value, ensure_ascii=False)}" for path, value in _changed(config)]
    return shlex.join(["verifine", "train", *words])


def as_python(config: RunConfig) -> str:
    """A program that trains the same."""
    values = config.model_dump(mode="json", exclude_defaults=True)
    return f"from verifine import RunConfig, train\n\ntrain(RunConfig.model_validate({values!r}))\n"


def as_curl(request: JsonValue, base_url: str) -> str:
    """The request that makes the job, with the key from the environment."""
    body = shlex.quote(json.dumps(request, ensure_ascii=False, indent=2))
    return (
        f"curl {shlex.quote(base_url.rstrip('/') + '/fine_tuning/jobs')} \\\n"
        '  -H "Authorization: Bearer $OPENAI_API_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d {body}"
    )


def _changed(config: RunConfig) -> list[tuple[str, JsonValue]]:
    """Settings by their paths; a grader is one value."""
    values = config.model_dump(mode="json", exclude_defaults=True)
    found: list[tuple[str, JsonValue]] = []
    for section, settings in values.items():
        if isinstance(settings, dict) and section != "grader":
            found += [(f"{section}.{name}", value) for name, value in settings.items()]
        else:
            found.append((section, settings))
    return found
