"""The part of benchmarks/engines.py that runs in vLLM's own environment: a job in on standard input, seconds out.

It imports nothing of Verifine. Prefix caching is on, as vLLM has it by default; prompts are new in every pass, since
weights are new in every step of training. No log-probabilities are asked for.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main(job: dict[str, Any], out: str) -> None:
    # Its workers import this file again, and need none of it.
    from vllm import LLM, SamplingParams  # type: ignore[import-not-found]

    begun = time.perf_counter()
    engine = LLM(
        model=job["model"],
        dtype=job["dtype"],
        enforce_eager=job["enforce_eager"],
        max_model_len=job["context"],
        max_num_seqs=job["max_rows"],
        block_size=job["block_size"],
    )
    start_s = time.perf_counter() - begun
    sampling = SamplingParams(
        n=job["group_size"],
        temperature=1.0,
        ignore_eos=True,
        min_tokens=job["new_tokens"],
        max_tokens=job["new_tokens"],
        detokenize=False,
    )
    seconds = []
    for prompts in job["passes"]:
        begun = time.perf_counter()
        outputs = engine.generate([{"prompt_token_ids": ids} for ids in prompts], sampling, use_tqdm=False)
        seconds.append(time.perf_counter() - begun)
        lengths = [len(answer.token_ids) for output in outputs for answer in output.outputs]
        assert lengths == [job["new_tokens"]] * (len(prompts) * job["group_size"]), lengths
    # Not on standard output, where vLLM writes.
    Path(out).write_text(json.dumps({"start_s": start_s, "seconds": seconds}), encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")  # GiB
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    main(json.load(sys.stdin), sys.argv[1])
