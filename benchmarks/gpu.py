"""All that is to be known of a GPU, in ten minutes and without network: tests, benchmarks, fits.

    python benchmarks/gpu.py [--device cpu --quick] [--out runs/bench/gpu]

Each step is a process of its own: one that fails, or that the time runs out for, is told in the
table and keeps no other from running. On a CPU, with --quick, it rehearses: tiny models, no figure
that means anything.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from machine import describe, sentence

from careergpt.data.whole_files import whole, write_json

ROOT = Path(__file__).parents[1]
SECONDS = 600
SMALL = {"n_layer": 12, "n_head": 12, "n_embd": 768, "n_positions": 1024, "vocabulary": 8000}
TINY = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 128, "vocabulary": 300}


class Outcome(NamedTuple):
    """What came of a step: its exit code (None: out of time), its seconds and what it found."""

    name: str
    code: int | None
    seconds: float
    found: Any
    tail: str


def steps(device: str, quick: bool, out: Path) -> dict[str, list[str]]:
    """Name -> the command's words after `python`, what matters most first."""
    tiny = ["--quick", "--tiny"] if quick else []
    found = {"tests": ["-m", "pytest", "-m", "gpu", "tests/test_gpu.py"]}
    for name in ("training", "generation", "candidates"):
        words = tiny or ([] if name == "training" else ["--quick"])
        script = str(ROOT / "benchmarks" / f"{name}.py")
        found[name] = [script, "--device", device, *words, "--json", str(out / f"{name}.json")]
    for precision in ("bf16-mixed", "16-mixed") if device == "cuda" else ("bf16-mixed",):
        found[f"fit {precision}"] = fit(device, precision, quick, out)
    return found


def fit(device: str, precision: str, quick: bool, out: Path) -> list[str]:
    """A training of GPT-2 124 M on the sample, from random weights, as a user would start it."""
    sizes = TINY if quick else SMALL
    run = out / f"fit-{precision}"
    return [
        "main.py", "fit", "--data.source=data", f"--data.cache={out / 'cache'}",
        f"--data.batch_tokens={512 if quick else 16384}", "--data.processes=2",
        *(f"--model.scratch.{name}={size}" for name, size in sizes.items()), "--model.lr=6e-4",
        f"--trainer.accelerator={'gpu' if device == 'cuda' else 'cpu'}", "--trainer.devices=1",
        f"--trainer.precision={precision}", f"--trainer.max_steps={4 if quick else 60}",
        "--trainer.gradient_clip_val=1.0", "--trainer.log_every_n_steps=1",
        "--trainer.enable_progress_bar=false", "--titles.limit=8", "--rankings.limit=8",
        "--samples.records=0", "--samples.max_new_tokens=8",
        f"--trainer.default_root_dir={run}",
    ]  # fmt: skip


def losses(run: Path) -> dict[str, float]:
    """Validation loss of the start and of the end, nats a token."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found = [row["val/loss"] for row in map(json.loads, lines) if "val/loss" in row]
    return {"val/loss at the start": found[0], "val/loss at the end": found[-1]}


def outcome(name: str, words: Sequence[str], out: Path, left: float) -> Outcome:
    """Runs the step in what is left of the time."""
    started = time.monotonic()
    log = out / f"{name.replace(' ', '-')}.log"
    with log.open("w", encoding="utf-8") as file:
        try:
            code: int | None = subprocess.run(
                [sys.executable, *words], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT,
                env={**os.environ, "HF_HUB_OFFLINE": "1"}, timeout=max(left, 1), check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            code = None
    seconds, found = time.monotonic() - started, None
    if code == 0 and name.startswith("fit "):
        found = losses(out / name.replace(" ", "-"))
    elif code == 0 and (written := out / f"{name}.json").exists():
        found = json.loads(written.read_text(encoding="utf-8"))
    said = log.read_text(encoding="utf-8", errors="replace")
    return Outcome(name, code, seconds, found, said[-2000:])


def table(found: Sequence[Outcome]) -> str:
    """The steps in Markdown, and what each printed where it has a table of its own."""
    lines = ["| step | outcome | seconds | |", "|---|---|---:|---|"]
    for step in found:
        said = {0: "done", None: "out of time"}.get(step.code, f"fails: {step.code}")
        last = " ".join(step.tail.split("\n")[-2:]).strip() if step.code != 0 else _short(step)
        lines.append(f"| {step.name} | {said} | {step.seconds:.0f} | {last} |")
    tables = [
        f"\n{step.name}\n\n" + "\n".join(rows)
        for step in found
        if (rows := [line for line in step.tail.splitlines() if line.startswith("|")])
    ]
    return "\n".join([*lines, *tables])


def _short(step: Outcome) -> str:
    if step.name.startswith("fit "):
        return ", ".join(f"{name} {loss:.3f}" for name, loss in step.found.items())
    return step.tail.strip().splitlines()[-1] if step.name == "tests" else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs all steps, writes one JSON and one table; 1 where a step failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny models: tries the script")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all steps together")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/gpu"))
    args = parser.parse_args(argv)
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    started, found = time.monotonic(), []
    for name, words in steps(args.device, args.quick, out).items():
        print(f"{name} …", file=sys.stderr, flush=True)
        found.append(outcome(name, words, out, args.seconds - (time.monotonic() - started)))
    text = f"{sentence()}; {args.device}\n\n{table(found)}\n"
    told = [step._asdict() for step in found]
    write_json(out / "gpu.json", {"machine": describe(), "device": args.device, "steps": told})
    with whole(out / "gpu.md") as partial:
        partial.write_text(text, encoding="utf-8")
    print(text)
    return int(any(step.code for step in found) or any(step.code is None for step in found))


if __name__ == "__main__":
    sys.exit(main())
