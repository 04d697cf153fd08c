"""What people think of answers: flags and notes, kept with the answer, since rollouts may be removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, delete, insert, update

from verifine.errors import VerifineError
from verifine.service.database import Database
from verifine.service.database.owners import next_seq
from verifine.service.database.paging import Page, PageQuery, fetch_page, rows_of
from verifine.service.database.tables import MARKS
from verifine.service.identifiers import new_id

EXPORTED_AT_ONCE = 500


class UnknownMarkError(VerifineError):
    """A mark that the owner does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkPlace:
    """The answer that is marked."""

    run_id: str
    """Of a job, or of a run of the command line."""
    step: int
    group: int
    sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A mark."""

    id: str
    owner_id: str
    seq: int
    created_at: int
    """When it was last changed."""
    place: MarkPlace
    is_flagged: bool
    note: str
    answer: dict[str, Any]
    """`prompt_id`, `prompt`, `text` and `score`."""

    @classmethod
    def of(cls, row: RowMapping) -> Mark:
        place = MarkPlace(run_id=row["run_id"], step=row["step"], group=row["group_index"], sample=row["sample"])
        names = ("id", "owner_id", "seq", "created_at", "is_flagged", "note", "answer")
        return cls(place=place, **{name: row[name] for name in names})


class MarkStore:
    """The marks of all owners; each method looks at those of one."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database, self._now = database, now

    def put(self, owner_id: str, place: MarkPlace, *, is_flagged: bool, note: str, answer: dict[str, Any]) -> Mark:
        """The mark of an answer, which takes the place of the one before."""
        said = {"is_flagged": is_flagged, "note": note, "answer": answer, "created_at": int(self._now())}
        columns = MARKS.c
        where = (
            columns.owner_id == owner_id,
            columns.run_id == place.run_id,
            columns.step == place.step,
            columns.group_index == place.group,
            columns.sample == place.sample,
        )
        with self._database.write() as connection:
            seq = next_seq(connection, owner_id)
            changed = connection.execute(update(MARKS).where(*where).values(said).returning(MARKS)).mappings().first()
            if changed is not None:
                return Mark.of(changed)
            row = {
                "id": new_id("mark-"),
                "owner_id": owner_id,
                "seq": seq,
                "run_id": place.run_id,
                "step": place.step,
                "group_index": place.group,
                "sample": place.sample,
                **said,
            }
            return Mark.of(connection.execute(insert(MARKS).values(row).returning(MARKS)).mappings().one())

    def list(self, owner_id: str, run_id: str, query: PageQuery) -> Page[Mark]:
        """Raises UnknownCursorError."""
        scope = rows_of(MARKS, owner_id=owner_id, run_id=run_id)
        with self._database.read() as connection:
            return fetch_page(connection, MARKS, query, scope=scope, wanted=scope, make=Mark.of)

    def all(self, owner_id: str, run_id: str) -> Iterator[Mark]:
        """All of a run, oldest first, a part at a time."""
        after: str | None = None
        while True:
            page = self.list(owner_id, run_id, PageQuery(limit=EXPORTED_AT_ONCE, after=after, is_ascending=True))
            yield from page.items
            if not page.has_more:
                return
            after = page.items[-1].id

    def delete(self, owner_id: str, run_id: str, mark_id: str) -> None:
        """Raises UnknownMarkError."""
        columns = MARKS.c
        mine = (columns.owner_id == owner_id, columns.run_id == run_id, columns.id == mark_id)
        with self._database.write() as connection:
            if connection.execute(delete(MARKS).where(*mine)).rowcount == 0:
                raise UnknownMarkError(f"there is no mark {mark_id[:80]!r}")
