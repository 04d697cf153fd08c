"""A part of a list, as OpenAI's clients read it and ask for the next one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Literal, Self, TypeVar

from pydantic import BaseModel

from verifine.service.database.paging import Page


class ListedObject(BaseModel):
    """What is listed: clients go on behind the id of the last one."""

    id: str


ItemT = TypeVar("ItemT")
ObjectT = TypeVar("ObjectT", bound=ListedObject)


class ListPage(BaseModel, Generic[ObjectT]):
    """A page."""

    object: Literal["list"] = "list"
    data: list[ObjectT]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, page: Page[ItemT], make: Callable[[ItemT], ObjectT]) -> Self:
        """`make` shows an item as clients read it."""
        data = [make(item) for item in page.items]
        first_id, last_id = (data[0].id, data[-1].id) if data else (None, None)
        return cls(data=data, first_id=first_id, last_id=last_id, has_more=page.has_more)
