from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Thread

import openai
import pytest

from verifine import train
from verifine.checkpoints.store import CheckpointStore
from verifine.config import dump_config
from verifine.config.limit_words import read_limits
from verifine.errors import ConfigError, ModelError, SetupError
from verifine.launch.endpoint import Endpoint, EndpointOptions, load_target, open_endpoint, read_adapters
from verifine.machine.disk import LOCAL_DISK
from verifine.runs.directory import RunDirectory
from verifine.runs.run_config import load_run_config
from verifine.serving import ServingLimits
from verifine.testing.models import save_tiny_model
from verifine.testing.sessions import grade, tiny_run


@contextmanager
def running(*words: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """The command, the address that it tells, and what it has told before."""
    command = [sys.executable, "-m", "verifine", "endpoint", *words, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told: list[str] = []
        try:
            for line in process.stdout:
                told.append(line)
                if match := re.search(r"http://\S+/v1", line):
                    yield process, match[0], told
                    break
        finally:
            process.kill()


@pytest.mark.slow
def test_sigterm_in_the_middle_of_16_streams_lets_all_end_properly(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "tiny")
    words = [str(folder), "answer_tokens=200", "context_tokens=256", "concurrent_answers=16", "--precision", "float32"]
    all_have_begun = Barrier(17, timeout=60)

    def read(client: openai.OpenAI, seed: int) -> tuple[int, str | None]:
        stream = client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": "Hi"}],
            seed=seed,
            stream=True,
            logit_bias={"2": -100},
        )
        chunks = iter(stream)
        next(chunks)
        all_have_begun.wait()
        rest = list(chunks)
        return len("".join(chunk.choices[0].delta.content or "" for chunk in rest)), rest[-1].choices[0].finish_reason

    with running(*words) as (process, address, told):
        with (
            openai.OpenAI(base_url=address, api_key="unused", max_retries=0) as client,
            ThreadPoolExecutor(16) as pool,
        ):
            answers = [pool.submit(read, client, seed) for seed in range(16)]
            all_have_begun.wait()
            process.send_signal(signal.SIGTERM)
            assert {answer.result()[1] for answer in answers} == {"length"}
            assert min(answer.result()[0] for answer in answers) > 150
        assert process.stdout is not None
        assert process.stdout.read().endswith("stopped\n")
        assert process.wait(timeout=60) == 0
    assert told[-1].startswith("Serving tiny at http://127.0.0.1:")


def test_limits_are_raised_by_name() -> None:
    assert read_limits(["choices=16", "request_seconds=1.5"], ServingLimits) == ServingLimits(
        choices=16, request_seconds=1.5
    )


@pytest.mark.parametrize(
    ("word", "named"),
    [("choices", "choices"), ("choises=3", "choises"), ("choices=many", "choices"), ("choices=0", "choices")],
)
def test_a_limit_that_cannot_be_is_refused_by_name(word: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        read_limits([word], ServingLimits)


def test_a_port_that_is_taken_is_told_before_a_model_is_loaded() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=str(port)):
            open_endpoint(EndpointOptions(model="no-such-model", port=port), 0.0, lambda _: None)


def test_a_folder_is_served_under_its_name(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "my-model")
    assert load_target(str(folder), "float32", lambda _: None).name == "my-model"


@pytest.fixture(scope="module")
def lora_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run that trained adapters, far enough to be seen."""
    base = save_tiny_model(tmp_path_factory.mktemp("base") / "tiny")
    config = tiny_run(tmp_path_factory.mktemp("lora"), base, model={"lora": {"rank": 4}}, optim={"learning_rate": 0.02})
    return train(config, grader=grade, check=False).directory


def open_tiny(model: str, adapters: dict[str, str]) -> Endpoint:
    limits = ServingLimits(context_tokens=128, answer_tokens=40)
    options = EndpointOptions(model=model, adapters=adapters, port=0, precision="float32", limits=limits)
    return open_endpoint(options, 7.0, lambda _: None)


def test_a_run_its_checkpoint_and_its_adapter_give_the_same_answers(lora_run: RunDirectory) -> None:
    step = CheckpointStore(lora_run.checkpoints, LOCAL_DISK).path(3)
    base = load_run_config(lora_run).model.name
    answers = {}
    for model, adapters in ((str(lora_run.path), {}), (str(step), {}), (base, {"tuned": str(lora_run.path)})):
        endpoint = open_tiny(model, adapters)
        thread = Thread(target=endpoint.run)
        thread.start()
        with openai.OpenAI(base_url=f"{endpoint.address}/v1", api_key="unused", max_retries=0) as client:
            for name in [each.id for each in client.models.list()]:
                done = client.chat.completions.create(
                    model=name, messages=[{"role": "user", "content": "Largest of 1, 2"}], temperature=0
                )
                answers[name] = done.choices[0].message.content
        endpoint.server.stop()
        thread.join()
    assert list(answers) == ["run", "run:ckpt-step-3", "tiny", "tuned"]
    assert answers["run"] == answers["run:ckpt-step-3"] == answers["tuned"] != answers["tiny"]


@pytest.mark.parametrize("words", [["sums"], ["=runs/sums"], ["sums="], ["a=x", "a=y"]])
def test_an_adapter_needs_a_name_of_its_own(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="--adapter"):
        read_adapters(words)


def test_a_model_folder_of_a_run_is_served_under_the_name_of_the_run(lora_run: RunDirectory) -> None:
    assert load_target(str(lora_run.model), "float32", lambda _: None).name == "run"


@pytest.fixture
def changed_base(lora_run: RunDirectory, tmp_path: Path) -> tuple[RunDirectory, Path]:
    """The run, and another model of the same shape in place of the one that it began with."""
    base = load_run_config(lora_run).model.name
    run = RunDirectory(path=Path(shutil.copytree(lora_run.path, tmp_path / "run")))
    other = Path(shutil.copytree(base, tmp_path / "other"))
    (other / "generation_config.json").write_text('{"eos_token_id": 2}')
    run.config.write_text(run.config.read_text().replace(base, str(other)))
    return run, other


def test_a_checkpoint_whose_base_has_changed_is_refused(changed_base: tuple[RunDirectory, Path]) -> None:
    run, other = changed_base
    step = CheckpointStore(run.checkpoints, LOCAL_DISK).path(3)
    with pytest.raises(ModelError, match=f"{other} has other files"):
        load_target(str(step), "float32", lambda _: None)


def test_an_adapter_of_another_base_is_refused(changed_base: tuple[RunDirectory, Path]) -> None:
    run, other = changed_base
    with pytest.raises(ModelError, match=f"other has other files than the model that {run.path}"):
        open_tiny(str(other), {"tuned": str(run.path)})


def test_a_run_of_all_weights_or_a_checkpoint_is_no_adapter(lora_run: RunDirectory, tmp_path: Path) -> None:
    step = str(CheckpointStore(lora_run.checkpoints, LOCAL_DISK).path(3))
    run = RunDirectory(path=Path(shutil.copytree(lora_run.path, tmp_path / "run")))
    run.config.write_text(dump_config(load_run_config(lora_run, ["model.lora=null"])))
    base = load_run_config(lora_run).model.name
    for model, adapter, reason in (
        (base, str(run.path), "all weights"),
        (base, step, "all weights"),
        (step, str(lora_run.path), "not to a checkpoint"),
    ):
        with pytest.raises(ConfigError, match=reason):
            open_tiny(model, {"tuned": adapter})


def test_an_adapter_may_not_have_the_name_of_its_base(lora_run: RunDirectory) -> None:
    with pytest.raises(ConfigError, match="tiny"):
        open_tiny(load_run_config(lora_run).model.name, {"tiny": str(lora_run.path)})
