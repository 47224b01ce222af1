"""Simulates comparisons whose truth is known, and counts how often what compare says is right.

    python benchmarks/compare_statistics.py --comparisons 10000 --json runs/bench/statistics.json

Records come in titles of unequal size; half of their noise is the title's own, and texts are of
unequal length. With 10,000 comparisons a share of 5 or 95 % is exact to 0.4 points, one of 80 % to
0.8 (95 % intervals).
"""

from __future__ import annotations

import argparse
import json
import math
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from careergpt.compare.comparison import Finding
from careergpt.compare.findings import Measured, findings
from careergpt.compare.metrics import LOSS
from careergpt.compare.statistics import (
    FloatArray,
    detectable_effect,
    is_equivalent,
    rank_intervals,
    standard_error,
)

PROMISES = {
    "Equal models: a difference is found": "at most 5 %",
    "The 95 % interval holds the truth": "95 % ± 1",
    "A true difference of the detectable size is found": "80 % ± 3",
    "A true difference of the margin is called equivalent": "at most 5 %",
    "A rank's interval, 4 models a standard error apart, holds the truth": "at least 95 %",
    "A rank's interval, 4 models a hundredth of it apart, holds the truth": "at least 95 %",
}
"""What is counted, in this order, and what is promised."""

MODELS = 4


def drawn(seed: int, titles: int) -> tuple[FloatArray, FloatArray, list[int]]:
    """Nats of `MODELS` beyond their truth, (records, models); tokens; the title of each record."""
    generator = np.random.default_rng([titles, seed])
    title = np.repeat(np.arange(titles), generator.geometric(0.6, size=titles))
    own = generator.standard_normal((titles, MODELS))[title]
    noise = (own + generator.standard_normal((len(title), MODELS))) / math.sqrt(2)
    tokens = generator.lognormal(4, 0.4, size=len(title)).round() + 1
    return noise * tokens[:, None], tokens, title.tolist()


def finding(apart: FloatArray, tokens: FloatArray, title: list[int], seed: int) -> Finding:
    """What compare finds of one metric whose differences are these."""
    values = {"baseline": np.zeros(len(apart)), "finetuned": apart}
    [found] = findings([Measured(LOSS, "", values, tokens, [*map(str, title)])], seed=seed)
    return found


def ranks_held(nats: FloatArray, tokens: FloatArray, title: list[int], step: float) -> float:
    """The share of intervals that hold the ranks of models whose truths are so far apart."""
    truth = step * np.arange(MODELS)
    found = rank_intervals(nats + tokens[:, None] * truth, tokens, title)
    held = [low <= MODELS - place <= high for place, (_, low, high) in enumerate(found)]
    return sum(held) / MODELS


def simulated(seed: int, titles: int) -> list[float]:
    """What came about in one comparison, in the order of `PROMISES`."""
    nats, tokens, title = drawn(seed, titles)
    error, freedom = standard_error(nats[:, 0], tokens, title)
    equal = finding(nats[:, 0], tokens, title, seed)
    size = detectable_effect(error, titles)
    apart = finding(nats[:, 0] + size * tokens, tokens, title, seed)
    # As far apart as three errors: then a margin can be shown at all.
    margin = 3 / math.sqrt(titles)
    return [
        equal.verdict != "no difference found",
        equal.difference.low <= 0 <= equal.difference.high,
        apart.verdict == "worse",
        is_equivalent(equal.difference.estimate + margin, error, freedom, margin),
        ranks_held(nats, tokens, title, 1 / math.sqrt(titles)),
        ranks_held(nats, tokens, title, 0.01 / math.sqrt(titles)),
    ]


def main() -> None:
    """Prints a table: a row for each promise, a column for each number of titles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comparisons", type=int, default=10_000)
    parser.add_argument("--titles", type=int, nargs="+", default=[30, 100])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    shares = {}
    with Pool(options.processes) as pool:
        for titles in options.titles:
            one = partial(simulated, titles=titles)
            came = pool.map(one, range(options.comparisons), chunksize=10)
            shares[titles] = np.mean(came, axis=0).tolist()
    print(f"| {options.comparisons:,} comparisons | promised |", end="")
    print("".join(f" {titles} titles |" for titles in shares))
    print("|---|---|" + "---:|" * len(shares))
    for row, (what, promised) in enumerate(PROMISES.items()):
        told = "".join(f" {100 * some[row]:.1f} % |" for some in shares.values())
        print(f"| {what} | {promised} |{told}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        found = {titles: dict(zip(PROMISES, some, strict=True)) for titles, some in shares.items()}
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
