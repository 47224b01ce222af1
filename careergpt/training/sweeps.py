"""A sweep of hyperparameters: trials in processes of their own, kept in an Optuna study.

A trial is its number: its folder, its lock and its draws follow from it. So any process may take up
the trial of one that is gone, and machines that share the folder share the work. A trial is alive
while its lock is held, by who watches it or by the process that trains: a heartbeat that no clock
can miss.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import signal
import subprocess
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from careergpt.data.processes import STOPS
from careergpt.data.records import digest
from careergpt.data.whole_files import adding
from careergpt.errors import InputError, RunEndedError, system_fault
from careergpt.training.sweep_plan import Plan

_TICK = 0.5
"""Seconds between two looks at what the trials have logged."""

_PLAN = "careergpt_plan"

_JOURNAL = "study.journal"

TRIES = 3
"""How often a trial is gone on with that something outside of it has ended."""

_SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: RandomSampler(seed=seed),
    # Those that still train count as poor: what runs beside each other differs.
    "bayes": lambda seed: TPESampler(seed=seed, multivariate=True, constant_liar=True),
}


class _Draws(BaseSampler):
    """Draws that follow from a trial's number: one that is taken up anew draws what it drew."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self._plan, self._seed = plan, seed
        self._grid = plan.grid() if plan.method == "grid" else []

    def _of(self, trial: FrozenTrial, name: str = "") -> BaseSampler:
        text = f"{self._seed} {trial.number} {name}"
        return _SAMPLERS[self._plan.method](zlib.crc32(text.encode()))

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> Any:
        return {} if self._grid else self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: Any) -> Any:
        return {} if self._grid else self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Any, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        if self._grid:
            return self._grid[trial.number][param_name]
        own = self._of(trial, param_name)
        return own.sample_independent(study, trial, param_name, param_distribution)


@dataclass
class _Running:
    """A trial under way: its process, its lock, and how many validations the study knows."""

    trial: optuna.Trial
    folder: Path
    process: subprocess.Popen[bytes]
    lock: int
    reported: int
    is_pruned: bool = False


