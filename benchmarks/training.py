"""How fast is training? Ours beside the peers: same examples, weights, threads and optimizer.

    python benchmarks/training.py [--quick] [--device cuda] [--precision fp32 bf16] [--json FILE]

Each contender runs its own library's loop in a process of its own; ours and each peer take turns,
a step at a time, after warm-up at full size. Useful tokens are those that are scored: no prompt,
no padding. The rate of GPT-2's own matrix products is probed between the turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from contenders import OURS, ours, peers
from machine import describe, processor_flags, sentence
from probe import data_sheet_flops, probe_flops
from probe import work as probe_work
from results import Round, Row, draw, results, table, timed
from turns import ContenderError, started
from workload import (
    GPT2,
    TINY,
    WARM_UPS,
    Turns,
    Workload,
    useful_flops,
    useful_tokens,
    write_workload,
)

from careergpt.data.whole_files import write_json


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints a table for each precision, writes JSON and picture."""
    args = parsed(argv)
    # For the processes to come. Passive: threads that wait leave the cores to who works.
    os.environ |= {
        "OMP_NUM_THREADS": str(args.threads),
        "OMP_WAIT_POLICY": "passive",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONWARNINGS": "ignore",
    }
    print(f"{sentence()}; {args.threads} threads, {args.device}", flush=True)
    try:
        found = {precision: measured(args, precision) for precision in args.precision}
    except ContenderError as failure:
        print(failure, file=sys.stderr)
        return 1
    if args.json:
        names = ("device", "threads", "sequences", "rounds")
        asked = {name: getattr(args, name) for name in names}
        told = {precision: result.told() for precision, result in found.items()}
        write_json(Path(args.json), {"precisions": told, **asked, "machine": describe()})
    title = f"Training GPT-2 on {args.device}, {args.sequences} sequences a step"
    draw({precision: result.rows for precision, result in found.items()}, args.picture, title)
    return 0


class Measured(NamedTuple):
    """What was found in one precision; the probed rate in FLOP a second, the work in FLOP."""

    rows: list[Row]
    failed: dict[str, str]
    probed: float
    flop_per_useful_token: float

    def told(self) -> dict[str, object]:
        """For JSON."""
        return {
            "rows": [row._asdict() for row in self.rows],
            "failed": self.failed,
            "probe_gflops": self.probed / 1e9,
            "gflop_per_useful_token": self.flop_per_useful_token / 1e9,
        }


def measured(args: argparse.Namespace, precision: str) -> Measured:
    """Measures everyone in this precision, and prints the table.

    Raises:
        ContenderError: Ours fails, or the probe.
    """
    # A GPU's step is short, and its first after a wait finds no memory reserved.
    turns = Turns(args.rounds, 1, 4) if args.device == "cuda" else Turns(args.rounds, 0, 1)
    sizes = TINY if args.tiny else GPT2
    with tempfile.TemporaryDirectory(prefix="careergpt-bench-") as folder:
        workload = Workload(
            folder, args.device, precision, args.threads, sizes, args.sequences, turns
        )
        _say(f"{precision}: writing the model and the examples")
        lengths = write_workload(workload)
        rounds, failed = measure(workload)
    probes = [timed(each.probe, turns) for found in rounds.values() for each in found]
    seconds = statistics.median(step.seconds for step in probes) / turns.timed
    rate = probe_flops(workload) / seconds
    flops = useful_flops(sizes, lengths) / useful_tokens(lengths)
    rows = results(OURS, rounds, turns, rate / flops)
    print(
        f"\n{precision}: steps of {args.sequences} sequences, {lengths.mean():.0f} tokens on "
        f"average; {args.rounds} rounds; {flops / 1e9:.3g} GFLOP a useful token; "
        f"matrix products run at {rate / 1e9:,.0f} GFLOP/s\n\n{table(rows, failed)}",
        flush=True,
    )
    if promised := data_sheet_flops(describe()["gpu"], precision):
        share = rows[0].useful_tokens_per_s * flops / promised
        print(f"{OURS}: {share:.1%} of the data sheet's rate (MFU, scored tokens only)")
    return Measured(rows, failed, rate, flops)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options, with what they leave open filled in; a bad one ends the program, code 2."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds instead of 5")
    parser.add_argument("--tiny", action="store_true", help="a model of 2 layers: tries the script")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--precision",
        choices=["fp32", "bf16"],
        nargs="+",
        help="fp32, and bf16 where the processor has units for it; on CUDA bf16",
    )
    parser.add_argument("--rounds", type=_positive, help="measured turns of each")
    parser.add_argument("--sequences", type=_positive, help="a step's, 4; on CUDA 64")
    parser.add_argument("--threads", type=_positive, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", help="write the results to this file")
    parser.add_argument("--picture", help="a PNG; beside the JSON, or runs/bench/training.png")
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this machine has no CUDA device that torch can use")
    args.precision = args.precision or _precisions(args.device)
    args.rounds = args.rounds or (3 if args.quick else 5)
    args.sequences = args.sequences or (64 if args.device == "cuda" else 4)
    beside = Path(args.json).with_suffix(".png") if args.json else "runs/bench/training.png"
    args.picture = Path(args.picture or beside)
    return args


def _precisions(device: str) -> list[str]:
    if device == "cuda":
        return ["bf16"]
    return ["fp32", "bf16"] if {"avx512_bf16", "amx_bf16"} & processor_flags() else ["fp32"]


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of 1 or more, found {text!r}")
    return int(text)


def measure(workload: Workload) -> tuple[dict[str, list[Round]], dict[str, str]]:
    """The rounds of ours with each other contender; why those that could not did not.

    Two contenders are alive at a time, and the probe: all at once, each with its weights and its
    optimizer's state, would leave too little memory for the one that works.

    Raises:
        ContenderError: Ours fails, or the probe.
    """
    others, turns = peers(workload.device), workload.turns
    longer = workload._replace(turns=turns._replace(rounds=turns.rounds * len(others)))
    steps = turns.untimed + turns.timed
    rounds: dict[str, list[Round]] = {}
    failed: dict[str, str] = {}
    with started(probe_work, longer) as probe, started(ours, longer) as our_own:
        _say(f"{OURS} warms up")
        probe.go(WARM_UPS)
        our_own.go(WARM_UPS)
        for name, work in others.items():
            _say(f"{name} warms up")
            try:
                with started(work, workload) as other:
                    other.go(WARM_UPS)
                    found = []
                    for place in range(turns.rounds):
                        ours_too = our_own.go(steps)
                        found.append(Round(probe.go(steps), ours_too, other.go(steps)))
                        _say(f"{name}: round {place + 1} of {turns.rounds}")
                    rounds[name] = found
            except ContenderError as failure:
                if not (probe.alive and our_own.alive):
                    raise
                failed[name] = str(failure)
                _say(f"{name} fails: {failure}")
    if not rounds:
        raise ContenderError(f"no peer could be measured: {failed}")
    return rounds, failed


def _say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
