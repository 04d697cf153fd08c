"""`/api/machine`: what the machine of the service has, and what of it is free."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

from fastapi import APIRouter
from pydantic import BaseModel

from verifine.machine.cores import read_cores
from verifine.machine.memory import read_memory, read_unused
from verifine.service.http.keys import OwnerId
from verifine.service.jobs.needs import ACCELERATOR


class MachineView(BaseModel):
    """The machine, within the limits that the service has on it."""

    version: str
    """Of Verifine."""
    cores: int
    """Threads that run at once."""
    memory_bytes: int
    free_memory_bytes: int
    disk_bytes: int
    """Where jobs and files are."""
    free_disk_bytes: int
    has_accelerator: bool


class MachineRoutes:
    """The route."""

    def __init__(self, folder: Path) -> None:
        """`folder` is on the disk of jobs and files."""
        self._folder = folder

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/api", tags=["Machine"])
        router.add_api_route("/machine", self.machine, methods=["GET"])
        return router

    def machine(self, _: OwnerId) -> MachineView:
        """What there is, and what is free at this moment."""
        disk = shutil.disk_usage(self._folder)
        return MachineView(
            version=version("verifine"),
            cores=read_cores().available,
            memory_bytes=read_memory().total,
            free_memory_bytes=read_unused(),
            disk_bytes=disk.total,
            free_disk_bytes=disk.free,
            has_accelerator=ACCELERATOR.exists(),
        )
