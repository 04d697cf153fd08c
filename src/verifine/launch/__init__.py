"""Starting a run, going on with one, and what can be tried before."""

from verifine.launch.observer import SILENT, Observer
from verifine.launch.scoring import services_for
from verifine.launch.training import TrainedRun, resume, train
from verifine.launch.trial import Rehearsal, check_run, rehearse

__all__ = [
    "SILENT",
    "Observer",
    "Rehearsal",
    "TrainedRun",
    "check_run",
    "rehearse",
    "resume",
    "services_for",
    "train",
]
