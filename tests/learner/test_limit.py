"""A process whose memory really runs out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, resource, sys
from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from verifine.algorithms.algorithm import default_algorithm
from verifine.batch import RolloutBatch, collate
from verifine.learner.learner import TrainingBatch
from verifine.learner.local import LocalLearner
from verifine.models.load import load_model
from verifine.models.provision.stored import ProvisionedModel
from verifine.testing import tiny_config, tiny_tokenizer
from verifine.testing.training_batches import SETTINGS
from verifine.types import FinishReason, Grade, Group, Prompt, Rollout

torch.set_num_threads(1)
folder = Path(sys.argv[1])
config = tiny_config("llama")
config.intermediate_size = 8192
torch.manual_seed(0)
AutoModelForCausalLM.from_config(config).save_pretrained(folder)
tiny_tokenizer().save_pretrained(folder)


def load():
    return load_model(ProvisionedModel(name="wide", folder=folder, source="random"), "float32")


def make_groups():
    draw = torch.Generator().manual_seed(0)
    for name in "ab":
        prompt = Prompt(id=name, token_ids=(5, 6, ord(name)), item={})
        rollouts = [
            Rollout(prompt=prompt, token_ids=tuple(torch.randint(3, 99, (150,), generator=draw).tolist()),
                    behaviour_logprobs=(-4.0,) * 150, text="", finish_reason=FinishReason.LENGTH)
            for _ in range(4)
        ]
        yield Group(prompt=prompt, rollouts=tuple(rollouts)).graded([Grade(score=float(n % 2)) for n in range(4)])


groups = list(make_groups())
batch = collate(RolloutBatch.of(groups), 150)
recipe = default_algorithm("grpo")


def train(model, tokens):
    learner = LocalLearner(model, replace(SETTINGS, micro_batch_tokens=tokens), 1.0)
    estimates = learner.estimate(batch)
    training_batch = TrainingBatch(batch=batch, estimates=estimates, advantages=recipe.advantages(batch, estimates))
    return learner.update(training_batch, recipe.loss).metrics


def held():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


roomy, tight = load(), load()
# With room for everything. It also brings the process to the size that it has between steps.
train(load(), 300)
whole = train(roomy, 100_000)
# 1200 tokens keep over 300 MB; 100 MB more than the process holds now has to do.
resource.setrlimit(resource.RLIMIT_AS, (held() + (100 << 20), resource.RLIM_INFINITY))
limited = train(tight, 100_000)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
again = load()
small = train(again, int(limited["memory/micro_batch_tokens"]))


def flat(model):
    return torch.cat([tensor.flatten() for tensor in model.network.state_dict().values()])


print(json.dumps({
    "whole": whole["memory/shortages"],
    "shortages": limited["memory/shortages"],
    "tokens": limited["memory/micro_batch_tokens"],
    "as_small": torch.equal(flat(tight), flat(again)),
    "as_whole": ((flat(tight) - flat(roomy)).norm() / flat(roomy).norm()).item(),
    "entropies": [limited["entropy"], small["entropy"]],
}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel limits a process's memory")
def test_an_update_survives_that_memory_runs_out(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["whole"] == 0
    assert told["shortages"] >= 1
    assert told["tokens"] <= 600
    assert told["as_small"]
    assert told["as_whole"] < 1e-5
    assert told["entropies"][0] == told["entropies"][1] > 0
