"""Requests made up from the description of the service: none is answered with 500, or takes over two seconds.

Every answer is held to the description too.

    python benchmarks/service_requests.py [--count 10000] [--seed 0] [--database URL] [--json FILE]     # 10 minutes

Everything of the service is asked: files, jobs, models, chats, runs, marks, graders, studies. Models that answer are
faked, as is what needs torch, and jobs are not trained. The time limit is not for requests that start graders. They are
asked one after the other, over HTTP.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median

from table import add_json_option, publish, render

from verifine.testing.generated_requests import RequestGenerator
from verifine.testing.requested_service import MOST_S, RequestedService

WORKING = ("/v1/fine_tuning/alpha/graders", "/api/graders", "/api/jobs/{job_id}/regrade", "/api/files/{file_id}/study")
"""Routes that start a grader or read a file, in the service by a process of its own. They may take longer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", help="an empty one on PostgreSQL; SQLite in a new folder if not given")
    add_json_option(parser)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="verifine-") as folder,
        RequestedService.open(Path(folder), options.database) as service,
    ):
        generator = RequestGenerator(service.description, service.known, options.seed)
        answers = [service.ask(request) for request in generator.requests(options.count)]
    failed = [each for each in answers if each.status == 500 or each.fault is not None]
    quick = [each for each in answers if not each.request.route.startswith(WORKING)]
    slow = [each for each in quick if each.seconds > MOST_S]
    seconds = sorted(each.seconds for each in quick)
    working = [each.seconds for each in answers if each.request.route.startswith(WORKING)]
    statuses = Counter(each.status for each in answers)
    rows = [
        ("requests", len(answers)),
        ("routes", len({each.request.route for each in answers})),
        *((f"answered {status}", count) for status, count in sorted(statuses.items())),
        ("median, ms", 1000 * median(seconds)),
        ("99 %, ms", 1000 * seconds[len(seconds) * 99 // 100]),
        ("slowest, ms", 1000 * seconds[-1]),
        ("slowest that grades, ms", 1000 * max(working)),
    ]
    numbers = {str(name): value for name, value in rows}
    publish(render(("", "count"), rows), [numbers], options.json)
    for each in [*failed, *slow][:20]:
        print(
            f"{each.status} after {each.seconds:.2f} s ({each.fault or 'as described'}):",
            each.request.method,
            each.request.path,
            each.request.body[:300],
        )
    if failed or slow:
        raise SystemExit(f"{len(failed)} answers are wrong, and {len(slow)} took over {MOST_S:g} s")


if __name__ == "__main__":
    main()
