"""A supervisor of jobs that do nothing: `claim_jobs.py DATABASE_URL`. It ends when no job is left.

It prints a line for each claim before it works on the job, and may be killed there.
"""

from __future__ import annotations

import os
import sys
import time

import psutil

from verifine.service.database import Database
from verifine.service.jobs.claims import Claim, JobClaims
from verifine.service.jobs.job import JobNews
from verifine.service.jobs.states import JobState


def is_gone(holder: str) -> bool:
    return not psutil.pid_exists(int(holder)) or psutil.Process(int(holder)).status() == psutil.STATUS_ZOMBIE


def work(claims: JobClaims, claim: Claim) -> None:
    os.write(1, f"{os.getpid()} {claim.job.id} {claim.is_takeover}\n".encode())
    claims.release(claim, JobState.SUCCEEDED, JobNews(message="done"))


def main(url: str) -> None:
    claims = JobClaims(Database(url), str(os.getpid()), time.time)
    while True:
        claim = claims.claim_next()
        taken = [claim] if claim is not None else claims.take_over(is_gone)
        for each in taken:
            work(claims, each)
        if not taken:
            return


main(sys.argv[1])
