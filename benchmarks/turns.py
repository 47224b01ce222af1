"""Taking turns: each contender is a process that stops before every step until it may go on.

So that only one computes at a time, each keeps its own library's training loop, and a slow minute
of the machine meets all of them. The process's peak memory is its own.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from workload import Workload, count_tokens


class Step(NamedTuple):
    """One optimizer step: its seconds, useful tokens, processed ones, those that are padding."""

    seconds: float
    useful: int
    processed: int
    padding: int


class Report(NamedTuple):
    """What a contender did in its turn, and its process's peak memory so far in GiB."""

    steps: list[Step]
    peak_gib: float


class ContenderError(Exception):
    """A contender that cannot go on, with its reason."""


class Gate:
    """The contender's side: its loop calls `step` where each step begins."""

    def __init__(self, pipe: Connection, device: str) -> None:
        self._pipe, self._device = pipe, device
        self._left = 0
        self._steps: list[Step] = []
        self._counted: list = []
        self._started: float | None = None

    def step(self) -> None:
        """Ends the step before, waits for the turn where it is over, and starts a step."""
        if self._started is not None:
            self._end_step()
        if not self._left:
            self._pipe.send(Report(self._steps, peak_gib(self._device)))
            self._steps = []
            self._left = self._pipe.recv()
        self._left -= 1
        self._started = time.perf_counter()

    def count(self, input_ids) -> None:
        """Takes note of a batch that the step works on."""
        self._counted.append(count_tokens(input_ids))

    def _end_step(self) -> None:
        if self._device == "cuda":
            import torch

            torch.cuda.synchronize()
        seconds = time.perf_counter() - self._started
        counts = sum(self._counted).tolist() if self._counted else (0, 0, 0)
        self._steps.append(Step(seconds, *counts))
        self._counted = []


class Contender:
    """The parent's side of a contender's process."""

    def __init__(self, work: Callable[[Workload, Gate], None], workload: Workload) -> None:
        """Starts it and waits until its first step could begin."""
        # A fresh interpreter: a forked one would share the parent's threads and memory.
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_work, args=(work, workload, far), daemon=True)
        self._process.start()
        far.close()
        self._receive()

    def go(self, steps: int) -> Report:
        """Lets it make so many steps."""
        self._pipe.send(steps)
        return self._receive()

    @property
    def alive(self) -> bool:
        """Whether it could go on."""
        return self._process.is_alive()

    def close(self) -> None:
        """Ends it, in the middle of its loop: nothing that it could still do is of interest."""
        self._process.kill()
        self._process.join()

    def _receive(self) -> Report:
        try:
            message = self._pipe.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            message = "killed: too little memory?" if code == -9 else f"ended with code {code}"
        if isinstance(message, str):
            self.close()
            raise ContenderError(message)
        return message


@contextmanager
def started(work: Callable[[Workload, Gate], None], workload: Workload) -> Iterator[Contender]:
    """A contender at its first step; it ends with the block."""
    contender = Contender(work, workload)
    try:
        yield contender
    finally:
        contender.close()


def _work(work: Callable[[Workload, Gate], None], workload: Workload, pipe: Connection) -> None:
    try:
        import torch

        torch.set_num_threads(workload.threads)
        _be_silent()
        work(workload, Gate(pipe, workload.device))
        pipe.send("its loop ended before its last turn")
    except Exception as error:  # Whatever a library raises is the contender's result.
        where = traceback.extract_tb(error.__traceback__)[-1]
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        pipe.send(f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}: {reason}")


def _be_silent() -> None:
    """Drops what the libraries print: bars and hints of seven would bury the benchmark's lines."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def peak_gib(device: str) -> float:
    """The most memory that this process has held, in GiB: the GPU's, or all that is resident."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 2**30
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**20
