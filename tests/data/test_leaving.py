"""Laws of leaving: a stopped process ends by one rule, from wherever it is, and leaves no half."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from careergpt.data.processes import STOPS, unfinished


def run(program: str, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    heard = "import os, signal\nfrom careergpt.data.processes import *\n"
    return subprocess.run(
        [sys.executable, "-c", heard + program, *words],
        stderr=subprocess.PIPE, text=True, timeout=60, start_new_session=True, **options,
    )  # fmt: skip


def hear() -> None:
    """A test run in the background ignores Ctrl-C, and hands that down."""
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_ends_the_process_though_exceptions_are_swallowed(
    number: signal.Signals, tmp_path: Path
) -> None:
    program = """
import sys
leave_when_stopped()
with unfinished(Path(sys.argv[1])) as path:
    path.write_text("half")
    try:
        os.kill(os.getpid(), int(sys.argv[2]))
    except BaseException:
        pass
"""
    half = tmp_path / "half"
    done = run(program, str(half), str(int(number)), preexec_fn=hear)
    assert (done.returncode, done.stderr.strip()) == (128 + number, f"stopped by {number.name}")
    assert not half.exists()


def test_a_signal_that_is_ignored_stays_so() -> None:
    program = """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
leave_when_stopped()
os.kill(os.getpid(), signal.SIGHUP)
"""
    assert run(program).returncode == 0


def test_nobody_need_read_what_is_told() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", "from careergpt.data.processes import *; leave('gone', 7)"],
            stderr=full,
        )
    assert done.returncode == 7


def test_an_unfinished_file_goes_when_its_block_ends_whatever_ends_it(tmp_path: Path) -> None:
    for error in (None, ValueError):
        try:
            with unfinished(tmp_path / "half") as path:
                path.write_text("half")
                if error:
                    raise error
        except ValueError:
            pass
        assert not path.exists()
