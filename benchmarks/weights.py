"""The weights that each algorithm trains a tiny model to, as hashes: whether a change of the code changed training.

    python benchmarks/weights.py

Two revisions train alike if they print the same. Float32 and one thread; another processor may round differently.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from verifine import train
from verifine.config import build_config
from verifine.testing.models import save_tiny_model

SETTINGS: dict[str, dict[str, Any]] = {
    "grpo": {"beta": 0.01},
    "dr_grpo": {},
    "dapo": {},
    "rloo": {"epochs": 2, "mini_batches": 2},
    "reinforce_pp": {},
    "reinforce_pp_baseline": {"entropy_bonus": 0.01, "epochs": 2},
    "ppo": {},
    "gspo": {},
    "cispo": {},
}


def grade(sample: Mapping[str, str], item: object) -> float:  # noqa: ARG001 - graders take both
    """A score from 0 to 1 that differs for most answers of a random model."""
    return sum(map(ord, sample["output_text"])) % 7 / 6


def train_and_hash(algorithm: str, folder: Path) -> str:
    """The sha256 of the weights after three steps of 4 prompts x 4 answers."""
    model = folder / "model"
    save_tiny_model(model)
    settings = {
        "model": {"name": str(model), "precision": "float32"},
        "data": {"task": "add"},
        "algorithm": {"name": algorithm, **SETTINGS[algorithm]},
        "sampling": {"prompts_per_step": 4, "group_size": 4, "max_new_tokens": 6},
        "optim": {"learning_rate": 1e-3, "warmup_steps": 2, "micro_batch_tokens": 64},
        "run": {"steps": 3, "directory": str(folder / "run")},
    }
    train(build_config(settings), grader=grade, check=False)
    (weights,) = (folder / "run" / "model").glob("*.safetensors")
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def main() -> None:
    torch.set_num_threads(1)
    for algorithm in SETTINGS:
        with TemporaryDirectory() as folder:
            print(f"{algorithm:<24}{train_and_hash(algorithm, Path(folder))[:16]}", flush=True)


if __name__ == "__main__":
    main()
