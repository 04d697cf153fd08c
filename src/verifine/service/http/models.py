"""`/v1/models`, in OpenAI's form."""

from __future__ import annotations

from typing import Literal, Self

from fastapi import APIRouter
from pydantic import BaseModel

from verifine.service.http.keys import OwnerId
from verifine.service.models.model import NamedModel
from verifine.service.models.store import ModelStore


class ModelObject(BaseModel):
    """A model that requests may name."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """0: not known."""
    owned_by: str

    @classmethod
    def of(cls, model: NamedModel) -> Self:
        owner = "verifine" if model.owner_id is None else f"org-{model.owner_id}"
        return cls(id=model.name, created=model.created_at, owned_by=owner)


class ModelObjects(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


class ModelDeleted(BaseModel):
    """A model that is no longer there."""

    id: str
    object: Literal["model"] = "model"
    deleted: Literal[True] = True


class ModelRoutes:
    """The routes of a store."""

    def __init__(self, models: ModelStore) -> None:
        self._models = models

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/models", tags=["Models"])
        router.add_api_route("", self.list_models, methods=["GET"])
        router.add_api_route("/{model:path}", self.retrieve, methods=["GET"])
        router.add_api_route("/{model:path}", self.delete, methods=["DELETE"])
        return router

    def list_models(self, owner_id: OwnerId) -> ModelObjects:
        """The service's models, then those that jobs have left, newest first."""
        return ModelObjects(data=[ModelObject.of(model) for model in self._models.list(owner_id)])

    def retrieve(self, model: str, owner_id: OwnerId) -> ModelObject:
        """A model by its name."""
        return ModelObject.of(self._models.find(owner_id, model))

    def delete(self, model: str, owner_id: OwnerId) -> ModelDeleted:
        """Deletes a tuned model or a checkpoint, which no job needs."""
        self._models.delete(owner_id, model)
        return ModelDeleted(id=model)
