"""A run is a folder: its place, lock and checkpoints by name."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from lightning import Trainer
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.utilities import rank_zero_only

from careergpt.data.whole_files import find_damage, whole
from careergpt.errors import InputError, RunEndedError
from careergpt.training.checkpoints import read_checkpoint
from careergpt.training.finish import is_written
from careergpt.training.logs import keep_id
from careergpt.training.resume import LOGS, NEWEST_FIRST, check_state, is_finished

_NAMED = "CAREERGPT_RUN"

_RANKS = (
    "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK",
    "OMPI_COMM_WORLD_RANK",
)  # fmt: skip
"""What torchrun, Lightning, SLURM, LSF and MPI number the processes of one run by."""


def _is_first() -> bool:
    """Whether this process is the first of its run's, on all nodes."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


def run_folder(named: str | None, config_name: str, n_nodes: int) -> Path:
    """The run's folder: as named, else runs/<config>-<time>, the same for every rank of a run.

    Raises:
        InputError: It is not named, and ranks that something else starts could not agree on a name;
            or its name is empty, which would be the current folder.
    """
    if named == "":
        raise InputError(
            "--trainer.default_root_dir is empty: name the run's folder, or leave it out"
        )
    if named is not None:
        return Path(named)
    # Lightning starts further ranks as copies of this command, which inherit the environment.
    if "LOCAL_RANK" not in os.environ or _NAMED not in os.environ:
        started = os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or "1"
        if n_nodes > 1 or started != "1":
            raise InputError(
                "this run is one of several processes: name a folder that all of them reach by "
                "--trainer.default_root_dir"
            )
        os.environ[_NAMED] = _free_name(config_name)
    return Path("runs") / os.environ[_NAMED]


def _free_name(config_name: str) -> str:
    name = f"{config_name}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
    others = (f"{name}-{number}" for number in range(2, 1000))
    return next(one for one in (name, *others) if not (Path("runs") / one).exists())


def check_new(folder: Path) -> None:
    """Raises InputError where a run has left something that a new one would overwrite."""
    left = [name for name in ("config.yaml", *LOGS) if (folder / name).exists()]
    if left and _is_first():
        raise InputError(
            f"{folder} holds a run already ({left[0]}): resume it with --ckpt_path last, or name "
            "another folder by --trainer.default_root_dir"
        )


def is_run(configs: Sequence[object] | None) -> bool:
    """Whether one of the configuration files is what a run wrote into its folder."""
    paths = [Path(str(config)) for config in configs or ()]
    return any(
        path.name == "config.yaml" and (path.parent / "data_report.json").exists() for path in paths
    )


def run_of(named: str, configs: Sequence[object] | None) -> str | None:
    """The run's folder that a checkpoint's name, or a run's own configuration, says."""
    path = Path(named)
    if path.is_dir():
        return named
    if path.is_file() and path.absolute().parent.name == "checkpoints":
        run = path.absolute().parent.parent
        return str(run) if (run / "config.yaml").exists() else None
    return str(Path(str((configs or ())[-1])).parent) if is_run((configs or ())[-1:]) else None


def find_checkpoint(named: str, folder: Path | None, *, resuming: bool) -> Path | None:
    """The checkpoint that `last`, `best`, a run's folder or a file names; None: `last` is none yet.

    A run's folder means its last state to one who resumes it, its best to one who scores it. A
    damaged last state is named, and the one before it taken.

    Raises:
        InputError: There is no such file, it is damaged, or it lies behind a URL.
    """
    if "://" in named:
        raise InputError(f"--ckpt_path {named}: checkpoints are read from files, never from a URL")
    if named in ("last", "best"):
        if folder is None:
            raise InputError(f"--ckpt_path {named} needs the run: --trainer.default_root_dir RUN")
        best = folder / "checkpoints" / "best.ckpt"
        return _newest(folder) if named == "last" else _whole(best, named)
    if not Path(named).is_dir():
        return _whole(Path(named), named)
    if not (Path(named) / "config.yaml").exists():
        raise InputError(f"--ckpt_path {named}: there is no run in this folder, no config.yaml")
    return find_checkpoint("last" if resuming else "best", Path(named), resuming=resuming)


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


