"""A map over a stream by several processes, in order, that holds a bounded window in memory."""

from __future__ import annotations

import atexit
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing import parent_process
from multiprocessing.context import ForkContext, ForkProcess
from threading import Thread
from typing import Any, TypeVar

from careergpt.data.leaving import STOPS
from careergpt.errors import InputError, RunEndedError

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 256

_adopted: list[Callable[[Any], Any]] = []


class _Worker(ForkProcess):
    """A process that leaves signals to its parent, from its first instruction on, and ends with it.

    A terminal, `timeout` and schedulers send theirs to parent and workers alike.
    """

    def start(self) -> None:
        """Forks while the signals are held back: the child inherits that, and its threads do."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        # The interpreter's end would ask one that is left by SIGTERM, and wait for ever.
        atexit.register(self.kill)

    def run(self) -> None:
        """Works; a parent that was killed could not tell it to stop."""
        Thread(target=_end_with_parent, daemon=True, name="end-with-parent").start()
        super().run()

    def terminate(self) -> None:
        """By the one signal that it cannot leave to others."""
        self.kill()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _shared(make: Any) -> Any:
    """The same, with one line for who has no room for it."""

    def made(context: ForkContext, *args: Any) -> Any:
        try:
            return make(context, *args)
        except OSError as error:
            raise InputError(
                f"worker processes need room in /dev/shm ({error.strerror}): enlarge it, or do "
                "without them: --data.workers 0 --data.processes 1"
            ) from None

    return made


class Workers(ForkContext):
    """Where worker processes come from.

    Forked ones have settings and code that are loaded, and what cannot be pickled.
    """

    Process = _Worker
    Lock = _shared(ForkContext.Lock)
    Semaphore = _shared(ForkContext.Semaphore)
    BoundedSemaphore = _shared(ForkContext.BoundedSemaphore)


def processes(asked: int | None) -> int:
    """How many processes to use: as asked, else one for each core that this process may run on."""
    if asked is not None:
        return asked
    # Containers often may use fewer cores than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_chunks(
    function: Callable[[Sequence[Item]], Result],
    items: Iterable[Item],
    *,
    workers: int,
    chunk: int = CHUNK,
) -> Iterator[Result]:
    """`function` of each chunk of items, in order.

    A stream that fits into one chunk, or one worker, is mapped here, without starting a process.
    At most two chunks a worker are under way, so memory does not grow with the stream.
    """
    chunks = _chunks(items, chunk)
    first = list(islice(chunks, 2))
    if workers < 2 or len(first) < 2:
        yield from map(function, chain(first, chunks))
        return
    # Sending the function with each chunk would build a tokenizer anew for each.
    with ProcessPoolExecutor(workers, Workers(), initializer=_adopt, initargs=(function,)) as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for piece in chain(first, chunks):
                pending.append(pool.submit(_apply, piece))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool:
            raise RunEndedError(
                "a process that prepares the tables was killed: if memory is short, lower "
                "--data.processes",
                1,
            ) from None
        finally:
            for future in pending:
                future.cancel()


def _adopt(function: Callable[[Any], Any]) -> None:
    """Keeps the function that this process applies."""
    _adopted.append(function)


def _apply(piece: Any) -> Any:
    return _adopted[-1](piece)


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    stream = iter(items)
    while piece := list(islice(stream, size)):
        yield piece
