"""Starting a run, going on with one, and what can be tried before."""

from verifine.launch.observer import SILENT, Observer
from verifine.launch.scoring import services_for
from verifine.launch.training import TrainedRun, resume, train
from verifine.launch.trial import DryRun, check_run, dry_run

__all__ = [
    "SILENT",
    "DryRun",
    "Observer",
    "TrainedRun",
    "check_run",
    "dry_run",
    "resume",
    "services_for",
    "train",
]
