"""One model, one thread: requests wait in a short queue, and are turned away when it is full."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from prometheus_client import Gauge

Result = TypeVar("Result")

WAITING = Gauge("careergpt_waiting", "Requests that wait or are worked on.")


class FullError(Exception):
    """The queue is full: ask again later."""


class LateError(Exception):
    """The time for this request has passed."""


class CancelledError(Exception):
    """Raised within the work of who no longer waits for it."""


class Worker:
    """Runs one piece of work at a time, in the order of arrival.

    Args:
        limit: Requests that may wait or be worked on; one more is refused.
        seconds: The most that a request may take, waiting included.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self._places, self._seconds = threading.BoundedSemaphore(limit), seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def run(self, work: Callable[[], Result]) -> Result:
        """What the work returns.

        Raises:
            FullError: Too many wait.
            LateError: It took too long; what still waits is dropped, what runs ends unread.
        """
        self._enter()
        future = self._thread.submit(work)
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

        future = self._thread.submit(work, give)
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

    def _enter(self) -> None:
        if not self._places.acquire(blocking=False):
            raise FullError
        WAITING.inc()

    def _leave(self) -> None:
        self._places.release()
        WAITING.dec()
