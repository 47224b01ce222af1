"""The head and its cross-entropy: ours in chunks beside PyTorch's own (from 2.13 on).

    python benchmarks/head.py --json runs/bench/head.json

A step is a forward and a backward pass over the scored positions of a batch. Rounds are
interleaved and their medians told; sums of nats and gradients are compared with those of the plain
function, which holds all logits at once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from machine import describe, sentence
from torch import Tensor

from careergpt.modeling.loss import chunk_of, linear_cross_entropy

SIZES = {"the demo": (1024, 160, 2048), "GPT-2": (2048, 768, 50257)}
"""Positions, width, words."""

Head = Callable[[Tensor, Tensor, Tensor], Tensor]


def plain(states: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """All logits at once."""
    return F.cross_entropy(F.linear(states, head), targets, reduction="sum")


def of_torch(**chunking: Any) -> Head:
    """PyTorch's own in chunks."""
    options = torch.nn.LinearCrossEntropyOptions(**chunking)

    def nats(states: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        return F.linear_cross_entropy(states, head, targets, reduction="sum", options=options)

    return nats


def heads(words: Tensor) -> dict[str, Head]:
    """Ours, the plain one, and PyTorch's where this version has one."""
    found: dict[str, Head] = {"careergpt": linear_cross_entropy, "plain": plain}
    if hasattr(F, "linear_cross_entropy"):
        found["torch, its own chunks"] = of_torch()
        found["torch, chunks of 500"] = of_torch(batch_chunk_size=500)
        found["torch, our chunks"] = of_torch(batch_chunk_size=chunk_of(words))
    return found


def measure(positions: int, width: int, words: int, rounds: int) -> list[dict[str, Any]]:
    """Seconds a step of each head, and how far it is from the plain one."""
    torch.manual_seed(0)
    states = torch.randn(positions, width, requires_grad=True)
    head = (torch.randn(words, width) / width**0.5).requires_grad_()
    targets = torch.randint(words, (positions,))
    made = heads(head)
    seconds: dict[str, list[float]] = {name: [] for name in made}
    results = {}
    for number in range(rounds + 1):  # The first warms up.
        for name, function in made.items():
            began = time.perf_counter()
            loss = function(states, head, targets)
            results[name] = (loss.detach(), *torch.autograd.grad(loss, (states, head)))
            if number:
                seconds[name].append(time.perf_counter() - began)
    own = statistics.median(seconds["careergpt"])
    return [
        {
            "name": name,
            "seconds": statistics.median(seconds[name]),
            "ratio": statistics.median(seconds[name]) / own,
            "nats_off": float(abs(results[name][0] / results["plain"][0] - 1)),
            "gradient_off": max(
                float((found - expected).norm() / expected.norm())
                for found, expected in zip(results[name][1:], results["plain"][1:], strict=True)
            ),
        }
        for name in made
    ]


def main() -> None:
    """Prints a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", default=None)
    args = parser.parse_args()
    rows = []
    print(sentence())
    for title, sizes in SIZES.items():
        positions, width, words = sizes
        print(f"\n{title}: {positions:,} positions, width {width}, {words:,} words\n")
        print("| head | seconds a step | ratio | nats off | gradients off |\n|---|---|---|---|---|")
        for row in measure(*sizes, args.rounds):
            rows.append({"size": title, **row})
            print(
                f"| {row['name']} | {row['seconds']:.4f} | {row['ratio']:.2f} | "
                f"{row['nats_off']:.1e} | {row['gradient_off']:.1e} |"
            )
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        Path(args.json).write_text(json.dumps({"rows": rows, "machine": describe()}, indent=1))


if __name__ == "__main__":
    main()
