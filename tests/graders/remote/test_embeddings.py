from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from verifine.config.graders import TextSimilarityGraderConfig
from verifine.config.grading import EmbedderConfig
from verifine.errors import GraderError
from verifine.graders import build_grader
from verifine.graders.embeddings import RemoteEmbedder
from verifine.graders.services import Services
from verifine.types import Sample

if TYPE_CHECKING:
    from tests.graders.remote.conftest import Answer, Seen, StubService

MakeServices = Callable[..., Services]


def vector_of(text: str) -> list[float]:
    return [float(len(text)), 0.1, -1e-300]


def entries(texts: list[str]) -> list[dict[str, Any]]:
    return [{"object": "embedding", "index": place, "embedding": vector_of(text)} for place, text in enumerate(texts)]


@pytest.fixture
def embedder(make_services: MakeServices, service: StubService) -> Iterator[RemoteEmbedder]:
    services = make_services({"KEY": "sk-1"}, api_key_env="KEY")
    config = services.grading.embedder
    assert config is not None

    def respond(seen: Seen) -> Answer:
        return service.answer({"data": list(reversed(entries(seen.json["input"])))})

    service.respond = respond
    made = RemoteEmbedder(config, services)
    yield made
    made.close()


def test_the_whole_request_and_vectors_by_their_index(service: StubService, embedder: RemoteEmbedder) -> None:
    assert embedder.embed(["é", "two"]) == [vector_of("é"), vector_of("two")]
    (seen,) = service.seen
    assert (seen.path, seen.headers["authorization"]) == ("/v1/embeddings", "Bearer sk-1")
    assert seen.json == {"model": "embed", "input": ["é", "two"]}


def test_many_texts_are_asked_for_in_batches_and_keep_their_order(
    service: StubService, embedder: RemoteEmbedder
) -> None:
    texts = ["x" * number for number in range(150)]
    assert embedder.embed(texts) == [vector_of(text) for text in texts]
    assert sorted(len(seen.json["input"]) for seen in service.seen) == [22, 64, 64]


def test_a_text_is_asked_for_once(service: StubService, embedder: RemoteEmbedder) -> None:
    assert embedder.embed(["a", "bb", "a"]) == [vector_of("a"), vector_of("bb"), vector_of("a")]
    assert embedder.embed(["bb", "ccc"]) == [vector_of("bb"), vector_of("ccc")]
    assert embedder.embed([]) == []
    assert [seen.json["input"] for seen in service.seen] == [["a", "bb"], ["ccc"]]


def test_what_a_caller_does_to_a_vector_is_not_remembered(embedder: RemoteEmbedder) -> None:
    embedder.embed(["a"])[0].clear()
    assert embedder.embed(["a"]) == [vector_of("a")]


GOOD = {"index": 0, "embedding": [1.0]}


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"data": {}},
        {"data": []},
        {"data": [GOOD]},
        {"data": [GOOD, GOOD]},
        {"data": [GOOD, {"index": 1, "embedding": [1.0]}, GOOD]},
        {"data": [GOOD, {"index": 2, "embedding": [1.0]}]},
        {"data": [GOOD, {"index": 1, "embedding": [1.0]}, {"index": 2, "embedding": [1.0]}]},
        {"data": [GOOD, {"index": 1, "embedding": [1.0, 2.0]}]},
        {"data": [GOOD, {"index": 1, "embedding": []}]},
        {"data": [GOOD, {"index": 1, "embedding": ["1"]}]},
        {"data": [GOOD, {"index": 1, "embedding": [None]}]},
        {"data": [GOOD, {"index": 1, "embedding": [10**400]}]},
        {"data": [GOOD, {"index": [1], "embedding": [1.0]}]},
        {"data": [GOOD, {"index": 1, "embedding": "AACAPw=="}]},
        {"data": [GOOD, 7]},
    ],
)
def test_anything_but_one_vector_a_text_is_an_error(
    service: StubService, embedder: RemoteEmbedder, answer: object
) -> None:
    service.answers(service.answer(answer))
    with pytest.raises(GraderError, match=r'^the embedder "embed" failed: '):
        embedder.embed(["a", "b"])


def test_a_server_that_says_no_is_an_error_in_its_words(service: StubService, embedder: RemoteEmbedder) -> None:
    service.answers(service.answer({"error": {"message": "input is empty"}}, status=400))
    with pytest.raises(GraderError, match="answered with status 400: input is empty"):
        embedder.embed([""])


def test_a_text_that_cannot_be_sent_is_an_error(embedder: RemoteEmbedder) -> None:
    with pytest.raises(GraderError, match="cannot be sent"):
        embedder.embed(["\ud800"])


def test_a_key_that_is_missing_is_told_when_the_embedder_is_made() -> None:
    config = EmbedderConfig(base_url="http://127.0.0.1:9/v1", model="embed", api_key_env="EMBED_KEY")
    with pytest.raises(GraderError, match="EMBED_KEY is not set"):
        RemoteEmbedder(config, Services())


def test_cosine_is_computed_with_the_vectors_of_the_embedder(service: StubService, make_services: MakeServices) -> None:
    vectors = {"north": [0.0, 2.0], "north-east": [1.0, 1.0]}

    def respond(seen: Seen) -> Answer:
        asked = seen.json["input"]
        return service.answer({"data": [{"index": at, "embedding": vectors[text]} for at, text in enumerate(asked)]})

    service.respond = respond
    config = TextSimilarityGraderConfig(
        type="text_similarity",
        input="{{ sample.output_text }}",
        reference="{{ item.gt }}",
        evaluation_metric="cosine",
    )
    grader = build_grader(config, make_services())
    (grade,) = grader.grade([Sample(output_text="north-east", item={"gt": "north"})])
    grader.close()
    assert grade.score == pytest.approx(0.5**0.5)
    assert not any(thread.name == "verifine-remote" for thread in threading.enumerate())
