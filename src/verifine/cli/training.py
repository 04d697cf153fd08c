"""What `quickstart` and `train` have in common: carry a run out, show it, and say what came of it."""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path

from verifine.assemble import TrainedRun, train
from verifine.cli.display import Display, make_display
from verifine.cli.interrupt import Interrupt
from verifine.config import RunConfig
from verifine.runs.comparison import compare
from verifine.runs.evaluation import Evaluation
from verifine.runs.outcome import describe_outcome
from verifine.runs.record import read_run
from verifine.train.loop import Ending

INTERRUPTED = 130
