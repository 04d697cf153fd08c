from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from verifine.config import load_config
from verifine.errors import ConfigError, DataError, SetupError, UnexpectedError, VerifineError
from verifine.launch.sweep.folder import Sweep, SweepFolder
from verifine.launch.sweep.process import SweepOptions, TrainingProcess
from verifine.launch.sweep.rehearse import rehearse_variants
from verifine.types import Json


class _DryRun:
    """Ends with the code and the message that it was given."""

    def __init__(self, code: int, message: str, log: Path) -> None:
        self._code = code
        log.write_text(message)

    def rows(self) -> Iterator[dict[str, Json]]:
        yield {"type": "dry_run"}

    def end(self) -> int:
        return self._code

    def pause(self) -> None: ...

    def stop(self) -> None: ...


MakeSweep = Callable[..., tuple[SweepFolder, Sweep]]


def test_one_run_of_each_variant_is_tried(make_sweep: MakeSweep) -> None:
    _, sweep = make_sweep("algorithm=grpo,dapo", "run.seed=0,1")
    tried, told = list[tuple[str, int, tuple[str, ...]]](), list[str]()

    def launch(words: Sequence[str | Path], log: Path) -> TrainingProcess:
        verb, config, *others = words
        found = load_config(Path(config))
        tried.append((found.algorithm.name, found.run.seed, (str(verb), *map(str, others))))
        return _DryRun(0, "", log)

    rehearse_variants(sweep.runs, SweepOptions(unsafe_grader_exec=True, skip_check=True), told.append, launch=launch)
    words = ("train", "--dry-run", "--json", "--unsafe-grader-exec")
    assert tried == [("grpo", 0, words), ("dapo", 0, words)]
    assert told == ["grpo", "dapo"]


@pytest.mark.parametrize(
    ("code", "error"), [(2, ConfigError), (3, SetupError), (4, DataError), (1, UnexpectedError), (-9, UnexpectedError)]
)
def test_every_variant_that_cannot_be_trained_is_named(
    make_sweep: MakeSweep, code: int, error: type[VerifineError]
) -> None:
    _, sweep = make_sweep("algorithm=grpo,dapo,rloo", "run.seed=0,1")

    def launch(words: Sequence[str | Path], log: Path) -> TrainingProcess:
        name = load_config(Path(words[1])).algorithm.name
        return _DryRun(0 if name == "dapo" else code, f"verifine: {name} is wrong\n", log)

    with pytest.raises(error) as caught:
        rehearse_variants(sweep.runs, SweepOptions(), lambda _: None, launch=launch)
    reasons = ["grpo is wrong", "rloo is wrong"] if code > 0 else ["the process was killed; perhaps memory ran out"] * 2
    assert str(caught.value).splitlines() == [f"run grpo-seed=0: {reasons[0]}", f"run rloo-seed=0: {reasons[1]}"]
