"""A rank that is gone ends the others, which would wait for it, and is named."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from subprocess import Popen
from typing import Any

from lightning import Callback, Trainer
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver

from careergpt.data.processes import leave

EVERY = 0.5
"""Seconds between two looks."""

_GRACE = 5.0
"""Seconds that a rank has to fail by itself as another did, and say why."""


class RankWatch(Callback):
    """Watches the ranks that Lightning has started; those of torchrun are watched by it."""

    def __init__(self) -> None:
        self._watching = False
        started_by_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
        if os.environ.get("LOCAL_RANK", "0") != "0" and not started_by_torchrun:
            # From now on: the ranks' first meeting would wait for a lost one for half an hour.
            _in_background(_outlive_no_parent)

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Starts to watch, once there are ranks."""
        strategy: Any = trainer.strategy
        if self._watching or trainer.world_size == 1 or trainer.local_rank:
            return
        if not isinstance(strategy.cluster_environment, LightningEnvironment):
            return
        self._watching = True
        if strategy.launcher is None:  # Someone has started every process by hand.
            return
        for thread in threading.enumerate():
            if isinstance(thread, _ChildProcessObserver):
                thread._child_processes = []  # Lightning's kills all of us without a word.
        _in_background(lambda: _mind(strategy.launcher.procs))


def _mind(ranks: Sequence[Popen[bytes]]) -> None:
    while True:
        time.sleep(EVERY)
        for number, process in enumerate(ranks, start=1):
            if not process.poll():
                continue
            if process.returncode > 0:
                time.sleep(_GRACE)
            how = f"ended with exit code {process.returncode}"
            if process.returncode < 0:
                how = f"was killed by {signal.Signals(-process.returncode).name}"
            for other in ranks:
                other.kill()
            _leave(f"rank {number} (process {process.pid}) {how}", max(process.returncode, 1))


def _outlive_no_parent() -> None:
    first = os.getppid()
    while os.getppid() == first:
        time.sleep(EVERY)
    _leave(f"rank 0 (process {first}) is gone", 1)


def _leave(told: str, code: int) -> None:
    leave(f"{told}: all ranks are stopped. Go on with --ckpt_path last", code)


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True, name="rank-watch").start()
