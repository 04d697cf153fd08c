"""How long the sandbox takes: to start a worker, to prove it, and to run a call, for each way to hold code.

    python benchmarks/sandbox.py
    python benchmarks/sandbox.py --preload numpy --json

Milliseconds are medians. A call is a grade function of one line; calls a second are those of one worker. The batch is
64 such calls through `Sandbox` with as many workers as there are processors, started and proved beforehand.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass

from verifine.graders.sandbox import Call, Level, Limits, Sandbox
from verifine.graders.sandbox.plan import IsolationPlan, find_plans
from verifine.graders.sandbox.process import IsolationError, start_worker
from verifine.graders.sandbox.selftest import prove
from verifine.graders.sandbox.worker import Worker

GRADE = Call(
    source="def grade(sample, item):\n    return float(sample['output_text'] == item['want'])\n",
    function="grade",
    arguments=({"output_text": "42", "output_json": 42}, {"want": "42"}),
)
BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was measured of one way to hold code."""

    plan: str
    start_ms: float
    selftest_ms: float | None
    """None: there are no walls to prove."""
    call_ms: float
    calls_per_s: float


def measure(plan: IsolationPlan, *, starts: int, calls: int, preload: Sequence[str]) -> Row:
    start_s, proof_s = [], []
    for _ in range(starts):
        begun = time.perf_counter()
        worker = start_worker(plan, preload=preload)
        start_s.append(time.perf_counter() - begun)
        try:
            if plan.level is not Level.UNSAFE:
                proof_s.append(_timed(lambda: prove(worker)))  # noqa: B023 - called at once
        finally:
            worker.end()
    worker = start_worker(plan, preload=preload)
    try:
        call_s = sorted(_timed(lambda: _call(worker)) for _ in range(calls))
    finally:
        worker.end()
    return Row(
        plan=f"{plan.level} by {plan.namespaces}",
        start_ms=1e3 * statistics.median(start_s),
        selftest_ms=1e3 * statistics.median(proof_s) if proof_s else None,
        call_ms=1e3 * statistics.median(call_s),
        calls_per_s=calls / sum(call_s),
    )


def measure_batch(preload: Sequence[str]) -> float:
    """Seconds for 64 calls, at the best level."""
    with closing(Sandbox(preload=preload)) as sandbox:
        sandbox.run([GRADE] * BATCH)
        return _timed(lambda: sandbox.run([GRADE] * BATCH))


def _call(worker: Worker) -> None:
    outcome = worker.run(GRADE, Limits())
    assert outcome.value == 1.0, outcome


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--preload", nargs="*", default=())
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for plan in (*find_plans(None), *find_plans(Level.UNSAFE)):
        try:
            rows.append(measure(plan, starts=options.starts, calls=options.calls, preload=options.preload))
        except IsolationError as error:
            if not options.json:
                print(f"{plan.level} by {plan.namespaces}: not here ({error})")
    batch_s = measure_batch(options.preload)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "batch_s": batch_s}))
        return
    print(f"{'':22}{'start ms':>10}{'self-test ms':>14}{'call ms':>9}{'calls/s':>9}")
    for row in rows:
        proof = "" if row.selftest_ms is None else f"{row.selftest_ms:.0f}"
        print(f"{row.plan:22}{row.start_ms:10.0f}{proof:>14}{row.call_ms:9.2f}{row.calls_per_s:9.0f}")
    print(f"batch of {BATCH}: {batch_s:.2f} s")


if __name__ == "__main__":
    main()
