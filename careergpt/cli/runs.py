"""A run is a folder: where it is, and which checkpoint in it a word means."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from careergpt.errors import InputError

_NAMED = "CAREERGPT_RUN"


def run_folder(asked: str | None, config_name: str) -> Path:
    """The run's folder: as asked, else runs/<config>-<time>, the same for every rank of a run."""
    if asked is not None:
        return Path(asked)
    # Lightning starts further ranks as copies of this command, which inherit the environment.
    if "LOCAL_RANK" not in os.environ or _NAMED not in os.environ:
        os.environ[_NAMED] = _free_name(config_name)
    return Path("runs") / os.environ[_NAMED]


def _free_name(config_name: str) -> str:
    name = f"{config_name}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
    others = (f"{name}-{number}" for number in range(2, 1000))
    return next(one for one in (name, *others) if not (Path("runs") / one).exists())


def check_folder(folder: Path, resuming: bool) -> None:
    """Looks before the work starts; the folder is made when there is something to write.

    Raises:
        InputError: It holds a run already, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--trainer.default_root_dir {folder} is a file: name a folder")
    if (folder / "config.yaml").exists() and not resuming:
        raise InputError(
            f"{folder} holds a run already: resume it with --ckpt_path last, or name another "
            "folder by --trainer.default_root_dir"
        )
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not os.access(nearest, os.W_OK):
        raise InputError(f"cannot write the run's folder {folder}: {nearest} is read-only for you")


def is_run(configs: Sequence[object] | None) -> bool:
    """Whether one of the configuration files is what a run wrote into its folder."""
    paths = [Path(str(config)) for config in configs or ()]
    return any(
        path.name == "config.yaml" and (path.parent / "data_report.json").exists() for path in paths
    )


def find_checkpoint(asked: str, folder: Path | None, *, resuming: bool) -> Path | None:
    """The checkpoint that `last`, `best`, a run's folder or a file names; None: `last` is none yet.

    A run's folder means its last state to one who resumes it, its best to one who scores it.

    Raises:
        InputError: There is no such file, or it lies behind a URL.
    """
    if "://" in asked:
        raise InputError(f"--ckpt_path {asked}: checkpoints are read from files, never from a URL")
    if asked in ("last", "best"):
        name = "resume" if asked == "last" else "best"
        if folder is None:
            raise InputError(f"--ckpt_path {asked} needs the run: --trainer.default_root_dir RUN")
        path = folder / "checkpoints" / f"{name}.ckpt"
        if asked == "last" and not path.exists():
            return None
    else:
        path = Path(asked)
        if path.is_dir():
            path = path / "checkpoints" / ("resume.ckpt" if resuming else "best.ckpt")
    if not path.is_file():
        raise InputError(f"--ckpt_path {asked}: there is no checkpoint at {path}")
    return path
