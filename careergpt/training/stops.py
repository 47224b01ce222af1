"""Stops: signals that all ranks heed at the same step, and ranks that are gone."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from subprocess import Popen
from typing import Any

import torch.distributed
from lightning import Callback, Trainer
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector
from lightning.pytorch.trainer.states import TrainerFn

from careergpt.data.processes import STOPS, leave, tell

EVERY = 0.5
"""Seconds between two looks at the ranks."""

# Seconds that a rank has to fail by itself as another did, and say why.
_GRACE = 5.0


class Signals(_SignalConnector):
    """Takes the place of Lightning's, which broadcasts from within its handler: ranks hang.

    Nor does it requeue a job of SLURM: who started the run knows by its exit code that it stopped.

    While a model is fit, a signal is noted, and the callbacks look for it; the second Ctrl-C ends
    the process at once. Other verbs, and what comes before and after, leave at once anyway: there
    is no state to save.
    """

    received: int = 0
    """The signal that wants a stop; 0: none."""

    def register_signal_handlers(self) -> None:
        """Called by the Trainer before its loops."""
        if self.trainer.state.fn != TrainerFn.FITTING:
            return
        self._original_handlers = {number: signal.getsignal(number) for number in STOPS}
        for number, handler in self._original_handlers.items():
            # One that is ignored stays so: nohup means it.
            if handler != signal.SIG_IGN:
                self._register_signal(number, self._note)

    def _note(self, number: int, _: Any) -> None:
        if number == signal.SIGINT == self.received:
            leave("stopped by SIGINT, at once", 128 + number)
        self.received = number
        name = signal.Signals(number).name
        again = "; again: at once" if number == signal.SIGINT else ""
        tell(f"{name}: stopping after this step{again}")


def received_signal(trainer: Any) -> int:
    """The signal that wants this rank to stop; 0: none."""
    signals = trainer._signal_connector
    return signals.received if isinstance(signals, Signals) else 0


class Agreement:
    """What any rank wants, known to all of them at the same step."""

    def __init__(self) -> None:
        self._group: Any = None

    def most(self, *wanted: int) -> list[int]:
        """Of each number the highest on any rank; every rank must call it at the same time."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return list(wanted)
        if self._group is None:
            # Of processors: asking a GPU would wait for all its work.
            self._group = torch.distributed.new_group(backend="gloo")
        found = torch.tensor(wanted)
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX, group=self._group)
        return [int(number) for number in found.tolist()]


class RankWatch(Callback):
    """Ends the ranks that Lightning has started once one is gone; torchrun watches its own."""

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
        _in_background(lambda: _watch(strategy.launcher.procs))


def _watch(ranks: Sequence[Popen[bytes]]) -> None:
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
