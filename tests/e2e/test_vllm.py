"""vLLM serves what a run exports. It pins a torch of its own, so it may be in another environment than Verifine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from verifine import train
from verifine.launch.export.export import ExportOptions, export
from verifine.launch.export.target import ExportTarget
from verifine.testing.byte_level import save_byte_level_model
from verifine.testing.sessions import grade, tiny_run

PYTHON = os.environ.get("VLLM_PYTHON") or (sys.executable if find_spec("vllm") else None)
"""A Python that has vLLM; None: there is none."""

PROMPT, TOKENS = (1, 70, 80, 90, 66, 2, 1), 16
PROGRAM = f"""
import json, sys
from vllm import LLM, SamplingParams

if __name__ == "__main__":
    model = LLM(model=sys.argv[1], dtype="float32", max_model_len=128, enforce_eager=True, seed=0)
    wanted = SamplingParams(temperature=0.0, max_tokens={TOKENS}, ignore_eos=True)
    (answer,) = model.generate([{{"prompt_token_ids": {list(PROMPT)}}}], wanted)
    (chat,) = model.chat([{{"role": "user", "content": "Largest of 3, 14"}}], SamplingParams(max_tokens=4))
    print("\\n" + json.dumps({{"tokens": list(answer.outputs[0].token_ids), "prompt": list(chat.prompt_token_ids)}}))
"""


@pytest.mark.slow
@pytest.mark.skipif(PYTHON is None, reason="vLLM is not installed (VLLM_PYTHON may name a Python that has it)")
def test_vllm_answers_as_transformers_does(tmp_path: Path) -> None:
    assert PYTHON is not None
    # vLLM's kernels take heads of 32 numbers and more.
    config = LlamaConfig(
        vocab_size=0, hidden_size=128, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    base = save_byte_level_model(tmp_path / "base", config, "gpt-2")
    run = train(tiny_run(tmp_path, base, model={"lora": {"rank": 4}}), grader=grade, check=False).directory
    folder = export(ExportTarget(run=run, step=None), ExportOptions(form="merged", out=tmp_path / "merged"))
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    environment.pop("PYTHONPATH", None)
    program = tmp_path / "program.py"  # vLLM's own processes read it again
    program.write_text(PROGRAM)
    told = subprocess.run(
        [PYTHON, program, folder], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout.strip().splitlines()[-1])
    network = AutoModelForCausalLM.from_pretrained(folder)
    prompt = torch.tensor([PROMPT])
    network.generation_config.eos_token_id = None
    expected = network.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=TOKENS, do_sample=False, pad_token_id=0
    )
    assert found["tokens"] == expected[0, len(PROMPT) :].tolist()
    assert found["prompt"][0] == 1, "the chat template came along"
