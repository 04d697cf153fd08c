"""Whatever computes before the engine's thread does so in a thread that is over by then."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from verifine.config.memory import Precision
from verifine.launch import chat, endpoint
from verifine.launch.chat import ChatOptions, open_chat
from verifine.launch.endpoint import EndpointOptions, open_endpoint
from verifine.launch.options import DEFAULT_OPTIONS
from verifine.models.load import LanguageModel, load_model
from verifine.models.provision.stored import ProvisionedModel
from verifine.serving import ServedModel, ServingLimits
from verifine.testing.models import save_tiny_model


@pytest.fixture
def computed_in(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads that have loaded a model, or read its weights to serve it."""
    threads: list[threading.Thread] = []
    serve = ServedModel.of

    def load(files: ProvisionedModel, precision: Precision) -> LanguageModel:
        threads.append(threading.current_thread())
        return load_model(files, precision)

    def of(name: str, model: LanguageModel, limits: ServingLimits, created: int) -> ServedModel:
        threads.append(threading.current_thread())
        return serve(name, model, limits, created)

    monkeypatch.setattr(endpoint, "load_model", load)
    for module in (endpoint, chat):
        monkeypatch.setattr(module.ServedModel, "of", of)
    return threads


def test_an_endpoint_computes_in_the_engines_thread_alone(computed_in: list[threading.Thread], tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "tiny")
    opened = open_endpoint(EndpointOptions(model=str(folder), port=0, precision="float32"), 0.0, lambda _: None)
    opened.listener.close()
    assert [thread.is_alive() for thread in computed_in] == [False, False]


def test_a_chat_computes_in_the_engines_thread_alone(computed_in: list[threading.Thread], tmp_path: Path) -> None:
    one, other = save_tiny_model(tmp_path / "one"), save_tiny_model(tmp_path / "other", seed=1)
    with open_chat(ChatOptions(model=str(one), versus=str(other), precision="float32"), DEFAULT_OPTIONS):
        assert [thread.is_alive() for thread in computed_in] == [False, False, False, False]
