"""The worker: one model, one thread; requests wait in a short queue, refused when it is full."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from prometheus_client import Gauge

Result = TypeVar("Result")

WAITING = Gauge("careergpt_waiting", "Requests that wait or are worked on.")


_WEIGHT = 0.1
"""Of the latest request in the mean of their seconds."""


class FullError(Exception):
    """Too many ask: an answer would take longer than anybody is let wait; `after` in seconds."""

    def __init__(self, after: float) -> None:
        super().__init__(after)
        self.after = after


class LateError(Exception):
    """The time for this request has passed."""


class CancelledError(Exception):
    """Raised within the work of who no longer waits for it."""


class Worker:
    """Runs one piece of work at a time, in the order of arrival.

    Args:
        wait: Seconds after which a request is answered, as the latest ones lead to expect; who
            would wait longer is refused at once. Where nobody is before, nobody is refused.
        seconds: The most that a request may take, waiting included.
    """

    def __init__(self, wait: float, seconds: float) -> None:
        self._wait, self._seconds = wait, seconds
        self._lock, self._held, self._mean = threading.Lock(), 0, 0.1
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def run(self, work: Callable[[], Result]) -> Result:
        """What the work returns.

        Raises:
            FullError: Too many wait.
            LateError: It took too long; what still waits is dropped, what runs ends unread.
        """
        self._enter()
        future = self._thread.submit(self._timed, work)
        future.add_done_callback(lambda _: self._leave())
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise LateError from None

    async def stream(
        self, work: Callable[[Callable[[Any], None]], Result]
    ) -> AsyncGenerator[Any, None]:
        """What the work hands to the function that it is given, as it comes.

        The work stops at its next piece once nobody reads any more, or the time has passed.

        Raises:
            FullError: Too many wait.
            LateError: It took too long.
        """
        self._enter()
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue[Any]()
        gone, end = threading.Event(), object()

        def give(piece: Any) -> None:
            if gone.is_set():
                raise CancelledError
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        def tell(_: object) -> None:
            self._leave()
            if not loop.is_closed():
                loop.call_soon_threadsafe(pieces.put_nowait, end)

        future = self._thread.submit(self._timed, lambda: work(give))
        future.add_done_callback(tell)
        try:
            async with asyncio.timeout(self._seconds):
                while (piece := await pieces.get()) is not end:
                    yield piece
                future.result()
        except TimeoutError:
            raise LateError from None
        finally:
            gone.set()
            future.cancel()

    def close(self) -> None:
        """Lets what runs end, and drops what waits."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _timed(self, work: Callable[[], Result]) -> Result:
        started = time.monotonic()
        try:
            return work()
        finally:
            self._mean += _WEIGHT * (time.monotonic() - started - self._mean)

    def _enter(self) -> None:
        with self._lock:
            before = self._held * self._mean
            if self._held and before + self._mean > self._wait:
                raise FullError(before)
            self._held += 1
        WAITING.inc()

    def _leave(self) -> None:
        with self._lock:
            self._held -= 1
        WAITING.dec()
