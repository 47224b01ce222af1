"""How fast is training? Ours beside the peers: same examples, weights, threads and optimizer.

    python benchmarks/training.py [--quick] [--device cuda] [--json FILE] [--picture FILE]

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

import torch
from contenders import OURS, ours, peers
from machine import describe, sentence
from probe import probe_flops
from probe import work as probe_work
from results import Round, draw, results, table, timed
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

from careergpt.data.store import write_json


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints the table, writes JSON and picture."""
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
    with tempfile.TemporaryDirectory(prefix="careergpt-bench-") as folder:
        # A GPU's step is short, and its first after a wait finds no memory reserved.
        turns = Turns(args.rounds, 1, 4) if args.device == "cuda" else Turns(args.rounds, 0, 1)
        sizes = TINY if args.tiny else GPT2
        workload = Workload(folder, args.device, args.threads, sizes, args.sequences, turns)
        _say("writing the model and the examples")
        lengths = write_workload(workload)
        try:
            rounds, failed = measure(workload)
        except ContenderError as failure:
            print(failure, file=sys.stderr)
            return 1
    probes = [timed(each.probe, turns) for found in rounds.values() for each in found]
    seconds = statistics.median(step.seconds for step in probes) / turns.timed
    rate = probe_flops(workload) / seconds
    flops = useful_flops(sizes, lengths) / useful_tokens(lengths)
    rows = results(OURS, rounds, turns, rate / flops)
    print(
        f"{sentence()}; {args.threads} threads, {args.device}\n\n"
        f"Steps of {args.sequences} sequences, {lengths.mean():.0f} tokens on average; "
        f"{args.rounds} rounds; {flops / 1e9:.3g} GFLOP a useful token; "
        f"matrix products run at {rate / 1e9:,.0f} GFLOP/s\n\n{table(rows, failed)}"
    )
    if args.json:
        found = {
            "rows": [row._asdict() for row in rows],
            "failed": failed,
            "probe_gflops": rate / 1e9,
            "gflop_per_useful_token": flops / 1e9,
            "tokens_per_sequence": float(lengths.mean()),
        }
        asked = {name: getattr(args, name) for name in ("device", "threads", "sequences", "rounds")}
        write_json(Path(args.json), {**found, **asked, "machine": describe()})
    draw(
        rows,
        Path(args.picture),
        f"Training GPT-2 on {args.device}, {args.sequences} sequences a step",
    )
    return 0


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options, with what they leave open filled in; a bad one ends the program, code 2."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds instead of 5")
    parser.add_argument("--tiny", action="store_true", help="a model of 2 layers: tries the script")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=_positive, help="measured turns of each")
    parser.add_argument("--sequences", type=_positive, help="a step's, 8; on CUDA 64")
    parser.add_argument("--threads", type=_positive, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", help="write the results to this file")
    parser.add_argument("--picture", help="a PNG; beside the JSON, or runs/bench/training.png")
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this machine has no CUDA device that torch can use")
    args.rounds = args.rounds or (3 if args.quick else 5)
    args.sequences = args.sequences or (64 if args.device == "cuda" else 8)
    beside = Path(args.json).with_suffix(".png") if args.json else "runs/bench/training.png"
    args.picture = args.picture or str(beside)
    return args


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
    # Ours alone gives back its memory while it waits: an untimed step takes it anew.
    longer = workload._replace(turns=Turns(turns.rounds * len(others), 1, turns.timed))
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
                    steps = turns.untimed + turns.timed
                    for place in range(turns.rounds):
                        ours_too = our_own.go(1 + turns.timed)
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
