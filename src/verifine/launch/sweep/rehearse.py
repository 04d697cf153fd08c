"""Tries the variants of a sweep before it begins, so that a fault shows now and not at night."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from verifine.config import dump_config
from verifine.errors import ConfigError, DataError, SetupError, TrainingError, UnexpectedError, VerifineError
from verifine.launch.sweep.planned import PlannedRun, by_variant
from verifine.launch.sweep.process import CommandProcess, LaunchProcess, SweepOptions, explain_end
from verifine.runs.directory import write_text

_ERRORS = {each.exit_code: each for each in (ConfigError, SetupError, DataError, TrainingError)}


def rehearse_variants(
    runs: Sequence[PlannedRun],
    options: SweepOptions,
    tell: Callable[[str], None],
    *,
    launch: LaunchProcess = CommandProcess,
) -> None:
    """`verifine train --dry-run` for one run of each variant: it resolves the config and loads data, grader and model.

    `tell` is given the name of each variant as it begins.

    Raises:
        VerifineError: some cannot be trained; the message names each with its fault.
    """
    faults: list[str] = []
    error: type[VerifineError] = UnexpectedError
    with TemporaryDirectory(prefix="verifine-sweep-") as scratch:
        config, log = Path(scratch) / "run.yaml", Path(scratch) / "log.txt"
        for variant, (first, *_) in by_variant(runs).items():
            tell(variant)
            write_text(config, dump_config(first.config))
            code = _finish(launch, ["train", config, "--dry-run", "--json", *options.grader_words()], log)
            if code != 0:
                faults.append(f"run {first.name}: {explain_end(code, log)}")
                error = _ERRORS.get(code, UnexpectedError)
    if faults:
        raise error("\n".join(faults))


def _finish(launch: LaunchProcess, words: Sequence[str | Path], log: Path) -> int:
    process = launch(words, log)
    try:
        for _ in process.rows():
            pass
        return process.end()
    except BaseException:
        process.stop()
        raise
