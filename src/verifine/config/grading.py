"""How graders reach other machines, and how many work at once: the `grading` section."""

from __future__ import annotations

from pydantic import Field

from verifine.config.graders.schema import Address, Schema


class ServiceConfig(Schema):
    """A server that speaks OpenAI's API: vLLM, llama.cpp, Ollama, OpenAI itself."""

    base_url: Address = Field(description="Its address up to /v1, e.g. http://127.0.0.1:8000/v1.")
    api_key_env: str | None = Field(
        default=None, description="The environment variable that holds its key; null sends none."
    )
    timeout_s: float = Field(default=60.0, gt=0, le=3600, description="Seconds one request may take.")
    max_concurrency: int = Field(default=8, ge=1, le=256, description="Requests in progress at once.")
    max_retries: int = Field(default=4, ge=0, le=10, description="Retries of a failed request, with growing pauses.")


class EmbedderConfig(ServiceConfig):
    """The server that turns texts into vectors, for the metric `cosine`."""

    model: str = Field(min_length=1, description="The embedding model, as the server calls it.")


class GradingConfig(Schema):
    """What graders work with: how many run at once, and which servers they ask."""

    workers: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Sandboxed processes that grade at once; null: one for each core, at most 8.",
    )
    judge: ServiceConfig | None = Field(
        default=None, description="The server that score_model and label_model graders ask."
    )
    embedder: EmbedderConfig | None = Field(
        default=None, description="The server that text_similarity asks for the metric cosine."
    )
