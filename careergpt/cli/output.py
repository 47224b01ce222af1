"""Standard output and error that end no work: whether a model is whole is not theirs to say."""

from __future__ import annotations

import errno
import os
import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any

from careergpt.errors import InputError


class _Stream(FileIO):
    """A stream that drops what it cannot write, and remembers why."""

    fault: OSError | None = None

    def write(self, data: Any) -> int | None:  # type: ignore[override]
        """Writes, until something fails."""
        try:
            return super().write(data) if self.fault is None else len(data)
        except OSError as error:
            self.fault = error
            return len(data)


_streams: dict[str, _Stream] = {}


def mend_output() -> None:
    """Takes the place of both: each line is written at once, whatever its letters."""
    _fill_gaps()
    for name, number in (("stdout", 1), ("stderr", 2)):
        encoding = getattr(getattr(sys, name), "encoding", "utf-8")
        _streams[name] = _Stream(number, "w", closefd=False)
        # What an encoding lacks is shown by its number.
        text = TextIOWrapper(
            BufferedWriter(_streams[name]), encoding, "backslashreplace", line_buffering=True
        )
        setattr(sys, name, text)


def _fill_gaps() -> None:
    """Leads streams that are closed, as by `>&-`, nowhere: a file would take their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def is_read() -> bool:
    """Whether anybody still reads the output: not so behind `| head`."""
    return "stdout" not in _streams or _streams["stdout"].fault is None


def check_output() -> None:
    """Tells, when all work is done, what of its output is lost; who reads no more lost nothing.

    Raises:
        InputError: It could not be written.
    """
    fault = _streams["stdout"].fault if "stdout" in _streams else None
    if fault is not None and fault.errno not in (errno.EPIPE, errno.EIO):
        raise InputError(f"not all that was to be printed could be written: {fault.strerror}")
