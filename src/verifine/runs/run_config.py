"""The config of a run, also of one that an earlier format of the run directory holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verifine.config import RunConfig, dump_config, load_config
from verifine.config.document import KeyPath
from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.environment import Environment, write_environment
from verifine.runs.run_file import read_run_file

_MOVED_SINCE_FORMAT_0: Mapping[KeyPath, KeyPath] = {("sampling", "precision"): ("engine", "precision")}
"""Keys that `config.yaml` had in another place."""


def load_run_config(directory: RunDirectory, overrides: Sequence[str] = ()) -> RunConfig:
    """As `load_config`, with the keys of an earlier format where they are now.

    Raises:
        ConfigError: with every problem found, one a line.
    """
    moved = {} if read_run_file(directory.path).format else _MOVED_SINCE_FORMAT_0
    return load_config(directory.config, overrides, moved)


def write_run_config(directory: RunDirectory, config: RunConfig, environment: Environment) -> None:
    """The config last: a directory with a config is that of a run."""
    write_environment(directory.environment, environment, directory.disk)
    write_text(directory.config, dump_config(config), directory.disk)
