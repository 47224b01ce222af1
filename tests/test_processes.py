"""A process that is forked is the one that a shell starts."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.processes import READ_LATE, start

SHOW = """
import atexit, os, signal, sys, threading
atexit.register(print, "the end")
known = {name: value for name, value in os.environ.items() if name != "LC_CTYPE"}
heard = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)]
print(__name__, sys.argv, os.getcwd(), known, heard, sys.stdin.read(), threading.active_count())
print(os.getsid(0) == os.getpid(), sorted(os.listdir("/proc/self/fd"))[:4], file=sys.stderr)
match sys.argv[1]:
    case "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    case "broken":
        1 / 0
    case code:
        sys.exit(int(code))
"""
CODES = {"0": 0, "7": 7, "broken": 1, "killed": -signal.SIGKILL}


@pytest.mark.parametrize("ends", CODES)
@pytest.mark.parametrize("session", [True, False])
def test_a_forked_process_is_the_one_that_a_shell_starts(
    ends: str, session: bool, tmp_path: Path
) -> None:
    script = tmp_path / "show.py"
    script.write_text(SHOW)
    found = []
    for anew in (True, False):
        process = start(
            [ends, "a wörd"], dict.fromkeys(READ_LATE, "1"), anew, script, cwd=tmp_path,
            start_new_session=session, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        out, errors = process.communicate("héard", timeout=60)
        found.append((process.returncode, out, errors.splitlines()[:1], errors.splitlines()[-1:]))
    assert found[0] == found[1]
    assert found[0][0] == CODES[ends]


def test_a_forked_process_can_be_waited_for_and_stopped(tmp_path: Path) -> None:
    script = tmp_path / "sleep.py"
    script.write_text("import time\nprint('here', flush=True)\ntime.sleep(60)")
    with start([], script=script, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
        process.terminate()
    assert process.poll() == process.returncode == -signal.SIGTERM
