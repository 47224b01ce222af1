"""What the machine can do: the rate of GPT-2's own matrix products, measured between the rounds."""

from __future__ import annotations

import torch
from turns import Gate
from workload import Sizes, Workload

CHUNK = 512
"""Rows of a product with the head: all of a batch's logits at once would test the memory."""

DATA_SHEET = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""FLOP a second in bf16, dense, as NVIDIA's data sheets (SXM) say: what MFU is a share of."""


def data_sheet_flops(gpu: str | None, precision: str) -> float | None:
    """The rate that the GPU's data sheet promises in this precision; None where it is not known."""
    if precision != "bf16":
        return None
    return next((rate for name, rate in DATA_SHEET.items() if name in (gpu or "")), None)


def products(sizes: Sizes, tokens: int) -> list[tuple[int, int, int, int]]:
    """Rows, inner size, columns, how often: the products of a step's tokens with the weights."""
    width, rows = sizes.width, min(tokens, CHUNK)
    shapes = [(1, 3), (1, 1), (1, 4), (4, 1)]
    blocks = [(tokens, inner * width, out * width, sizes.layers) for inner, out in shapes]
    return [*blocks, (rows, width, sizes.vocabulary, tokens // rows)]


def tokens_of(workload: Workload) -> int:
    """Tokens of a probe: about half of a step's, which fill the machine and take a few seconds."""
    return workload.sequences * workload.sizes.context // 4


def probe_flops(workload: Workload) -> float:
    """Floating-point operations of a probe: each product forward, and its two backward ones."""
    shapes = products(workload.sizes, tokens_of(workload))
    return float(sum(6 * rows * inner * out * times for rows, inner, out, times in shapes))


def work(workload: Workload, gate: Gate) -> None:
    """Takes turns as the contenders do: a step is a probe, in the precision of their products."""
    dtype = torch.bfloat16 if workload.half else torch.float32
    triples = []
    for rows, inner, columns, times in products(workload.sizes, tokens_of(workload)):
        states, weight, gradient = (
            torch.randn(shape, device=workload.device, dtype=dtype)
            for shape in ((rows, inner), (inner, columns), (rows, columns))
        )
        for left, right in ((states, weight), (gradient, weight.T), (states.T, gradient)):
            # The result's memory is there beforehand: the probe is of arithmetic.
            triples.append((left, right, left @ right, times))
    while True:
        gate.step()
        for left, right, result, times in triples:
            for _ in range(times):
                torch.mm(left, right, out=result)
