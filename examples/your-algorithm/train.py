"""Trains as run.yaml says, with the advantage of advantage.py in place of dr_grpo's.

python train.py runs/own
python train.py runs/own-1 run.seed=1        # settings as for verifine train
python train.py runs/own-2 --skip-check      # without checking data, grader and model first
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from advantage import hard_counts_more

from verifine import train
from verifine.config import load_config


def main() -> None:
    folder, *settings = [word for word in sys.argv[1:] if word != "--skip-check"]
    config = load_config(Path("run.yaml"), [f"run.directory={json.dumps(folder)}", *settings])
    summary = train(config, advantages=hard_counts_more, check="--skip-check" not in sys.argv).summary
    assert summary.baseline is not None
    assert summary.final is not None
    before, after = (evaluation.answer_accuracy for evaluation in (summary.baseline, summary.final))
    print(f"{folder}: right answers {before:.2f} before and {after:.2f} after training")


if __name__ == "__main__":
    main()
