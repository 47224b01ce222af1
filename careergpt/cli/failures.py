"""What breaks a run from outside, told in a line: memory, a loader process, another rank."""

from __future__ import annotations

import re
import time

import torch

from careergpt.errors import InputError, RunEndedError
from careergpt.training.rank_watch import EVERY

_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)
_LOADER = re.compile(r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\)[^.\n]*")
_RANK = re.compile(r"gloo|Connection (closed|reset) by peer|NCCL|Socket", re.IGNORECASE)

_GO_ON = "Go on with --ckpt_path last"


def explained(error: Exception) -> Exception | None:
    """The error as one line for the user; None: it is the program's own, or names a file.

    Waits a moment where ranks are lost, for the watch that names them.
    """
    if isinstance(first := error.__context__, InputError | RunEndedError):
        return first  # Lightning's teardown has broken on what that one left.
    told = str(error)
    # A socket's error names no file: one to a process that is not there any more.
    if isinstance(error, ConnectionError | FileNotFoundError) and error.filename is None:
        return RunEndedError(f"a loader process is gone ({error}). {_GO_ON}", 1)
    if "Error(s) in loading state_dict" in told:
        return InputError(
            "the checkpoint is of a model of other sizes: give the run's own configuration, "
            "--config RUN/config.yaml"
        )
    if _MEMORY.search(told):
        return InputError(
            f"out of memory ({told.splitlines()[0][:150]}): lower data.batch_tokens (or "
            "data.batch_size) and raise trainer.accumulate_grad_batches by as much, lower "
            "data.max_length, or use a narrower trainer.precision (bf16-mixed on a GPU). "
            f"{_GO_ON} --checkpoints.allow_changes true"
        )
    if found := _LOADER.search(told):
        return RunEndedError(f"{found.group()}: a loader process is gone. {_GO_ON}", 1)
    if torch.distributed.is_initialized() and _RANK.search(told):
        time.sleep(4 * EVERY)  # Who watches the ranks knows which it is, and ends all.
        return RunEndedError(f"another rank is gone ({told.splitlines()[0][:150]}). {_GO_ON}", 1)
    return None
