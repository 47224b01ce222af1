"""A map over a stream by several processes, in order, that holds a bounded window in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 256


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
    # Forked children read settings and code that are loaded already; they run no torch.
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for piece in chain(first, chunks):
                pending.append(pool.submit(function, piece))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    stream = iter(items)
    while piece := list(islice(stream, size)):
        yield piece
