"""Faults from outside a run, told apart from the program's own errors, in one line."""

from __future__ import annotations

import re
import time
from pathlib import Path
from traceback import walk_tb

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from careergpt.errors import InputError, RunEndedError, system_fault
from careergpt.training.stops import EVERY

_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)
_LOADER = re.compile(r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\)[^.\n]*")
_RANK = re.compile(r"gloo|Connection (closed|reset) by peer|NCCL|Socket", re.IGNORECASE)

_GO_ON = "Go on with --ckpt_path last"

_FAULTS = (AssertionError, AttributeError, LookupError, NameError, Warning)
"""What no library raises to say that it cannot do what it is told."""

_TRIED = re.compile(r"^  - (?!Expected|Not a valid subclass)(.+(?:\n    .*)*)", re.MULTILINE)
"""Of the types that a value may have, what refused it for another reason than its type."""

_CONFIGURED = ("lightning.pytorch.callbacks", "lightning.pytorch.loggers", "lightning.pytorch.prof")
"""Where classes lie that a configuration names: their arguments may tell late that they are odd."""

_CALLERS = ("careergpt.cli", "careergpt.training.trainer")
"""Our files that call a library as the configuration says, and on behalf of nothing else."""


def explained(error: Exception) -> Exception | None:
    """The error as one line for the user; None: it is the program's own, or names a file.

    Waits a moment where ranks are lost, for the watch that names them.
    """
    if isinstance(first := error.__context__, InputError | RunEndedError):
        return first  # Lightning's teardown has broken on what that one left.
    told = str(error)
    if isinstance(error, _FAULTS):
        return _of_checkpoint(error)
    # A socket's error names no file: one to a process that is not there any more.
    if isinstance(error, ConnectionError | FileNotFoundError) and error.filename is None:
        return RunEndedError(f"a loader process is gone ({error}). {_GO_ON}", 1)
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
    return None if system_fault(error) else _of_checkpoint(error) or _of_configuration(error)


def _of_checkpoint(error: Exception) -> InputError | None:
    """What went wrong while a checkpoint's content was looked at, or handed out by Lightning."""
    codes = [frame.f_code for frame, _ in walk_tb(error.__traceback__)]
    places = {(Path(code.co_filename).stem, code.co_name) for code in codes}
    if not any(
        name == "check_unfinished" or (file == "checkpoint_connector" and "restore" in name)
        for file, name in places
    ):
        return None
    if "Error(s) in loading state_dict" in str(error):
        return InputError(
            "the checkpoint is of a model of other sizes: give the run's own configuration, "
            "--config RUN/config.yaml"
        )
    return InputError(
        f"--ckpt_path: the checkpoint holds what no run writes ({repr(error)[:150]}): give another"
    )


def _of_configuration(error: Exception) -> Exception | None:
    """A library's refusal of what is configured: of its classes, or of the Trainer as it is set up.

    Told by where it was raised: in Lightning itself, or in what was called without any of our
    rooms between. Once the loops run only a missing package and Lightning's own word count.
    """
    root: BaseException = error
    while root.__cause__ is not None:  # jsonargparse tells of each type that a value may have.
        root = root.__cause__
    if isinstance(root, InputError):
        return root
    frames = [frame for e in (error, root) for frame, _ in walk_tb(e.__traceback__)]
    modules = [str(frame.f_globals.get("__name__")) for frame in frames]
    caller = next((name for name in reversed(modules) if name.startswith("careergpt")), "")
    if modules[-1] == caller:
        return None
    runs = any(frame.f_code.co_name == "_run_stage" for frame in frames)
    refused = modules[-1].startswith("lightning") or caller.startswith(_CALLERS)
    own = ImportError | MisconfigurationException
    if not (isinstance(root, own) or modules[-1].startswith(_CONFIGURED) or (refused and not runs)):
        return None
    tried = _TRIED.findall(str(error).partition("\nErrors:\n")[2])
    if tried and str(root).startswith("Not a valid subclass"):  # Of the first of several types.
        return InputError(f"trainer: {tried[-1][:500]}")
    place = frames[-1].f_code.co_qualname.partition(".")[0]
    where = "trainer" if place.startswith(("_", "Trainer")) else place
    return InputError(f"{where}: {(str(root) or repr(root))[:500]}")
