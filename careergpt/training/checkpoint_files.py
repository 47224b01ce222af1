"""Checkpoint files that are whole or not there, and say so themselves."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from careergpt.errors import InputError

_MARK = b"sha256 "
_FOOTER = len(_MARK) + 64 + 1
"""Bytes after the checkpoint's own: `sha256 `, 64 hexadecimal digits, a line's end."""


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's way to write and read checkpoints: atomic, with a digest, plain data alone."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Writes beside the path, makes sure that it is on disk, and takes the path's name.

        Raises:
            InputError: It cannot be written; what lay at the path is as it was.
        """
        path = Path(path)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        size = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                written: Any = _Digested(file)
                torch.save(checkpoint, written)
                size = written.size
                written.close()
                os.fsync(file.fileno())
            move(partial, path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise _unwritable(path, size, error) from error

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = lambda storage, location: storage,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """The checkpoint, once its digest holds; whatever is asked, no code in it is run."""
        return read_checkpoint(Path(path), map_location=map_location)


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """The checkpoint in the file.

    Raises:
        InputError: It is damaged, or holds more than plain data.
    """
    if fault := find_damage(path):
        raise InputError(f"{path} is damaged ({fault}): resume from another checkpoint")
    try:
        loaded: Any = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # Whatever the unpickler makes of a file that is none of ours.
        raise InputError(f"{path} is no checkpoint of careergpt: {str(error)[:100]}") from None
    if not isinstance(loaded, dict) or "state_dict" not in loaded:
        raise InputError(f"{path} is no checkpoint of careergpt: it has no state_dict")
    return loaded


def find_damage(path: Path) -> str | None:
    """What is wrong with the file; None: it is as it was written."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < _FOOTER:
                return "empty" if size == 0 else f"{size} bytes"
            digest, left = hashlib.sha256(), size - _FOOTER
            while left and (block := file.read(min(left, 1 << 20))):
                digest.update(block)
                left -= len(block)
            footer = file.read()
    except OSError as error:
        return error.strerror or str(error)
    if not (footer.startswith(_MARK) and footer.endswith(b"\n")):
        return "truncated, or not written by careergpt: no digest at its end"
    found = footer[len(_MARK) : -1]
    return None if found == digest.hexdigest().encode() else "its SHA-256 is not what it says"


def move(old: Path, new: Path) -> None:
    """Gives a file another name, on disk before it returns."""
    os.replace(old, new)
    folder = os.open(new.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class _Digested:
    """A file that hashes what it is given.

    It keeps an error for later: torch's writer does not survive one in its midst.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()
        self._error: OSError | None = None
        self.size = 0

    def write(self, data: Any) -> int:
        """Takes all, also when nothing more can be written."""
        self.size += len(data)
        if self._error is None:
            self._try(lambda: self._file.write(data))
            self._digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Hands on what is held back."""
        self._try(self._file.flush)

    def close(self) -> None:
        """Ends the file with its digest; raises what went wrong on the way."""
        self._try(lambda: self._file.write(_MARK + self._digest.hexdigest().encode() + b"\n"))
        self.flush()
        if self._error is not None:
            raise self._error

    def _try(self, act: Callable[[], Any]) -> None:
        try:
            if self._error is None:
                act()
        except OSError as error:
            self._error = error


def _unwritable(path: Path, size: int, error: OSError) -> InputError:
    told = f"cannot write the checkpoint {path}: {error.strerror or error}"
    if path.parent.is_dir():
        free = shutil.disk_usage(path.parent).free
        told += f" (it needs {size / 1e6:,.1f} MB, {free / 1e6:,.1f} MB are free)"
    return InputError(f"{told}; what was written before is as it was")