class Sweep:
    """The trials of a plan, in a folder: `trials/0007` is the run of number 7, from 0."""

    def __init__(
        self, plan: Plan, folder: Path, trials: int, seed: int = 0, storage: str | None = None
    ) -> None:
        """Opens the study, or makes it.

        Args:
            plan: What is tried.
            folder: Of the runs, and of the study's journal.
            trials: How many there are to be; a grid has no more than its points.
            seed: Of the draws.
            storage: A database's URL for the study, in place of the journal.

        Raises:
            InputError: The folder holds another sweep, no study can be kept where it is to be, or
                there is no such program.
        """
        program = next(iter(plan.words({})), "")
        if shutil.which(program) is None:
            raise InputError(f"command: there is no program {program!r}")
        self.plan, self.folder = plan, folder
        self.trials = min(trials, len(plan.grid())) if plan.method == "grid" else trials
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        pruner: BasePruner = NopPruner()
        if plan.least is not None:
            pruner = HyperbandPruner(plan.least, reduction_factor=plan.eta)
        try:
            self.study = optuna.create_study(
                study_name=folder.name,
                storage=storage or _journal(folder),
                load_if_exists=True,
                direction=plan.goal,
                sampler=_Draws(plan, seed),
                pruner=pruner,
            )
        except Exception as error:  # Whatever a database's driver raises, or a damaged journal.
            if storage is None and system_fault(error):
                raise
            place = f"--storage {storage}" if storage else folder / _JOURNAL
            told = " ".join(str(error).split())[:200]
            raise InputError(f"{place}: no study can be kept there ({told})") from None
        asked = digest(repr(plan), str(seed))
        if self.study.user_attrs.setdefault(_PLAN, asked) != asked:
            raise InputError(
                f"{folder} holds another sweep: give its file and --seed again, or another --out"
            )
        self.study.set_user_attr(_PLAN, asked)
        (folder / "trials").mkdir(parents=True, exist_ok=True)
        self._tries: Counter[int] = Counter()
        self._stop: Exception | None = None

    def run(self, workers: int) -> None:
        """Trains the trials that are not trained yet, so many at a time.

        Raises:
            InputError: A trial's options were refused.
            RunEndedError: A signal came; what trained has kept its state, and can go on.
        """
        running: list[_Running] = []
        before = {number: signal.signal(number, self._heard) for number in STOPS}
        try:
            while self._stop is None:
                while len(running) < workers and (one := self._next()):
                    running.append(one)
                # What another process trains may yet be left to this one.
                if not running and not self._unfinished():
                    return
                time.sleep(_TICK)
                running = [one for one in running if not self._ended(one)]
        finally:
            for one in running:
                one.process.terminate()
            for one in running:
                one.process.wait()
                os.close(one.lock)
            for number, handler in before.items():
                signal.signal(number, handler)
        raise self._stop

    def completed(self) -> int:
        """How many trials have come to their end."""
        return len(self.study.get_trials(states=(TrialState.COMPLETE,)))

    def _heard(self, number: int, _: Any) -> None:
        name = signal.Signals(number).name
        self._stop = RunEndedError(f"stopped by {name}: the same command goes on", 128 + number)

    def _next(self) -> _Running | None:
        """A trial that nobody trains, or a new one, started; None where none is left."""
        held = _lock(self.folder / "study.lock", fcntl.LOCK_EX)
        try:
            for left in self._unfinished():
                trial = optuna.Trial(self.study, left._trial_id)
                if one := self._started(trial, len(left.intermediate_values)):
                    return one
            if len(self.study.get_trials(deepcopy=False)) < self.trials:
                return self._started(self.study.ask(), 0)
            return None
        finally:
            os.close(held)

    def _unfinished(self) -> list[FrozenTrial]:
        return self.study.get_trials(states=(TrialState.RUNNING,))

    def _started(self, trial: optuna.Trial, reported: int) -> _Running | None:
        """The trial under way; None where another process has it."""
        folder = self.folder / "trials" / f"{trial.number:04}"
        try:
            lock = _lock(folder.with_suffix(".lock"), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        self._tries[trial.number] += 1
        words = self.plan.words(_drawn(trial, self.plan.space))
        return _Running(trial, folder, _run_started(words, folder, (lock,)), lock, reported)

    def _ended(self, one: _Running) -> bool:
        """Reports what the trial has logged since; tells the study of its end; whether it has."""
        code = one.process.poll()  # First: what a process logs, it logs before its end.
        values = logged(one.folder, self.plan.metric)
        for step in range(one.reported + 1, len(values) + 1):
            one.trial.report(values[step - 1], step)
        one.reported = max(one.reported, len(values))
        if code is None:
            if self.plan.least is not None and not one.is_pruned and one.trial.should_prune():
                one.is_pruned = True
                one.process.terminate()
            return False
        finite = list(filter(math.isfinite, values))
        if one.is_pruned:
            self.study.tell(one.trial, state=TrialState.PRUNED)
        elif code == 0 and finite:
            self.study.tell(one.trial, (min if self.plan.goal == "minimize" else max)(finite))
        elif code in (0, 2) or self._tries[one.trial.number] == TRIES:
            self.study.tell(one.trial, state=TrialState.FAIL)
        os.close(one.lock)
        if wrong := self._wrong_with_all(one.folder, code, values):
            self._stop = InputError(f"trial {one.trial.number}: {wrong}")
        return True

    def _wrong_with_all(self, folder: Path, code: int, values: Sequence[float]) -> str:
        """What is the user's mistake, and would come again with each trial."""
        if code == 2:
            return _last_line(folder)
        if code == 0 and not values:
            found = f"{folder / 'metrics.jsonl'} has no {self.plan.metric}"
            return f"{found}: give as metric.name what it has, and another --out"
        return ""


def _drawn(trial: optuna.Trial, space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """The trial's values; what it has drawn before, it has again."""
    drawn: dict[str, Any] = {}
    for name, one in space.items():
        if isinstance(one, CategoricalDistribution):
            drawn[name] = trial.suggest_categorical(name, one.choices)
        elif isinstance(one, IntDistribution):
            drawn[name] = trial.suggest_int(name, one.low, one.high)
        elif isinstance(one, FloatDistribution):
            drawn[name] = trial.suggest_float(name, one.low, one.high, step=one.step, log=one.log)
    return drawn


def _run_started(
    words: Sequence[str], folder: Path, passed: Sequence[int]
) -> subprocess.Popen[bytes]:
    """Starts a fit in a folder, or goes on with the one there; it logs to `folder`.log.

    Args:
        words: The command.
        folder: The run's.
        passed: Open files that the process inherits: locks that hold until it has ended, too.
    """
    own = [f"--trainer.default_root_dir={folder}"]
    if (folder / "config.yaml").exists():
        own.append("--ckpt_path=last")
    # A trial is a run of its own, no task among those of a job of SLURM that share a sweep.
    known = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    with adding(folder.with_suffix(".log")) as log:
        # A terminal's Ctrl-C reaches who watches alone, who lets it keep its state.
        return subprocess.Popen(
            [*words, *own], stdout=log, stderr=log, env=known, pass_fds=passed,
            start_new_session=True,
        )  # fmt: skip


def logged(folder: Path, metric: str) -> list[float]:
    """The metric after each validation of a run, but for the starting model's."""
    path, by_step = folder / "metrics.jsonl", dict[int, float]()
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # It is being written.
        if metric in row and row["step"] > 0:
            by_step[row["step"]] = float(row[metric])
    return [by_step[step] for step in sorted(by_step)]


def _last_line(folder: Path) -> str:
    """What a run said last."""
    said = folder.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    return (said.strip().splitlines() or ["it said nothing"])[-1].removeprefix("error: ")


def _lock(path: Path, how: int) -> int:
    """The open file, locked; its process holds it, and those that inherit it."""
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(number, how)
    except BlockingIOError:
        os.close(number)
        raise
    return number


def _journal(folder: Path) -> JournalStorage:
    folder.mkdir(parents=True, exist_ok=True)
    lock = _JournalLock(folder / "journal.lock")
    return JournalStorage(JournalFileBackend(str(folder / _JOURNAL), lock_obj=lock))


class _JournalLock(JournalFileSymlinkLock):
    """Ends with its process; Optuna's own are files, and cost half a minute after a kill."""

    def __init__(self, path: Path) -> None:
        self._path, self._held = path, -1

    def acquire(self) -> bool:
        self._held = _lock(self._path, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        os.close(self._held)
