"""The config of a run, also of one that an earlier format of the run directory holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verifine.config import RunConfig, load_config
from verifine.config.document import KeyPath
from verifine.runs.directory import RunDirectory
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
