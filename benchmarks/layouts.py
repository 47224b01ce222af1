"""Does packing cost quality? The same training, packed and padded, over several seeds.

    python benchmarks/layouts.py --batch-tokens 1024 --batch-size 2 --accumulate 4 -- \
        --config configs/demo.yaml

What follows `--` goes to `main.py fit`. A padded step should get as many rows as make, on average,
the tokens of a packed one. Its batches hold examples of one length, so of one task where tasks
differ in length: several small ones a step (`--accumulate`) mix them again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from machine import describe

MAIN = Path(__file__).parents[1] / "main.py"


class Fit(NamedTuple):
    """What a training came to: the best validation loss in nats a token, and its steps."""

    layout: str
    seed: int
    val_loss: float
    steps: int


def fit(layout: str, seed: int, options: list[str], folder: Path) -> Fit:
    """Trains once; raises CalledProcessError where that fails."""
    run = folder / f"{layout}-{seed}"
    quiet = ["--trainer.logger=false", "--trainer.enable_progress_bar=false", "--titles.limit=0"]
    # Every step is logged, so that they can be counted: samples are numbered otherwise.
    quiet.append("--trainer.log_every_n_steps=1")
    words = [*options, f"--seed_everything={seed}", f"--trainer.default_root_dir={run}", *quiet]
    subprocess.run(
        [sys.executable, str(MAIN), "fit", *words], check=True, stdout=subprocess.DEVNULL
    )
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [row["val/loss"] for row in rows if "val/loss" in row]
    steps = max(row["step"] for row in rows if "train/loss" in row) + 1
    return Fit(layout, seed, min(losses), steps)


def table(fits: list[Fit]) -> str:
    """Markdown: each layout's mean and standard deviation, then their difference seed by seed."""
    lines = ["| layout | steps | best validation loss, nats a token |", "|---|---|---|"]
    losses = {}
    for layout in ("packed", "padded"):
        ours = sorted((fit for fit in fits if fit.layout == layout), key=lambda fit: fit.seed)
        losses[layout] = [fit.val_loss for fit in ours]
        spread = statistics.stdev(losses[layout]) if len(ours) > 1 else 0.0
        mean = statistics.mean(losses[layout])
        lines.append(f"| {layout} | {ours[0].steps} | {mean:.4f} (sd {spread:.4f}) |")
    gaps = [a - b for a, b in zip(losses["packed"], losses["padded"], strict=True)]
    listed = ", ".join(f"{gap:+.4f}" for gap in gaps)
    return "\n".join([*lines, "", f"packed less padded, by seed: {listed}"])


def main() -> None:
    """Trains with every seed in both layouts and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch-tokens", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--accumulate", type=int, default=1, help="padded batches a step")
    parser.add_argument("--at-once", type=int, default=1, help="trainings side by side")
    parser.add_argument("--json", default=None)
    parser.add_argument("options", nargs="*", help="after --: options of main.py fit")
    args = parser.parse_args()
    layouts = {
        "packed": [f"--data.batch_tokens={args.batch_tokens}"],
        "padded": [
            "--data.pack=false",
            "--data.batch_tokens=null",
            f"--data.batch_size={args.batch_size}",
            f"--trainer.accumulate_grad_batches={args.accumulate}",
        ],
    }
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(args.at_once) as pool:
        tries = [
            pool.submit(fit, layout, seed, [*args.options, *size], Path(folder))
            for seed in range(args.seeds)
            for layout, size in layouts.items()
        ]
        fits = [each.result() for each in tries]
    print(table(fits))
    if args.json:
        rows = [fit._asdict() for fit in fits]
        Path(args.json).write_text(json.dumps({"rows": rows, "machine": describe()}, indent=1))


if __name__ == "__main__":
    main()
