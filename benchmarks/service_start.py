"""How long `verifine serve` takes to be ready, and how much memory it holds then and after some requests.

python benchmarks/service_start.py [--times 10] [--json FILE]
"""

from __future__ import annotations

import argparse
import signal
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil
from table import add_json_option, publish, render

from verifine.testing.serve_command import ServeCommand

ASKED = ("/readyz", "/openapi.json", "/v1/fine_tuning/jobs", "/v1/models", "/api/runs", "/api/machine", "/metrics")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10)
    add_json_option(parser)
    options = parser.parse_args()
    ready, computed, fresh, used = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="verifine-") as folder:
        for _ in range(options.times):
            began = time.monotonic()
            service = ServeCommand.start(Path(folder), {})
            root = str(service.client.base_url).removesuffix("/v1/")
            service.client.get(f"{root}/readyz").raise_for_status()
            ready.append(time.monotonic() - began)
            process = psutil.Process(service.process.pid)
            times = process.cpu_times()
            computed.append(times.user + times.system)
            fresh.append(process.memory_info().rss / 1e6)
            for path in ASKED:
                service.client.get(f"{root}{path}").raise_for_status()
            used.append(process.memory_info().rss / 1e6)
            service.end(signal.SIGTERM)
    rows = [
        (name, median(values), max(values))
        for name, values in (
            ("ready, s", ready),
            ("of a core until then, s", computed),
            ("memory, MB", fresh),
            ("after requests, MB", used),
        )
    ]
    numbers = {name: {"median": middle, "most": most} for name, middle, most in rows}
    publish(render(("", "median", "most"), rows), numbers, options.json)


if __name__ == "__main__":
    main()
