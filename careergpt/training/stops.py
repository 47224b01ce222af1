"""Signals that end a run between two optimizer steps, on all ranks at the same one."""

from __future__ import annotations

import signal
from typing import Any

import torch.distributed
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector
from lightning.pytorch.trainer.states import TrainerFn

from careergpt.data.processes import STOPS, leave, tell


class Signals(_SignalConnector):
    """Takes the place of Lightning's, which broadcasts from within its handler: ranks hang.

    While a model is fit, a signal is noted, and the callbacks ask for it; the second Ctrl-C ends
    the process at once. Other verbs, and what comes before and after, leave at once anyway: there
    is no state to save.
    """

    asked: int = 0
    """The signal that asked for a stop; 0: none."""

    def register_signal_handlers(self) -> None:
        """Called by the Trainer before its loops."""
        if self.trainer.state.fn != TrainerFn.FITTING:
            return
        super().register_signal_handlers()
        for number in STOPS:
            # One that is ignored stays so: nohup means it.
            if self._original_handlers.get(number) != signal.SIG_IGN:
                self._register_signal(number, self._note)

    def _note(self, number: int, _: Any) -> None:
        if number == signal.SIGINT == self.asked:
            leave("stopped by SIGINT, at once", 128 + number)
        self.asked = number
        name = signal.Signals(number).name
        again = "; again: at once" if number == signal.SIGINT else ""
        tell(f"{name}: stopping after this step{again}")


class Agreement:
    """What any rank wants, known to all of them at the same step."""

    def __init__(self) -> None:
        self._group: Any = None

    def most(self, *wanted: int) -> list[int]:
        """Of each number the highest on any rank; every rank must ask at the same time."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return list(wanted)
        if self._group is None:
            # Of processors: asking a GPU would wait for all its work.
            self._group = torch.distributed.new_group(backend="gloo")
        found = torch.tensor(wanted)
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX, group=self._group)
        return [int(number) for number in found.tolist()]
