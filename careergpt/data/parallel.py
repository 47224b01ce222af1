"""A map over a stream by several processes, in order, that holds a bounded window in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from multiprocessing import get_context
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 256

_adopted: list[Callable[[Any], Any]] = []


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
    # Forked children have the function, and settings and code that are loaded; they run no torch.
    # Sending it with each chunk would build a tokenizer anew for each.
    fork = get_context("fork")
    with ProcessPoolExecutor(workers, fork, initializer=_adopt, initargs=(function,)) as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for piece in chain(first, chunks):
                pending.append(pool.submit(_apply, piece))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
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
