"""Laws of the parallel map: the order stays, few items are under way, errors come through."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence

import pytest

from careergpt.data.processes import STOPS, map_chunks, processes
from careergpt.errors import InputError, RunEndedError


def doubled(chunk: Sequence[int]) -> list[int]:
    return [2 * item for item in chunk]


def where(chunk: Sequence[int]) -> int:
    return os.getpid()


def refuse_seven(chunk: Sequence[int]) -> list[int]:
    if 7 in chunk:
        raise InputError("seven is refused")
    return list(chunk)


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 5, 6, 23])
def test_results_come_in_order_for_any_number_of_workers(workers: int, count: int) -> None:
    results = map_chunks(doubled, range(count), workers=workers, chunk=5)
    expected = [2 * item for item in range(count)]
    assert list(results) == [expected[start : start + 5] for start in range(0, count, 5)]


def test_one_chunk_starts_no_process_and_two_do() -> None:
    assert list(map_chunks(where, range(5), workers=4, chunk=5)) == [os.getpid()]
    assert os.getpid() not in list(map_chunks(where, range(6), workers=2, chunk=5))


@pytest.mark.parametrize("workers", [1, 2])
def test_few_items_are_read_ahead(workers: int) -> None:
    read = []

    def stream():
        for item in range(1000):
            read.append(item)
            yield item

    results = map_chunks(doubled, stream(), workers=workers, chunk=10)
    for chunk in range(5):
        next(results)
        assert len(read) <= 10 * (chunk + 1 + 2 * workers)
    assert isinstance(results, Generator)
    results.close()
    assert len(read) < 100


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_is_the_callers(workers: int) -> None:
    results = map_chunks(refuse_seven, range(20), workers=workers, chunk=5)
    assert next(results) == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match=r"^seven is refused$"):
        list(results)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_function_is_not_sent_with_each_chunk(workers: int) -> None:
    # What cannot be pickled works, so nothing large is pickled either.
    offset = 10
    results = map_chunks(lambda chunk: sum(chunk) + offset, range(20), workers=workers, chunk=5)
    assert list(results) == [20, 45, 70, 95]


def test_processes_are_as_asked_or_as_many_as_cores() -> None:
    assert processes(3) == 3
    assert 1 <= processes(None) <= (os.cpu_count() or 1)


def held_back(chunk: Sequence[int]) -> set[int | signal.Signals]:
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_workers_leave_signals_to_their_parent_which_hears_them_as_before() -> None:
    before = held_back(())
    for found in map_chunks(held_back, range(6), workers=2, chunk=2):
        assert found >= set(STOPS)
    assert held_back(()) == before


def killed(chunk: Sequence[int]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_is_one_line() -> None:
    with pytest.raises(RunEndedError, match=r"was killed: .* lower --data\.processes$") as ended:
        list(map_chunks(killed, range(9), workers=2, chunk=1))
    assert ended.value.code == 1


def test_no_room_for_what_processes_share_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", full)
    with pytest.raises(InputError, match=r"^worker processes need room in /dev/shm \(No space"):
        list(map_chunks(doubled, range(9), workers=2, chunk=1))


ORPHANS = """
import os, time
from careergpt.data.processes import map_chunks

def at_work(chunk):
    os.write(1, b"%d\\n" % os.getpid())  # At once, whatever the other one writes.
    time.sleep(600)

list(map_chunks(at_work, range(2), workers=2, chunk=1))
"""


def test_workers_end_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        try:
            workers = [int(parent.stdout.readline()) for _ in range(2)]
        finally:
            parent.kill()  # Or leaving the block would wait for it.
    deadline = time.monotonic() + 30
    while any(is_running(worker) for worker in workers):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.01)


LEFT = """
import time
from careergpt.data.processes import Workers

worker = Workers().Process(target=time.sleep, args=(600,), daemon=True)
worker.start()
"""


def test_a_worker_that_is_left_does_not_keep_its_parent_from_ending() -> None:
    assert subprocess.run([sys.executable, "-c", LEFT], timeout=60).returncode == 0


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
