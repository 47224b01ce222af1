"""The program as a process of its own: `main.py`, or another script, as a shell starts it.

Six seconds of such a process are imports. So a server, one for each of pytest's workers, has done
them, and forks itself for each call: the child has words, folder, variables, streams, signals and
an exit code of its own, and ends as any Python program. A call for which it would not be the same
imports anew: it sets a variable that an import may read, or prepares its process by a function.
"""

import fcntl
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MAIN = ROOT / "main.py"
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("WANDB_")},
    "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
}  # fmt: skip
IMPORTS = ("audit", "compare", "recommend", "trainer")
"""Of the command line; not wandb, whose import makes a folder that the first child removes."""
READ_LATE = {
    "AWS_SECRET_ACCESS_KEY", "CAREERGPT_CHAOS_KILL", "GROUP_RANK", "HF_TOKEN", "HOME", "LOCAL_RANK",
    "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "PYTHONPATH", "RANK", "SLURM_JOB_ID",
    "SLURM_JOB_NAME", "SLURM_LOCALID", "SLURM_NNODES", "SLURM_NODEID", "SLURM_NODELIST",
    "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_PROCID", "SLURM_STEP_ID", "TORCHELASTIC_RUN_ID",
    "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_MODE", "WORLD_SIZE",
}  # fmt: skip
"""Variables that no import reads, but for the places of caches that no test uses."""


def start(
    words: Sequence[str], environment: Mapping[str, str] | None = None, anew: bool = False,
    script: Path = MAIN, **options: Any,
) -> subprocess.Popen[str]:  # fmt: skip
    """Starts the program, offline and on one thread.

    Args:
        words: What is typed after the script.
        environment: Variables besides those that the tests began with.
        anew: Whether it imports everything itself, as one process does of each way in that a verb
            has: `audit`, `recommend`, and for all of the Trainer `fit` and `predict`.
        script: What is run.
        options: `Popen`'s; a forked process may have streams, `cwd` and `start_new_session`. A
            session's input, where it is a terminal, is that session's own.
    """
    anew = anew or "preexec_fn" in options or not READ_LATE.issuperset(environment or ())
    kind = subprocess.Popen if anew else Forked
    options = {"preexec_fn": hear, "text": True, **options}
    known = {**ENVIRONMENT, **(environment or {})}
    return kind([sys.executable, str(script), *words], env=known, **options)


def run(
    words: Sequence[str], environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Runs the program to its end; its output and errors are kept, unless they go elsewhere."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with start(words, environment, **options) as process:
        out, errors = process.communicate(timeout=240)
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


def start_ranks(
    words: Sequence[str], ranks: Sequence[Mapping[str, object]], **options: Any
) -> list[subprocess.Popen[str]]:
    """Starts a run's ranks, each with variables of its own, and one port for all."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    known = ({"MASTER_PORT": port, **rank} for rank in ranks)
    return [start(words, {name: str(is_) for name, is_ in one.items()}, **options) for one in known]


def of_torchrun(number: int, nodes: int = 1) -> list[dict[str, object]]:
    """The variables of each of so many ranks that torchrun starts, on one node or on several."""
    local = number // nodes
    known = {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "none"}
    sizes = {"WORLD_SIZE": number, "LOCAL_WORLD_SIZE": local}
    return [
        {**known, **sizes, "GROUP_RANK": rank // local, "RANK": rank, "LOCAL_RANK": rank % local}
        for rank in range(number)
    ]


def hear() -> None:
    """What a shell starts in the background ignores Ctrl-C, and the program leaves it so."""
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.getsid(0) == os.getpid() and os.isatty(0):
        with suppress(PermissionError):  # It is another session's.
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Forked(subprocess.Popen[str]):
    """A process that the server forks, which tells its id and how it ended."""

    def _execute_child(self, args: Sequence[str], *given: Any) -> None:
        cwd, environment, pipes, session = given[4], given[5], given[9:15], given[20]
        theirs = (pipes[0], pipes[3], pipes[5])
        streams = [own if pipe == -1 else pipe for own, pipe in enumerate(theirs)]
        self._told, other = socket.socketpair()
        with other:
            socket.send_fds(_server(), [b"!"], [*streams, other.fileno()])
        asked = [args[1:], str(cwd or os.getcwd()), environment, session]
        self._told.sendall(json.dumps(asked).encode())
        self._told.shutdown(socket.SHUT_WR)
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]
        self.pid = self._hear()

    def _hear(self) -> int:
        told = self._told.recv(4)
        assert told, "the server of processes is gone"
        return int.from_bytes(told, "big", signed=True)

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._told.settimeout(None if timeout is None else max(timeout, 0))
            try:
                self.returncode = self._hear()
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            self._told.close()
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None


@cache
def _server() -> socket.socket:
    """The way to the server, which ends when it is closed."""
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen([sys.executable, __file__], stdin=theirs.fileno(), env=ENVIRONMENT)
    return ours


def _serve(calls: socket.socket) -> None:
    """Answers calls, by forks of a process that has one thread of its own and has computed nothing.

    It returns in the children alone, which are the processes that were asked for.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody waits for the keepers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while fds := socket.recv_fds(calls, 1, 4)[1]:
        if not os.fork():
            calls.detach()  # Its number is the child's input.
            return _keep(fds[:3], socket.socket(fileno=fds[3]))
        for number in fds:
            os.close(number)
    sys.exit()


def _keep(streams: list[int], caller: socket.socket) -> None:
    """Forks the process, waits for it, and tells how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with caller, caller.makefile() as asked:
        words, cwd, environment, session = json.load(asked)
        if child := os.fork():
            for number in streams:
                os.close(number)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            caller.sendall(code.to_bytes(4, "big", signed=True))
            os._exit(0)
        if session:
            os.setsid()
        for own, number in enumerate(streams):
            os.dup2(number, own)
            os.close(number)
        hear()
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = words
        sys.path[:1] = [os.path.dirname(words[0]), *environment["PYTHONPATH"].split(os.pathsep)]
        caller.sendall(os.getpid().to_bytes(4, "big", signed=True))


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    import_module("careergpt.cli").quiet_libraries()
    for name in IMPORTS:
        import_module(f"careergpt.cli.{name}")
    gc.freeze()
    _serve(socket.socket(fileno=0))
    runpy.run_path(sys.argv[0], run_name="__main__")
