"""The models of all owners, and those of the service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, select, update

from verifine.data.suggestion import did_you_mean
from verifine.errors import VerifineError
from verifine.machine.disk import LOCAL_DISK, Disk
from verifine.service.database import Database
from verifine.service.database.owners import next_seq
from verifine.service.database.paging import Page, PageQuery, fetch_page, rows_of
from verifine.service.database.tables import JOB_CHECKPOINTS, JOBS, MODELS
from verifine.service.jobs.job import Job
from verifine.service.models.bases import StartingCheckpoint, TrainableModel, TrainableModels, count_parameters
from verifine.service.models.model import JobCheckpoint, ModelKind, NamedModel, OwnedModel
from verifine.service.models.names import root_of
from verifine.service.models.usage import find_user


class UnknownModelError(VerifineError):
    """A model that the owner cannot name."""


class ModelInUseError(VerifineError):
    """A model that something still needs."""


class SharedModelError(VerifineError):
    """A model that belongs to the service, so that no owner can delete it."""


class ModelStore:
    """What requests may name as `model`: the service's own models, and what the jobs of an owner have left."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        bases: TrainableModels,
        now: Callable[[], float],
        disk: Disk = LOCAL_DISK,
    ) -> None:
        """`folder` is the service's; `bases` are its own models, by name."""
        self._database, self._folder, self._now, self._disk = database, folder, now, disk
        self.bases = bases

    def find(self, owner_id: str, name: str) -> NamedModel:
        """The model of any name: of the catalogue, of `--model`, of a tuned model, or of a checkpoint.

        Raises:
            UnknownModelError: there is none of this name that the owner can use.
        """
        if name in self.bases:
            return _shared(name, self.bases)
        with self._database.read() as connection:
            return self._resolve(connection, self._find(connection, owner_id, name))

    def find_start(self, owner_id: str, name: str) -> TrainableModel:
        """The same, as a job starts from it.

        Raises:
            UnknownModelError: there is none of this name that the owner can use.
            ConfigError: a checkpoint is of a job that this version of Verifine cannot read.
        """
        if name in self.bases:
            return self.bases[name]
        with self._database.read() as connection:
            model = self._find(connection, owner_id, name)
            found = self._resolve(connection, model)
            job = Job.of(connection.execute(rows_of(JOBS, id=model.job_id)).mappings().one())
        if found.checkpoint is None:
            return TrainableModel(name=name, source=found.source, parameters=found.parameters)
        checkpoint = StartingCheckpoint(folder=found.checkpoint, trained=job.run_config().model)
        return TrainableModel(name=name, source=found.base, parameters=found.parameters, checkpoint=checkpoint)

    def list(self, owner_id: str) -> list[NamedModel]:
        """The service's own, then the owner's, newest first."""
        own = rows_of(MODELS, owner_id=owner_id).where(MODELS.c.deleted_at.is_(None)).order_by(MODELS.c.seq.desc())
        found = [_shared(name, self.bases) for name in self.bases]
        with self._database.read() as connection:
            for row in connection.execute(own).mappings().all():
                try:
                    found.append(self._resolve(connection, OwnedModel.of(row)))
                except UnknownModelError:  # its base has been taken from the service
                    continue
        return found

    def list_checkpoints(self, job_id: str, query: PageQuery) -> Page[JobCheckpoint]:
        """Those of a job that are kept, newest first. Raises UnknownCursorError."""
        scope = rows_of(JOB_CHECKPOINTS, job_id=job_id)
        kept = select(MODELS.c.id).where(MODELS.c.job_id == job_id, MODELS.c.deleted_at.is_(None))
        wanted = scope.where(JOB_CHECKPOINTS.c.model_id.in_(kept))
        with self._database.read() as connection:
            return fetch_page(connection, JOB_CHECKPOINTS, query, scope=scope, wanted=wanted, make=JobCheckpoint.of)

    def delete(self, owner_id: str, name: str) -> None:
        """Deletes a tuned model or a checkpoint, with its files.

        Raises:
            UnknownModelError: there is none of this name.
            SharedModelError: it is the service's.
            ModelInUseError: a job starts from it, or a checkpoint is loaded with it.
        """
        if name in self.bases:
            raise SharedModelError(f"the model {name} belongs to the service; only tuned models can be deleted")
        with self._database.write() as connection:
            next_seq(connection, owner_id)  # holds the owner's row, so that no job is made from it meanwhile
            model = self._find(connection, owner_id, name)
            user = find_user(connection, owner_id, name)
            if user is not None:
                raise ModelInUseError(f"the model {name} is in use: {user}")
            connection.execute(update(MODELS).where(MODELS.c.id == name).values(deleted_at=int(self._now())))
        # Only now, since a crash must not leave a model without its files.
        self._disk.remove(self._folder / model.folder)

    def remove_deleted(self) -> None:
        """Removes files of deleted models that a crash has left."""
        deleted = select(MODELS.c.folder).where(MODELS.c.deleted_at.is_not(None))
        with self._database.read() as connection:
            folders = connection.execute(deleted).scalars().all()
        for folder in folders:
            self._disk.remove(self._folder / folder)

    def _find(self, connection: Connection, owner_id: str, name: str) -> OwnedModel:
        present = rows_of(MODELS, owner_id=owner_id, id=name).where(MODELS.c.deleted_at.is_(None))
        row = connection.execute(present).mappings().first()
        if row is None:
            hint = did_you_mean(name, self.bases)
            raise UnknownModelError(f'the model "{name[:80]}" does not exist{hint}; GET /v1/models lists those that do')
        return OwnedModel.of(row)

    def _resolve(self, connection: Connection, model: OwnedModel) -> NamedModel:
        folder = self._folder / model.folder
        base = self._locate_base(connection, model)
        place: dict[str, Path | None]
        if model.kind is ModelKind.CHECKPOINT:
            if base is None:
                raise UnknownModelError(
                    f"the model {model.id} is loaded with {model.base}, which this service does not have; start it "
                    f"with --model {model.base}=FOLDER"
                )
            place = {"checkpoint": folder}
        elif model.is_adapter and base is not None:
            place = {"adapter": folder / "adapter", "merged": folder}
        else:
            base, place = str(folder), {"merged": folder}
        root = self.bases.get(root_of(model.id))
        return NamedModel(
            name=model.id,
            owner_id=model.owner_id,
            created_at=model.created_at,
            base=base,
            parameters=count_parameters(Path(base)) if root is None else root.parameters,
            **place,
        )

    def _locate_base(self, connection: Connection, model: OwnedModel) -> str | None:
        """As `model.name` of a RunConfig; None: it is gone."""
        if model.base in self.bases:
            return self.bases[model.base].source
        tuned = select(MODELS.c.folder).where(MODELS.c.id == model.base, MODELS.c.deleted_at.is_(None))
        folder = connection.execute(tuned).scalar()
        return None if folder is None else str(self._folder / folder)


def _shared(name: str, bases: TrainableModels) -> NamedModel:
    base = bases[name]
    return NamedModel(name=name, owner_id=None, created_at=0, base=base.source, parameters=base.parameters)
