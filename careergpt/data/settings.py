"""Settings that contradict each other, or that nothing can be done with, are refused at once."""

from __future__ import annotations

import os
from pathlib import Path

from careergpt.data.rows import Budget
from careergpt.errors import InputError

GPT2_CONTEXT = 1024
"""What an audit without a model cuts at."""

MOST_PROCESSES = 1024
"""More than the cores of a large machine: a slip of the pen would start them all."""


def batch_budget(pack: bool, batch_tokens: int | None, batch_size: int | None) -> Budget:
    """The size of a batch: tokens where it is packed, rows where it is padded, never both."""
    idle = "batch_size" if pack else "batch_tokens"
    if (batch_size if pack else batch_tokens) is not None:
        raise InputError(
            f"data.{idle} does nothing with data.pack={str(pack).lower()}: leave it out"
        )
    check_positive(batch_tokens=batch_tokens, batch_size=batch_size)
    return Budget(batch_tokens or 8192, None) if pack else Budget(None, batch_size or 8)


def example_length(max_length: int | None, context: int | None) -> int:
    """The longest example in tokens: as asked, within the model's context."""
    check_positive(max_length=max_length)
    if max_length and context and max_length > context:
        raise InputError(
            f"data.max_length is {max_length}, but the model reads {context} tokens at most: "
            f"lower it to {context}"
        )
    return max_length or context or GPT2_CONTEXT


def writable(folder: Path, option: str) -> Path:
    """The folder, where it is or can be made.

    Raises:
        InputError: It cannot be written; the message names the option that named it.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise InputError(f"{option} {folder}: {nearest} is no folder; name one")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{option} {folder}: {nearest} cannot be written; name another folder")
    return folder


def check_processes(workers: int, processes: int | None) -> None:
    """Raises InputError for numbers of processes that cannot be, or that no machine runs."""
    for name, value, least in (("workers", workers, 0), ("processes", processes, 1)):
        if value is not None and not least <= value <= MOST_PROCESSES:
            raise InputError(f"data.{name} must be {least} to {MOST_PROCESSES:,}, found {value}")


def check_positive(**settings: int | None) -> None:
    """Raises InputError for a setting that is given and below 1."""
    for name, value in settings.items():
        if value is not None and value < 1:
            raise InputError(f"data.{name} must be 1 or more, found {value}")