def _whole(path: Path, named: str) -> Path:
    if not path.is_file():
        raise InputError(f"--ckpt_path {named}: there is no checkpoint at {path}")
    if fault := find_damage(path):
        raise InputError(f"--ckpt_path {named}: {path} is damaged ({fault})")
    return path


class RunFinishedError(RunEndedError):
    """A run that has nothing left to do: no mistake, and no work."""

    def __init__(self, folder: Path) -> None:
        """Says where its model is."""
        super().__init__(
            f"this run is finished: its model is in {folder / 'model'}. To train it for longer "
            "raise what ended it: --trainer.max_epochs, max_steps or max_time",
            0,
        )
        self.folder = folder


def check_unfinished(
    checkpoint: Path | None, folder: Path, max_epochs: int | None, max_steps: int, early_ends: str
) -> None:
    """Sees that the folder's run has something left to do; says so if there is no state yet.

    `checkpoint` is what it would go on from, None where `last` is none yet; the limits are the
    Trainer's, and `early_ends` what may end the run before them, as text.

    Raises:
        RunFinishedError: There is nothing left to do.
        InputError: Going on would overwrite another run, or one that has ended; or the checkpoint
            lacks a part of a run's state.
    """
    if checkpoint is None:
        if is_written(folder):
            raise InputError(
                f"{folder} holds a finished run without its checkpoints: name another folder by "
                "--trainer.default_root_dir"
            )
        rank_zero_only(print)(f"no checkpoint in {folder} yet: starting anew")
        return
    if folder.resolve() not in checkpoint.resolve().parents:
        check_new(folder)
    state = read_checkpoint(checkpoint)
    check_state(state)
    if is_finished(state, max_epochs, max_steps, early_ends) and is_written(folder):
        finished = RunFinishedError(folder)
        rank_zero_only(print)(finished)
        raise finished


class SaveRun(SaveConfigCallback):
    """Writes config.yaml and data_report.json, and logs the configuration once, nested."""

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Too early: a checkpoint may yet refuse what is configured."""

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Saves once, and only what is a run; where it began belongs to one command alone."""
        self.config = self.config.clone()
        self.config.ckpt_path = None
        super().setup(trainer, pl_module, "fit")

    def save_config(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Called on rank zero alone."""
        folder = Path(trainer.default_root_dir)
        report = trainer.datamodule.dataset.report()  # type: ignore[attr-defined]
        report.write(folder / "data_report.json")
        config = self.parser.dump(self.config, skip_unset=False)
        # The last: it is what makes the folder a run's.
        with whole(folder / "config.yaml") as partial:
            partial.write_text(config, encoding="utf-8")
        print(report)
        keep_id(trainer.loggers, folder)
        for logger in trainer.loggers:
            logger.log_hyperparams(yaml.safe_load(config))


class RunLock:
    """Keeps a second run out of a run's folder; it ends with the process, however that ends."""

    def __init__(self) -> None:
        self._held: int | None = None
        self._made: list[Path] = []

    def take(self, folder: Path) -> None:
        """Locks the folder, which is made if it is missing, for all ranks of this run.

        Raises:
            InputError: Another run holds it.
        """
        if self._held is not None or not _is_first():
            return
        places = (folder.absolute(), *folder.absolute().parents)
        self._made = [place for place in places if not place.exists()]
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
        os.register_at_fork(after_in_child=self._let_go)

    def free(self) -> None:
        """Lets others in; folders that it made for nothing are gone."""
        if self._held is not None:
            with suppress(OSError):
                for folder in self._made:
                    folder.rmdir()
            self._let_go()

    def _let_go(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None
