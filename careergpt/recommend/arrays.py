"""Arrays of numbers in a model folder: stored by NumPy, read from whoever made the folder."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from careergpt.data.foreign_files import check_file
from careergpt.data.whole_files import whole
from careergpt.errors import InputError
from careergpt.modeling.folder import SETTINGS


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes them under their names; the file has its name only when it is whole."""
    with whole(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """What `write_arrays` wrote; nothing where there is no file."""
    if not path.exists():
        return {}
    check_file(path)
    try:  # It never unpickles.
        with np.load(path) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise InputError(f"{path} cannot be read ({error}): train again, or copy it anew") from None


def of_shape(file: Path | str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array of the file.

    Raises:
        InputError: It is of another shape, or not of finite numbers: of other candidates, or none.
    """
    if array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
        raise InputError(
            f"{file} is not of the candidates that {SETTINGS} names: take all files from one model"
        )
    return array
