"""Starts `verifine` for a job, keeps what it prints, and writes down how it ended; the service may end meanwhile.

`python -m verifine.service.supervisor.recorder FOLDER LOCK WORDS...`, in a session of its own. LOCK is the number of an
open file that holds the lock of the folder: it was taken before this process was started, and is let go when it ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from verifine.machine.disk import write_whole

LOCK, PROCESS, END, LOG = ".recorder", "process.json", "end.json", "output.log"


def record(folder: Path, words: Sequence[str]) -> None:
    """Returns when the command has ended."""
    (folder / END).unlink(missing_ok=True)
    me = psutil.Process()
    write_whole(folder / PROCESS, json.dumps({"pid": me.pid, "started": me.create_time()}).encode())
    with (folder / LOG).open("ab") as log:
        command = [sys.executable, "-m", "verifine", *words]
        code = subprocess.call(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        os.fsync(log.fileno())
    write_whole(folder / END, json.dumps({"code": code}).encode())


if __name__ == "__main__":
    with os.fdopen(int(sys.argv[2])):
        record(Path(sys.argv[1]), sys.argv[3:])
