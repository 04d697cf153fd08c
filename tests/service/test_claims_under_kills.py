from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text

from verifine.service.database import Database
from verifine.service.database.tables import JOB_EVENTS, JOBS

SUPERVISORS, KILLS = 4, 6


def make_jobs(database: Database, count: int) -> None:
    row = {"owner_id": "alice", "created_at": 0, "state": "queued", "request": {}, "config": "", "metadata": {}}
    row |= {"training_file": "file-a", "last_event": 0}
    with database.write() as connection:
        connection.execute(insert(JOBS), [{**row, "id": f"job-{seq}", "seq": seq, "fence": 0} for seq in range(count)])


@pytest.mark.slow
def test_every_job_is_done_once_though_supervisors_are_killed(database: Database, database_url: str) -> None:
    count = 3000 if database.is_sqlite else 500  # which of its locks are held does not depend on the number
    make_jobs(database, count)
    reading, writing = os.pipe()
    alive: dict[int, subprocess.Popen[bytes]] = {}

    def start() -> None:
        script = Path(__file__).with_name("claim_jobs.py")
        process = subprocess.Popen([sys.executable, str(script), database_url], stdout=writing)
        alive[process.pid] = process

    for _ in range(SUPERVISORS):
        start()
    claims: Counter[str] = Counter()
    takeovers = killed = 0
    began = time.monotonic()
    with os.fdopen(reading) as lines:
        for line in lines:
            pid, job_id, is_takeover = line.split()
            claims[job_id] += 1
            takeovers += is_takeover == "True"
            if killed < KILLS and sum(claims.values()) >= (killed + 1) * count / (KILLS + 2) and int(pid) in alive:
                victim = alive.pop(int(pid))  # it has just claimed a job
                victim.send_signal(signal.SIGKILL)
                victim.wait()
                killed += 1
                start()
                if killed == KILLS:
                    os.close(writing)  # the lines end when the last supervisor does
    print(f"{count / (time.monotonic() - began):.0f} jobs/s, {killed} kills, {takeovers} taken over")
    assert killed == KILLS
    assert {process.wait() for process in alive.values()} == {0}
    with database.read() as connection:
        states = connection.execute(select(JOBS.c.state, func.count()).group_by(JOBS.c.state)).all()
        done = connection.execute(select(func.count(), func.count(JOB_EVENTS.c.job_id.distinct()))).one()
        if database.is_sqlite:
            assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
    assert [tuple(row) for row in states] == [("succeeded", count)]
    assert tuple(done) == (count, count)
    assert len(claims) == count
    assert max(claims.values()) > 1, "no job was claimed again, so nothing was killed at work"
    assert takeovers <= KILLS
