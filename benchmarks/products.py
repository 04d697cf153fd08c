"""Products of few rows in bfloat16: Verifine's kernels beside oneDNN's, for all linear layers of a model.

    python benchmarks/products.py                                                 # a minute on two cores

The weights of the body, layer after layer, as a step of decoding reads them: together they are larger than any cache.
Both sides have packed them before. Medians of `--repeats`, in turns. Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from ceilings import Shape
from model_folders import model_folder
from table import add_json_option, publish, render
from torch import Tensor
from transformers import AutoConfig
from workloads import MODEL

from verifine.models.network.compiled.kernels import find_kernels
from verifine.models.network.packed_projection import PACKING_ROWS

ROWS = (1, 8, 32, 64, 256, 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Milliseconds for all products."""

    rows: int
    onednn_ms: float
    own_ms: float


def compare(shape: Shape, rows: Sequence[int], repeats: int) -> list[Compared]:
    """Raises SystemExit: this processor has no products of ours."""
    kernels = find_kernels()
    if kernels is None or not all(kernels.multiplies(*each) for each in shape.body):
        raise SystemExit("there are no kernels for products in bfloat16 here: no compiler, no instructions, or AMX")
    weights = [torch.randn(each).bfloat16() for each in shape.body]
    theirs = [torch.ops.mkldnn._reorder_linear_weight(weight, PACKING_ROWS) for weight in weights]
    ours = [kernels.pack(weight) for weight in weights]

    def multiply_theirs(inputs: dict[int, Tensor]) -> None:
        for packed, (_, width) in zip(theirs, shape.body, strict=True):
            torch.ops.mkldnn._linear_pointwise(inputs[width], packed, None, "none", [], "")

    def multiply_ours(inputs: dict[int, Tensor]) -> None:
        for packed, (_, width) in zip(ours, shape.body, strict=True):
            kernels.multiply(inputs[width], packed, None)

    found = []
    for count in rows:
        inputs = {width: torch.randn(count, width).bfloat16() for _, width in shape.body}
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(repeats + 1):
            for spent, multiply in zip(times, (multiply_theirs, multiply_ours), strict=True):
                spent.append(_milliseconds(multiply, inputs))
        onednn_ms, own_ms = (statistics.median(spent[1:]) for spent in times)  # the first one warms up
        found.append(Compared(rows=count, onednn_ms=onednn_ms, own_ms=own_ms))
    return found


def _milliseconds(multiply: Callable[[dict[int, Tensor]], None], inputs: dict[int, Tensor]) -> float:
    begun = time.perf_counter()
    multiply(inputs)
    return 1000 * (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--repeats", type=int, default=7)
    add_json_option(parser)
    options = parser.parse_args()
    shape = Shape.of(AutoConfig.from_pretrained(model_folder(options.model)))
    with torch.no_grad():
        found = compare(shape, ROWS, options.repeats)
    rows = [(each.rows, each.onednn_ms, each.own_ms) for each in found]
    publish(render(("rows", "oneDNN, ms", "own, ms"), rows), [asdict(each) for each in found], options.json)


if __name__ == "__main__":
    main()
