"""Laws of stopping: whatever sends the signal, and whatever is under way, one rule holds."""

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.processes import start


def leading(words: list[str], **options: Any) -> subprocess.Popen[str]:
    """The program as the leader of a process group."""
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return start(words, start_new_session=True, **{**silent, **options})


def wait_until(happened: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while process.poll() is None and not happened():
        time.sleep(0.005)
    assert process.poll() is None, "it ended before it could be stopped"


def assert_nobody_is_left(group: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < deadline, "processes are left"
        time.sleep(0.01)


@pytest.fixture
def long(short: list[str], tmp_path: Path) -> list[str]:
    """A fit with loader processes that goes on until it is stopped."""
    return [
        "fit", *short, "--data.workers=2", "--trainer.max_epochs=500", "--titles.limit=0",
        "--trainer.log_every_n_steps=1", "--samples.records=0", "--ckpt_path=last",
        f"--trainer.default_root_dir={tmp_path / 'run'}",
    ]  # fmt: skip


def steps(run: Path) -> int:
    """How many its log tells of."""
    log = run / "metrics.jsonl"
    return log.read_text(encoding="utf-8").count('"train/loss"') if log.exists() else 0


ALONE = {"JOB_ID": "4711", "NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}
"""What SLURM tells a job of one task."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_all_processes_of_a_run_saves_its_state(
    number: signal.Signals, long: list[str], tmp_path: Path
) -> None:
    # SIGUSR1 is SLURM's, before a job's time is up: Lightning would save a file of its own, call
    # scontrol, which is not here, and train on.
    slurm = {f"SLURM_{n}": v for n, v in ALONE.items()} if number == signal.SIGUSR1 else {}
    with leading(long, environment=slurm) as process:
        wait_until(lambda: steps(tmp_path / "run") > 2, process)
        os.killpg(process.pid, number)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + number, told
    assert told.splitlines()[-1].startswith(f"stopped by {number.name} after step ")
    assert "scontrol" not in told
    assert (tmp_path / "run" / "checkpoints" / "resume.ckpt").exists()
    assert not list((tmp_path / "run").glob("hpc_ckpt*"))
    assert_nobody_is_left(process.pid)


def test_a_terminal_stops_a_run_by_a_key_and_by_being_closed(
    long: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    state = run / "checkpoints" / "resume.ckpt"
    for ended in (signal.SIGINT, signal.SIGHUP):
        before, saved = steps(run), state.stat().st_mtime_ns if state.exists() else 0
        master, terminal = pty.openpty()
        with leading(long, stdin=terminal, stdout=terminal, stderr=terminal) as process:
            os.close(terminal)
            wait_until(partial(lambda least: steps(run) > least, before + 2), process)
            if ended == signal.SIGINT:
                os.write(master, b"\x03")
            else:
                os.close(master)
            assert process.wait(timeout=60) == 128 + ended
        assert state.stat().st_mtime_ns > saved
        assert_nobody_is_left(process.pid)
        if ended == signal.SIGINT:
            os.close(master)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_tables_that_are_prepared_leave_no_process_and_what_is_told_no_file(
    tmp_path: Path, number: signal.Signals
) -> None:
    table, cache = tmp_path / "jobs.jsonl", tmp_path / "cache"
    rows = ({"titles": [f"Title {row}", f"Next {row}"]} for row in range(100_000))
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words = ["audit", f"--data.source={table}", f"--data.cache={cache}", "--data.processes=2"]
    with leading(words, anew=number == signal.SIGKILL) as process:
        wait_until(lambda: cache.exists() and any(cache.iterdir()), process)
        if number == signal.SIGKILL:
            process.kill()
        else:
            os.killpg(process.pid, number)
        _, told = process.communicate(timeout=60)
    assert_nobody_is_left(process.pid)
    if number != signal.SIGKILL:
        assert (process.returncode, told.strip()) == (128 + number, f"stopped by {number.name}")
        assert not list(cache.iterdir())
