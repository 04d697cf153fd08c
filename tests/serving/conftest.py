from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from verifine.models.load import LanguageModel, load_model
from verifine.models.provision.stored import ProvisionedModel
from verifine.serving import ServedModel, ServingLimits
from verifine.testing import load_tiny_model, save_tiny_model
from verifine.testing.models import CHAT_TEMPLATE, with_chat_template
from verifine.testing.servers import RunningServer, running_server

LIMITS = ServingLimits(
    context_tokens=200, answer_tokens=100, concurrent_answers=8, choices=4, waiting_requests=3, body_bytes=20_000
)

TOOL_TEMPLATE = (
    "{% if tools %}<s>{% for tool in tools %}{{ tool.function.name }} {% endfor %}<tool_call></s>{% endif %}"
    f"{CHAT_TEMPLATE}"
)
TOOL_LIMITS = ServingLimits(context_tokens=256, answer_tokens=200)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_tiny_model(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def served(model: LanguageModel) -> ServedModel:
    return ServedModel.of("tiny", model, LIMITS, created=1_700_000_000)


@pytest.fixture(scope="session")
def tool_model(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    """Its chat template shows tools."""
    folder = with_chat_template(save_tiny_model(tmp_path_factory.mktemp("tools"), "qwen2"), TOOL_TEMPLATE)
    model = load_model(ProvisionedModel(name="tools", folder=folder, source="random"), "float32")
    return ServedModel.of("tools", model, TOOL_LIMITS, created=1)


@pytest.fixture(scope="session")
def server(served: ServedModel) -> Iterator[RunningServer]:
    with running_server(served, limits=LIMITS) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        yield client
