"""Stops every verb in every phase in every way, and breaks every verb's output.

    python benchmarks/signals.py --json runs/bench/signals.json

Every command is real, at a terminal of its own, with workers where it can have some. It is stopped
by Ctrl-C, by SIGTERM to its process group (as `timeout` and schedulers send it) and by closing the
terminal, and must end with 130, 143 and 129 within five seconds, leave no process and no
half-written file, and keep what was made. Preparing processes must end with a parent that is
killed. Then every verb is run to its end with output that nobody reads, that is ASCII alone, and on
a full disk: what it makes must be there.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import small_runs
from small_runs import ROOT, SMALL, sample_table

LIMIT = 5.0
"""Seconds from the signal to the end of the process."""

QUIET = (
    "--trainer.accelerator=cpu", "--trainer.logger=false", "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
)  # fmt: skip


class Started:
    """A command at a terminal of its own, in a folder of its own."""

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        self.folder, self.told = folder, b""
        folder.mkdir(parents=True, exist_ok=True)
        self.terminal, inside = pty.openpty()
        os.set_blocking(self.terminal, False)
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), inside)
        self.process = small_runs.start(words, cwd=folder, **streams)
        os.close(inside)

    def read(self) -> bytes:
        """All that it has printed so far."""
        try:
            while part := os.read(self.terminal, 1 << 16):
                self.told += part
        except OSError:  # Nothing is there, or nobody writes any more, or it is closed.
            pass
        return self.told

    def wait_until(self, happened: Callable[[Started], object]) -> None:
        """Until this, or until it has ended."""
        while self.process.poll() is None and not happened(self):
            self.read()
            time.sleep(0.005)

    def maps(self, name: str) -> bool:
        """Whether a file of such a name is mapped into its memory."""
        return name in Path(f"/proc/{self.process.pid}/maps").read_text(errors="replace")

    def n_left(self) -> int:
        """Processes of its group that still run."""
        stats = (_read(path) for path in Path("/proc").glob("[0-9]*/stat"))
        fields = [stat.rpartition(")")[2].split() for stat in stats if stat]
        return sum(int(one[2]) == self.process.pid and one[0] not in "ZX" for one in fields)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""  # It has ended.


class Phase(NamedTuple):
    """Something that a verb does, and how one sees from outside that it has begun.

    Attributes:
        kept: Files that must be there afterwards, as a pattern within the folder.
    """

    verb: str
    name: str
    words: tuple[str, ...]
    begun: Callable[[Started], object]
    kept: str = ""


class Row(NamedTuple):
    """What became of a command.

    Attributes:
        code: Its exit code; negative: the signal that killed it.
        seconds: From the signal to its end; of a command that was let run, all.
        processes: Of its group, a second later.
        files: Half-written ones that are left, and those that are missing.
        told: Its last line.
        right: Whether all that is as it must be.
    """

    verb: str
    phase: str
    how: str
    code: int
    seconds: float
    processes: int
    files: tuple[str, ...]
    told: str
    right: bool


def _close_terminal(started: Started) -> None:
    os.close(started.terminal)
    started.terminal = -1


HOWS: dict[str, tuple[Callable[[Started], object], int]] = {
    "Ctrl-C": (lambda started: os.write(started.terminal, b"\x03"), 128 + signal.SIGINT),
    "SIGTERM": (
        lambda started: os.killpg(started.process.pid, signal.SIGTERM),
        128 + signal.SIGTERM,
    ),
    "closed terminal": (_close_terminal, 128 + signal.SIGHUP),
    "SIGKILL to the parent": (lambda started: started.process.kill(), -signal.SIGKILL),
}
"""What is done to a command, and the exit code that it must end with."""


def stopped(phase: Phase, how: str, folder: Path, limit: float = LIMIT) -> Row:
    """Starts the command, stops it in the phase, and looks at what is left."""
    act, wanted = HOWS[how]
    started = Started(phase.words, folder)
    started.wait_until(phase.begun)
    begun, ended_before = time.monotonic(), started.process.poll() is not None
    if not ended_before:
        act(started)
    while started.process.poll() is None and time.monotonic() < begun + 60:
        started.read()
        time.sleep(0.005)
    seconds = time.monotonic() - begun
    time.sleep(1)
    code, left = started.process.poll(), started.n_left()
    if left:
        os.killpg(started.process.pid, signal.SIGKILL)
    code = started.process.wait() if code is None else code
    lines = started.read().decode(errors="replace").split("\n")
    told = "ended before" if ended_before else next(filter(str.strip, reversed(lines)), "").strip()
    files = _half_written(folder) + _missing(folder, phase.kept)
    # A process that is killed can neither remove what it has begun nor save a state.
    right = code == wanted and seconds <= limit and not left and not (files and wanted > 0)
    if started.terminal >= 0:
        os.close(started.terminal)
    return Row(phase.verb, phase.name, how, code, seconds, left, files, told, right)


def _half_written(folder: Path) -> tuple[str, ...]:
    """Those of the kept answers, by rank, are no halves: predict goes on from them."""
    found = [*folder.rglob("*.partial"), *folder.rglob("*.cleaned")]
    return tuple(sorted(path.name for path in found if ".rank" not in path.name))


def _missing(folder: Path, kept: str) -> tuple[str, ...]:
    return (f"no {kept}",) if kept and not any(folder.glob(kept)) else ()


OUTPUTS = {"nobody reads": 0, "ASCII alone": 0, "a full disk": 2}
"""What is wrong with the output, and the exit code that the verb must end with."""


def printed(verb: str, words: Sequence[str], kept: str, how: str, folder: Path) -> Row:
    """Runs the command to its end with such an output, and looks at what it made."""
    folder.mkdir(parents=True)
    reader, output = os.pipe()
    if how == "a full disk":
        os.close(output)
        output = os.open("/dev/full", os.O_WRONLY)
    if how != "ASCII alone":
        os.close(reader)
    begun = time.monotonic()
    encoding = {"PYTHONIOENCODING": "ascii"} if how == "ASCII alone" else {}
    streams = {"stdout": output, "stderr": subprocess.PIPE}
    process = small_runs.start(words, encoding, cwd=folder, **streams)
    os.close(output)
    if how == "ASCII alone":
        with os.fdopen(reader, "rb") as read:
            read.read()
    _, errors = process.communicate()
    files = _half_written(folder) + _missing(folder, kept)
    told = (errors.strip().splitlines() or [""])[-1]
    right = process.returncode == OUTPUTS[how] and not files
    seconds = time.monotonic() - begun
    return Row(verb, "to its end", how, process.returncode, seconds, 0, files, told, right)


class Commands:
    """The verbs, each on a model that was made for it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._table = folder, sample_table(folder)
        self._tokenizer = f"--model.scratch.tokenizer={ROOT / 'data' / 'tokenizer'}"
        people = folder / "people.jsonl"
        people.write_text('{"position": "Wélder", "skills": ["求人", "grinding"]}\n' * 400)
        self._people = f"--input={people}"
        made = Started(self.fit(epochs=1), folder / "model")
        made.wait_until(lambda _: False)
        if made.process.returncode:
            sys.exit(f"the model could not be made: {made.read().decode()}")
        self._run = folder / "model" / "run"
        self._model = f"--model.pretrained={self._run / 'model'}"

    def fit(self, epochs: int = 500) -> tuple[str, ...]:
        """A training with loader processes, which prepares its tables by two processes."""
        return (
            "fit", *SMALL, *self._table, *QUIET, self._tokenizer, "--data.workers=2",
            "--data.processes=2", f"--trainer.max_epochs={epochs}", "--samples.max_new_tokens=4",
            "--trainer.log_every_n_steps=1", "--samples.prompts=['Wér?']",
            "--trainer.default_root_dir=run",
        )  # fmt: skip

    def ending(self) -> dict[str, tuple[tuple[str, ...], str]]:
        """Of each verb a command that ends, and what it must leave."""
        model, table = self._model, self._table
        compared = (f"--baseline={self._run / 'baseline'}", f"--finetuned={self._run / 'model'}")
        few = ("--decoding.max_new_tokens=4", "--device=cpu")
        return {
            "audit": (("audit", *table, "--out=report"), "report/data_report.json"),
            "fit": (self.fit(epochs=1), "run/model/README.md"),
            "validate": (("validate", *table, *QUIET, model), ""),
            "test": (("test", *table, *QUIET, model, "--json=test.json"), "test.json"),
            "predict": (
                ("predict", *table, *QUIET, model, "--model.decoding.max_new_tokens=40"),
                "predictions.jsonl",
            ),
            "compare": (
                ("compare", *table, *compared, *few, "--out=found"),
                "found/report.html",
            ),
            "recommend": (
                ("recommend", model, self._people, *few, "--format=json"),
                "",
            ),
        }

    def phases(self) -> Iterator[Phase]:
        """What each verb does, as far as it can be told apart from outside."""
        whole = ("--data.processes=2", "--data.cache=cache", f"--data.source={ROOT / 'data'}")
        tables = {"audit": ("audit", *whole), "fit": (*self.fit(), *whole)}
        for verb, words in tables.items():
            yield Phase(verb, "first instructions", words, _hears)
            yield Phase(verb, "imports", words, lambda started: started.maps("libtorch"))
            yield Phase(verb, "preparing tables", words, _prepares)
        ending = {verb: words for verb, (words, _) in self.ending().items()}
        state = "run/checkpoints/resume.ckpt"
        yield Phase("fit", "loader processes begin", self.fit(), _loads)
        yield Phase("fit", "training", self.fit(), _trains, state)
        ends = (*self.fit(epochs=1), "--titles.limit=400", "--rankings.limit=400")
        yield Phase("fit", "measuring the model", ends, _finishes, state)
        for verb in ("validate", "test", "compare"):
            yield Phase(verb, "scoring", ending[verb], lambda started: started.maps("tokens-"))
        yield Phase("predict", "answering", ending["predict"], _answers, "*.rank0.partial")
        people = ending["recommend"]
        yield Phase("recommend", "answering", people, lambda started: b"}" in started.read())


