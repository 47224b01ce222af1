"""Checkpoint files: whole or not there, with a digest; and the best weights among them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from careergpt.data.whole_files import find_damage, sealed
from careergpt.errors import InputError

BEST = "best.ckpt"
"""The best weights, and nothing to train on with: two thirds of a state are its optimizer's."""


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's way to write and read checkpoints: atomic, with a digest, plain data alone."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Writes beside the path, makes sure that it is on disk, and takes the path's name.

        Raises:
            InputError: It cannot be written; what lay at the path is as it was.
        """
        if Path(path).name == BEST:
            checkpoint = {**checkpoint, "optimizer_states": [], "lr_schedulers": []}
            checkpoint.pop("current_model_state", None)  # What WeightAveraging trains on with.
        with sealed(Path(path)) as partial, partial.open("wb") as file:
            written: Any = _Patient(file)
            torch.save(checkpoint, written)
            written.close()

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = lambda storage, location: storage,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """The checkpoint, once its digest holds; whatever the caller says, no code in it is run."""
        return read_checkpoint(Path(path), map_location=map_location)


class _Patient:
    """A file that keeps an error for later: torch's writer does not survive one in its midst."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size = file, 0
        self._error: OSError | None = None

    def write(self, data: Any) -> int:
        """Takes all, also when nothing more can be written."""
        self._size += len(data)
        self._try(lambda: self._file.write(data))
        return len(data)

    def flush(self) -> None:
        """Hands on what is held back."""
        self._try(self._file.flush)

    def close(self) -> None:
        """Raises what went wrong on the way, with the size that all would have had."""
        self.flush()
        if self._error is not None:
            self._error.add_note(f"it needs {self._size / 1e6:,.1f} MB")
            raise self._error

    def _try(self, act: Callable[[], Any]) -> None:
        try:
            if self._error is None:
                act()
        except OSError as error:
            self._error = error


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


class BestWeights(ModelCheckpoint):
    """Keeps checkpoints/best.ckpt, by validation; a run's folder may be moved."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            dirpath=folder,
            filename=Path(BEST).stem,
            monitor="val/loss",
            auto_insert_metric_name=False,
            enable_version_counter=False,
            save_on_train_epoch_end=False,  # At each validation: the last one follows all epochs.
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The same state with this folder's paths."""
        folder = str(self.dirpath)

        def here(path: str) -> str:
            return str(Path(folder) / Path(path).name) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = {name: here(state_dict[name]) for name in paths}
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **moved, "best_k_models": best, "dirpath": folder})
