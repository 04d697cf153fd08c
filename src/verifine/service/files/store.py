"""The files of all owners."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, insert, or_, select, update

from verifine.errors import VerifineError
from verifine.machine.disk import LOCAL_DISK, Disk, refuse_failure
from verifine.service.access.quota import QuotaError
from verifine.service.database import Database
from verifine.service.database.owners import next_seq
from verifine.service.database.paging import Page, PageQuery, fetch_page, rows_of
from verifine.service.database.tables import FILES, JOBS
from verifine.service.files.draft import FileDraft
from verifine.service.files.record import RESULTS, OwnedFile, Purpose
from verifine.service.identifiers import new_id
from verifine.service.jobs.states import JobState

BATCH = 100
"""Files that are removed at once when they have expired."""


class UnknownFileError(VerifineError):
    """A file that the owner does not have."""


class FileInUseError(VerifineError):
    """A file that a job still needs. `job_id` is that job."""

    def __init__(self, message: str, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


class FileStore:
    """Content lies at `FOLDER/OWNER/SHA256`. It comes and goes within transactions that hold the owner's row."""

    def __init__(self, database: Database, folder: Path, now: Callable[[], float], disk: Disk = LOCAL_DISK) -> None:
        self._database, self._folder, self._now, self._disk = database, folder, now, disk

    def begin(self, max_bytes: int) -> FileDraft:
        """A place to write a new file to. Raises DiskError."""
        return FileDraft(self._drafts / secrets.token_hex(16), max_bytes)

    def add(
        self,
        owner_id: str,
        draft: FileDraft,
        *,
        filename: str,
        purpose: Purpose,
        lasts_s: int | None = None,
        owner_bytes: int | None = None,
    ) -> OwnedFile:
        """Keeps what was written. `lasts_s` None: until it is deleted; `owner_bytes` None: however many the owner has.

        Raises:
            DiskError: it cannot be brought to stable storage; then there is no file.
            QuotaError: with it, the owner's uploaded files would have more than `owner_bytes`.
        """
        draft.finish()
        with self._database.write() as connection:
            if owner_bytes is not None:
                next_seq(connection, owner_id)  # holds the owner's row, so that no file is added meanwhile
                self._check_quota(connection, owner_id, draft.bytes, owner_bytes)
            return self.insert(connection, owner_id, draft, filename=filename, purpose=purpose, lasts_s=lasts_s)

    def insert(
        self,
        connection: Connection,
        owner_id: str,
        draft: FileDraft,
        *,
        filename: str,
        purpose: Purpose,
        lasts_s: int | None = None,
    ) -> OwnedFile:
        """The same within a transaction, of a draft that is finished. Raises DiskError."""
        at = int(self._now())
        row = {
            "id": new_id("file-"),
            "owner_id": owner_id,
            "seq": next_seq(connection, owner_id),
            "created_at": at,
            "filename": filename,
            "purpose": purpose,
            "bytes": draft.bytes,
            "sha256": draft.sha256,
            "expires_at": None if lasts_s is None else at + lasts_s,
        }
        stored = connection.execute(insert(FILES).values(row).returning(FILES)).mappings().one()
        content = self._content(owner_id, draft.sha256)
        with refuse_failure(content):
            content.parent.mkdir(parents=True, exist_ok=True)
        self._disk.rename(draft.path, content)
        return OwnedFile.of(stored)

    def _check_quota(self, connection: Connection, owner_id: str, added: int, most: int) -> None:
        columns = FILES.c
        uploaded = (columns.owner_id == owner_id, columns.deleted_at.is_(None), columns.purpose != RESULTS)
        held = int(connection.execute(select(func.coalesce(func.sum(columns.bytes), 0)).where(*uploaded)).scalar_one())
        if held + added > most:
            raise QuotaError(
                f"your files have {held} bytes, and with this one they would have more than {most}; delete some"
            )

    def find(self, owner_id: str, file_id: str) -> OwnedFile:
        """Raises UnknownFileError, also for one that has expired."""
        with self._database.read() as connection:
            row = connection.execute(self._present(owner_id).where(FILES.c.id == file_id)).mappings().first()
        if row is None:
            raise UnknownFileError(f"there is no file {file_id[:80]!r}")
        return OwnedFile.of(row)

    def list(self, owner_id: str, query: PageQuery, purpose: str | None = None) -> Page[OwnedFile]:
        """Raises UnknownCursorError: the cursor never was a file of this owner."""
        wanted = self._present(owner_id)
        if purpose is not None:
            wanted = wanted.where(FILES.c.purpose == purpose)
        scope = rows_of(FILES, owner_id=owner_id)
        with self._database.read() as connection:
            return fetch_page(connection, FILES, query, scope=scope, wanted=wanted, make=OwnedFile.of)

    def path(self, file: OwnedFile) -> Path:
        """Where its content is."""
        return self._content(file.owner_id, file.sha256)

    def delete(self, owner_id: str, file_id: str) -> OwnedFile:
        """The file that was there.

        Raises:
            UnknownFileError: there is none.
            FileInUseError: a job that is not finished is made from it.
        """
        file = self.find(owner_id, file_id)
        self._remove([file])
        return file

    def remove_expired(self) -> int:
        """Removes files of which the time is over and which no job needs; how many there were."""
        needed = exists().where(_uses(FILES.c.owner_id, FILES.c.id))
        expired = select(FILES).where(FILES.c.deleted_at.is_(None), FILES.c.expires_at <= int(self._now()), ~needed)
        with self._database.read() as connection:
            rows = connection.execute(expired.limit(BATCH)).mappings().all()
        self._remove([OwnedFile.of(row) for row in rows])
        return len(rows)

    def remove_drafts(self) -> None:
        """Removes what a crash left unfinished; nothing may be arriving."""
        self._disk.remove(self._drafts)

    def _remove(self, files: Sequence[OwnedFile]) -> None:
        for file in files:
            with self._database.write() as connection:
                next_seq(connection, file.owner_id)  # holds the owner's row, so that no job is made meanwhile
                user = connection.execute(_unfinished_jobs(file)).scalar()
                if user is not None:
                    raise FileInUseError(f"the job {user} is made from this file; cancel it first", user)
                gone = update(FILES).where(FILES.c.id == file.id, FILES.c.deleted_at.is_(None))
                connection.execute(gone.values(deleted_at=int(self._now())))
            # Only now, since a crash must not leave a file without its content.
            with self._database.write() as connection:
                next_seq(connection, file.owner_id)
                if not self._is_used(connection, file):
                    self._disk.remove(self.path(file))

    def _is_used(self, connection: Connection, file: OwnedFile) -> bool:
        same = rows_of(FILES, owner_id=file.owner_id, sha256=file.sha256).where(FILES.c.deleted_at.is_(None))
        return connection.execute(same.limit(1)).first() is not None

    def _present(self, owner_id: str) -> Select[Any]:
        in_time = or_(FILES.c.expires_at.is_(None), FILES.c.expires_at > int(self._now()))
        return rows_of(FILES, owner_id=owner_id).where(FILES.c.deleted_at.is_(None), in_time)

    @property
    def _drafts(self) -> Path:
        return self._folder / ".drafts"

    def _content(self, owner_id: str, sha256: str) -> Path:
        return self._folder / owner_id / sha256


def _uses(owner_id: ColumnElement[str] | str, file_id: ColumnElement[str] | str) -> ColumnElement[bool]:
    """Whether a job that is not finished is made from a file."""
    unfinished = [state for state in JobState if not state.is_final]
    return and_(
        JOBS.c.owner_id == owner_id,
        JOBS.c.state.in_(unfinished),
        or_(JOBS.c.training_file == file_id, JOBS.c.validation_file == file_id),
    )


def _unfinished_jobs(file: OwnedFile) -> Select[Any]:
    return select(JOBS.c.id).where(_uses(file.owner_id, file.id)).limit(1)