def _hears(started: Started) -> bool:
    """Whether it has a handler of SIGTERM: from then on our rule holds."""
    (line,) = [
        line
        for line in _read(Path(f"/proc/{started.process.pid}/status")).splitlines()
        if line.startswith("SigCgt:")
    ] or ["SigCgt: 0"]
    return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def _prepares(started: Started) -> bool:
    return any((started.folder / "cache").glob("*")) and started.n_left() > 2


def _loads(started: Started) -> bool:
    return started.n_left() > 2 and not _trains(started)


def _trains(started: Started) -> bool:
    return '"train/loss"' in _read(started.folder / "run" / "metrics.jsonl")


def _finishes(started: Started) -> bool:
    return (started.folder / "run" / "model" / "model.safetensors").exists()


def _answers(started: Started) -> bool:
    return any(path.stat().st_size > 9 for path in started.folder.glob("*.rank0.partial"))


QUICK = (("audit", "preparing tables", "Ctrl-C"), ("fit", "training", "SIGTERM"))


def rows(folder: Path, quick: bool) -> Iterator[Row]:
    """Every row of the table, as it is found."""
    commands = Commands(folder)
    for phase in commands.phases():
        for how in HOWS:
            if not quick or (phase.verb, phase.name, how) in QUICK:
                # The quick size is a test's, beside other work.
                limit = 60 if quick else LIMIT
                yield stopped(phase, how, folder / f"{phase.verb} {phase.name} {how}", limit)
    for verb, (words, kept) in commands.ending().items():
        for how in OUTPUTS:
            if not quick or (verb, how) == ("recommend", "nobody reads"):
                yield printed(verb, words, kept, how, folder / f"{verb} {how}")


HEAD = """| verb | phase | by, or output | exit code | s | processes left | files | last line |
|---|---|---|--:|--:|--:|---|---|"""


def line(row: Row) -> str:
    """The row in Markdown."""
    files = ", ".join(row.files) or "as they must be"
    mark = "" if row.right else " **WRONG**"
    return (
        f"| {row.verb} | {row.phase} | {row.how} | {row.code}{mark} | {row.seconds:.1f} | "
        f"{row.processes} | {files} | {row.told[:160]} |"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Three rows.")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = []
    print(HEAD)
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(Path(folder), args.quick):
            found.append(row)
            print(line(row), flush=True)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps([row._asdict() for row in found], indent=1))
    sys.exit(not all(row.right for row in found))


if __name__ == "__main__":
    main()
