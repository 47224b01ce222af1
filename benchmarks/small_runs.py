"""Small runs of the real command, as processes that chaos.py and signals.py disturb."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

SMALL = (
    "--model.scratch.n_layer=1", "--model.scratch.n_head=2", "--model.scratch.n_embd=16",
    "--model.scratch.n_positions=128", "--data.batch_tokens=1024", "--trainer.max_epochs=2",
)  # fmt: skip


def sample_table(folder: Path, rows: int = 400) -> list[str]:
    """The options of a slice of the embedded sample."""
    lines = (ROOT / "data" / "careers.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    source = folder / "careers.jsonl"
    source.write_text("".join(lines[:rows]), encoding="utf-8")
    return [f"--data.source={source}", f"--data.cache={folder / 'cache'}"]


def start(
    words: Sequence[str], environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[str]:
    """The real command, leading a session of its own, at its input where that is a terminal.

    On one thread, without a network, and with these modules for its configuration to name.
    """
    known = {
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    return subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), *words], preexec_fn=_hear, text=True,
        env={**os.environ, **known, **(environment or {})}, start_new_session=True, **options,
    )  # fmt: skip


def _hear() -> None:
    """What a shell starts in the background ignores Ctrl-C, and the program leaves it so."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if os.isatty(0):
        with suppress(PermissionError):  # It is another session's.
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
