"""Small runs of the real command, as processes that chaos.py and signals.py disturb."""

from __future__ import annotations

import os
import signal
from pathlib import Path

ROOT = Path(__file__).parents[1]

SMALL = (
    "--model.scratch.n_layer=1", "--model.scratch.n_head=2", "--model.scratch.n_embd=16",
    "--model.scratch.n_positions=128", "--data.batch_tokens=1024", "--trainer.max_epochs=2",
)  # fmt: skip


def sample_table(folder: Path) -> list[str]:
    """The options of a slice of the embedded sample."""
    lines = (ROOT / "data" / "careers.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    source = folder / "careers.jsonl"
    source.write_text("".join(lines[:400]), encoding="utf-8")
    return [f"--data.source={source}", f"--data.cache={folder / 'cache'}"]


def environment() -> dict[str, str]:
    """One thread, no network, and these modules for a run's configuration to name."""
    return {
        **os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(Path(__file__).parent),
    }  # fmt: skip


def hear() -> None:
    """What a shell starts in the background ignores Ctrl-C, and the program leaves it so."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
