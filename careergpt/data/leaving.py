"""How a process is stopped: at once, whatever it does, and with nothing half-made left behind."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What Ctrl-C, a scheduler and a terminal that is closed send."""

_unfinished: set[Path] = set()


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A file or folder of this block alone: it goes when the block ends, or the process within."""
    _unfinished.add(path)
    try:
        yield path
    finally:
        remove(path)
        _unfinished.discard(path)


def remove(path: Path) -> None:
    """Removes a file or a folder, if it can be."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def tell(line: str) -> None:
    """A line on standard error; from a handler, which may have come within a print.

    A terminal that was closed, or a pipe that nobody reads, is no reason to end otherwise.
    """
    with suppress(OSError):
        os.write(2, f"\n{line}\n".encode(errors="backslashreplace"))


def leave(line: str, code: int) -> NoReturn:
    """Ends the process without unwinding it: libraries catch exceptions, and threads wait."""
    for path in list(_unfinished):
        remove(path)
    tell(line)
    os._exit(code)


def leave_when_stopped() -> None:
    """From here on a signal ends the process; one that is ignored stays so: nohup means it."""
    for number in STOPS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, _: FrameType | None) -> None:
    leave(f"stopped by {signal.Signals(number).name}", 128 + number)
