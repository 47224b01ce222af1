"""Processes: how one is stopped at once with nothing half-made, and several share the work."""

from __future__ import annotations

import atexit
import concurrent.futures
import os
import shutil
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice
from multiprocessing import parent_process
from multiprocessing.context import ForkContext, ForkProcess
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any, NoReturn, TypeVar

from careergpt.errors import InputError, RunEndedError

Item = TypeVar("Item")
Result = TypeVar("Result")

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""What Ctrl-C, a scheduler, a closed terminal and SLURM, before a job's time is up, send."""

CHUNK = 256

MOST_PROCESSES = 1024
"""More than the cores of a large machine: a slip of the pen would start them all."""

_unfinished: set[Path] = set()
_adopted: list[Callable[[Any], Any]] = []


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A file or folder of this block alone: it goes when the block ends, or the process within."""
    _unfinished.add(path)
    try:
        yield path
    finally:
        remove(path)
        _unfinished.discard(path)


def remove(path: Path) -> None:
    """Removes a file or a folder, if it can be."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def tell(line: str) -> None:
    """A line on standard error; from a handler, which may have come within a print.

    A terminal that was closed, or a pipe without a reader, is no reason to end otherwise.
    """
    with suppress(OSError):
        os.write(2, f"\n{line}\n".encode(errors="backslashreplace"))


def leave(line: str, code: int) -> NoReturn:
    """Ends the process without unwinding it: libraries catch exceptions, and threads wait."""
    for path in list(_unfinished):
        remove(path)
    tell(line)
    os._exit(code)


def leave_when_stopped() -> None:
    """From here on a signal ends the process; one that is ignored stays so: nohup means it."""
    for number in STOPS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, _: FrameType | None) -> None:
    leave(f"stopped by {signal.Signals(number).name}", 128 + number)


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
    """Where worker processes come from: forked, with the code and what cannot be pickled loaded."""

    Process = _Worker
    Lock = _shared(ForkContext.Lock)
    Semaphore = _shared(ForkContext.Semaphore)
    BoundedSemaphore = _shared(ForkContext.BoundedSemaphore)


def processes(count: int | None) -> int:
    """How many processes to use: the count, else one for each core that this process may run on."""
    if count is not None:
        return count
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

    Example:
        list(map_chunks(sum, range(5), workers=1, chunk=2)) == [1, 5, 4]
    """
    stream = iter(items)
    chunks = iter(lambda: list(islice(stream, chunk)), [])
    first = list(islice(chunks, 2))
    if workers < 2 or len(first) < 2:
        yield from map(function, chain(first, chunks))
        return
    # Sending the function with each chunk would build a tokenizer anew for each.
    with concurrent.futures.ProcessPoolExecutor(
        workers, Workers(), initializer=_adopted.append, initargs=(function,)
    ) as pool:
        pending: deque[concurrent.futures.Future[Result]] = deque()
        try:
            for piece in chain(first, chunks):
                pending.append(pool.submit(_apply, piece))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except concurrent.futures.BrokenExecutor:
            raise RunEndedError(
                "a process that prepares the tables was killed: if memory is short, lower "
                "--data.processes",
                1,
            ) from None
        finally:
            for future in pending:
                future.cancel()


def _apply(piece: Any) -> Any:
    """What the function that this process keeps makes of the piece."""
    return _adopted[-1](piece)
