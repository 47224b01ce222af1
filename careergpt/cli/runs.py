"""A run is a folder: where it is, and which checkpoint in it a word means."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from careergpt.data.whole_files import find_damage
from careergpt.errors import InputError
from careergpt.training.resume import NEWEST_FIRST

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


def run_of(asked: str, configs: Sequence[object] | None) -> str | None:
    """The run's folder that a checkpoint's name, or a run's own configuration, says."""
    path = Path(asked)
    if path.is_dir():
        return asked
    if path.is_file() and path.absolute().parent.name == "checkpoints":
        run = path.absolute().parent.parent
        return str(run) if (run / "config.yaml").exists() else None
    return str(Path(str((configs or ())[-1])).parent) if is_run((configs or ())[-1:]) else None


def find_checkpoint(asked: str, folder: Path | None, *, resuming: bool) -> Path | None:
    """The checkpoint that `last`, `best`, a run's folder or a file names; None: `last` is none yet.

    A run's folder means its last state to one who resumes it, its best to one who scores it. A
    damaged last state is named, and the one before it taken.

    Raises:
        InputError: There is no such file, it is damaged, or it lies behind a URL.
    """
    if "://" in asked:
        raise InputError(f"--ckpt_path {asked}: checkpoints are read from files, never from a URL")
    if asked in ("last", "best") and folder is None:
        raise InputError(f"--ckpt_path {asked} needs the run: --trainer.default_root_dir RUN")
    if asked == "last":
        assert folder is not None
        return _newest(folder)
    if asked == "best":
        assert folder is not None
        return _whole(folder / "checkpoints" / "best.ckpt", asked)
    if not Path(asked).is_dir():
        return _whole(Path(asked), asked)
    if not (Path(asked) / "config.yaml").exists():
        raise InputError(f"--ckpt_path {asked}: there is no run in this folder, no config.yaml")
    return find_checkpoint("last" if resuming else "best", Path(asked), resuming=resuming)


def _newest(run: Path) -> Path | None:
    """The newest state that is whole; those that are not are named."""
    folder = run / "checkpoints"
    found = [path for name in NEWEST_FIRST if (path := folder / name).is_file()]
    for path in found:
        fault = find_damage(path)
        if fault is None:
            return path
        rank_zero_only(print)(f"passed over: {path} is damaged ({fault})")
    if found:
        raise InputError(f"every checkpoint in {folder} is damaged: start a new run")
    return None


def _whole(path: Path, asked: str) -> Path:
    if not path.is_file():
        raise InputError(f"--ckpt_path {asked}: there is no checkpoint at {path}")
    if fault := find_damage(path):
        raise InputError(f"--ckpt_path {asked}: {path} is damaged ({fault})")
    return path


class RunLock:
    """Keeps a second run out of a run's folder; it ends with the process, however that ends."""

    def __init__(self) -> None:
        self._held: int | None = None

    def take(self, folder: Path) -> None:
        """Locks the folder, which is made if it is missing; ranks of one run share the first's.

        Raises:
            InputError: Another process holds it.
        """
        if self._held is not None or os.environ.get("LOCAL_RANK", "0") != "0":
            return
        folder.mkdir(parents=True, exist_ok=True)
        # The folder itself, so that nothing lies in it that is not the run's.
        held = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            raise InputError(
                f"{folder} is in use by another run: wait for it, or name another folder by "
                "--trainer.default_root_dir"
            ) from None
        except OSError as error:
            print(f"{folder} cannot be locked ({error.strerror}): start no second run in it")
        self._held = held
        # Loader processes are forks: they would hold the lock a little longer than the run.
        os.register_at_fork(after_in_child=self.free)

    def free(self) -> None:
        """Lets others in."""
        if self._held is not None:
            os.close(self._held)
            self._held = None
