"""What a JSON schema costs a served answer: to compile it, and for each token.

    python benchmarks/forms.py
    python benchmarks/forms.py --model tiny --schemas 5

Generated, bounded schemas (`verifine.testing.bounded_schemas`). Answers are written by chance, from the tokens that the
form allows, so that no model runs: what is timed is the form alone, which a token takes besides the model's time.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from dataclasses import asdict, dataclass

import torch
from model_folders import model_folder
from table import add_json_option, publish, render
from workloads import MODEL

from verifine.models.load import load_model
from verifine.models.provision.stored import ProvisionedModel
from verifine.serving import ServedModel, ServingLimits
from verifine.testing.bounded_schemas import make_schema

LONGEST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class FormCost:
    """Over all schemas. A token is the mask of what may come next, and the step that follows the token."""

    vocabulary: int
    schemas: int
    tokens: int
    compile_ms_median: float
    compile_ms_p95: float
    token_us_median: float
    token_us_p95: float


def measure(served: ServedModel, count: int) -> FormCost:
    compiles: list[float] = []
    tokens: list[float] = []
    served.grammars.compile_schema({"type": "null"})  # makes the vocabulary of the library, once
    for place in range(count):
        chance = random.Random(place)
        schema = make_schema(chance)
        begun = time.perf_counter()
        form = served.grammars.compile_schema(schema)
        constraint = form.begin()
        compiles.append(time.perf_counter() - begun)
        for _ in range(LONGEST):
            begun = time.perf_counter()
            allowed = constraint.allowed()
            spent = time.perf_counter() - begun
            token_id = chance.choice(torch.nonzero(allowed).flatten().tolist())
            begun = time.perf_counter()
            constraint.accept(token_id)
            tokens.append(spent + time.perf_counter() - begun)
            if token_id in served.model.stop_token_ids:
                break
    return FormCost(
        vocabulary=len(served.model.head.weight),
        schemas=count,
        tokens=len(tokens),
        compile_ms_median=1e3 * statistics.median(compiles),
        compile_ms_p95=1e3 * statistics.quantiles(compiles, n=20)[-1],
        token_us_median=1e6 * statistics.median(tokens),
        token_us_p95=1e6 * statistics.quantiles(tokens, n=20)[-1],
    )


def describe(cost: FormCost) -> str:
    columns = asdict(cost)
    return render([name.replace("_", " ") for name in columns], [list(columns.values())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL, help="a catalogue name, a folder, or tiny")
    parser.add_argument("--schemas", type=int, default=200)
    add_json_option(parser)
    options = parser.parse_args()
    files = ProvisionedModel(name=options.model, folder=model_folder(options.model), source="benchmark")
    served = ServedModel.of("model", load_model(files, "float32"), ServingLimits(), created=0)
    cost = measure(served, options.schemas)
    publish(describe(cost), asdict(cost), options.json)


if __name__ == "__main__":
    main()
