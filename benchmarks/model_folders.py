"""The models that the benchmarks train, as folders."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

from workloads import TINY

from verifine.models.provision.cache import cache_folder
from verifine.models.provision.stored import provision_model
from verifine.testing import save_tiny_model


def model_folder(name: str) -> Path:
    """The folder of the model called `name`. That of the tiny model is removed when the process ends."""
    if name != TINY:
        return provision_model(name, cache_folder(), lambda *_: None).folder
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return save_tiny_model(folder)
