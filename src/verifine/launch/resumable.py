"""Runs that `verifine resume` refuses, each with what to do instead. All raise ConfigError."""

from __future__ import annotations

import shlex

from verifine.config import RunConfig
from verifine.errors import ConfigError
from verifine.insights.saved_work import command_for
from verifine.runs.directory import RunDirectory
from verifine.runs.environment import Environment, read_environment
from verifine.runs.run_config import load_run_config
from verifine.runs.run_file import read_run_file
from verifine.runs.status import MAX_MINUTES, MAX_STEPS, Status, find_status
from verifine.training.state import RunState

NEARLY_OVER = 0.5
"""A run that ended at its time limit has used more than this share of it."""


def refuse_spent_budget(directory: RunDirectory, config: RunConfig) -> None:
    reason, before = find_status(directory).reason, load_run_config(directory).run
    budgets: dict[str | None, tuple[float | None, float | None]] = {
        MAX_STEPS: (before.max_steps, config.run.max_steps),
        MAX_MINUTES: (before.max_minutes, config.run.max_minutes),
    }
    had, has = budgets.get(reason, (None, None))
    if had is None or has is None or has > had:
        return
    option = f" --{str(reason).replace('_', '-')} {2 * had:g}"
    raise ConfigError(
        f"{directory.path}: this run was paused because it has used its {reason} of {had:g}; give it more, for example "
        + command_for("resume", directory, option)
    )


def refuse_missing_code(directory: RunDirectory, environment: Environment) -> None:
    """`environment` is that of the program that wants to continue the run."""
    if not directory.environment.exists():
        return
    missing = [name for name in read_environment(directory.environment).brought if name not in environment.brought]
    if missing:
        raise ConfigError(
            f"{directory.path}: the {' and the '.join(missing)} of this run came from a Python program, so only that "
            f"program can continue it: `verifine.resume(path, {', '.join(f'{name}=...' for name in missing)})`"
        )


def refuse_not_begun(directory: RunDirectory) -> None:
    if read_run_file(directory.path).has_begun:
        return
    message = find_status(directory).message
    reason = "" if message is None else f" ({message.splitlines()[0]})"
    config = shlex.quote(str(directory.config))
    raise ConfigError(
        f"{directory.path}: training never began here{reason}, so there is nothing to resume; fix what stopped it, "
        f"then `verifine train {config}` uses the same directory"
    )


def refuse_nothing_to_do(directory: RunDirectory, config: RunConfig, start: RunState | None) -> None:
    """A model that is missing is something to do: it is saved again."""
    status = find_status(directory).status
    if start is None or status not in {Status.FINISHED, Status.OUT_OF_TIME} or not directory.model.is_dir():
        return
    steps, minutes = config.run.steps, config.run.minutes
    done = start.progress.step
    if steps is not None and done >= steps:
        has_done = "done all its" if done == steps else "already done"
        raise ConfigError(
            f"{directory.path}: this run has {has_done} {done} steps; give it more, for example "
            + command_for("resume", directory, f" --steps {2 * done}")
        )
    if status is Status.OUT_OF_TIME and minutes is not None and start.seconds >= 60 * minutes * NEARLY_OVER:
        raise ConfigError(
            f"{directory.path}: this run has used its {minutes:g} minutes; give it more, for example "
            + command_for("resume", directory, f" --minutes {2 * minutes:g}")
        )
