"""Kills a training again and again, resumes it, and compares its end with one left in peace.

    python benchmarks/chaos.py --json runs/bench/chaos.json

Every run is the real command in a process of its own, on the embedded sample, on one CPU thread.
`steps`: SIGKILL after each optimizer step of a small run, in turn, and at the points around it
(before the step, within a validation, at an epoch's end, while a state is being written); every
attempt is resumed and killed once more until none is left. `times`: SIGKILL at random times after
the first step of a larger one. Afterwards the weights, the optimizer's state and the logged losses
must be those of the undisturbed run, bit by bit, and every row must have been trained on as often
as it was there. `stops`: signals to a run, its ranks or its loader processes, after its first step;
resumed and compared likewise. `signals`: every verb in every phase, as signals.py does.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import signals
import small_runs
from small_runs import ROOT, SMALL, sample_table
from witness import KILL, differences, epoch_ends, lost_rows, witnessed

IN_TIME = ("step", "validation", "epoch", "write", "before")
Process = subprocess.Popen
Disturb = Callable[[Any], None]


class Case(NamedTuple):
    """A training to disturb."""

    name: str
    options: tuple[str, ...]
    ranks: int = 1


CASES = (
    Case("packed", SMALL),
    Case("accumulating 4, 2 loader processes", (
        *SMALL, "--data.batch_tokens=256", "--data.workers=2",
        "--trainer.accumulate_grad_batches=4")),
    Case("padded, validating thrice an epoch", (
        *SMALL[:-2], "--trainer.max_epochs=2", "--data.pack=false", "--data.batch_size=16",
        "--trainer.val_check_interval=0.34", "--data.tasks.describe.weight=0.5")),
    Case("two gloo ranks", (*SMALL, "--trainer.devices=2", "--trainer.strategy=ddp"), 2),
)  # fmt: skip


class Result(NamedTuple):
    """What became of a case.

    Attributes:
        kills: Processes killed.
        survived: Of the kills, those after which the run ended equal to the undisturbed one.
        lost: Rows that were never trained on or more often than they were there.
        differs: What was not equal at the end.
    """

    case: str
    how: str
    kills: int
    survived: int
    lost: int
    differs: tuple[str, ...]


def main() -> None:
    """Runs the cases and prints a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="A kill and three signals: a minute.")
    parser.add_argument("--times", type=int, default=50, help="Kills at random times.")
    parser.add_argument("--seed", type=int, default=0, help="Of the random times.")
    parser.add_argument(
        "--only", choices=("steps", "times", "stops", "signals"), help="One part alone."
    )
    parser.add_argument("--cases", nargs="*", type=int, default=range(len(CASES)))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results: list[Result] = []
    stopped: list[signals.Row] = []
    with tempfile.TemporaryDirectory() as folder:
        print(HEAD)
        for result in _results(args, Path(folder)):
            results.append(result)
            print(_line(result), flush=True)
        if args.only in (None, "signals"):
            print(f"\n{signals.HEAD}")
            for row in signals.rows(Path(folder), args.quick):
                stopped.append(row)
                print(signals.line(row), flush=True)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        found = {"resumed": results, "stopped": stopped}
        plain = {part: [row._asdict() for row in rows] for part, rows in found.items()}
        args.json.write_text(json.dumps(plain, indent=1))
    sound = all(not (result.differs or result.lost) for result in results)
    sys.exit(not (sound and all(row.right for row in stopped)))


def _results(args: argparse.Namespace, folder: Path) -> Iterator[Result]:
    table = sample_table(folder, 100 if args.quick else 400)
    if args.quick:
        if args.only in (None, "steps"):
            yield _at_every_step(CASES[0], folder, table, ("write",))
        return
    if args.only in (None, "steps"):
        for case in args.cases:
            yield _at_every_step(CASES[case], folder, table)
    if args.only in (None, "times"):
        yield _at_random_times(CASES[args.cases[0]], folder, table, args.times, args.seed)
    if args.only in (None, "stops"):
        for name in STOPS:
            yield _stopped(name, folder, table, 3)


def _at_every_step(
    case: Case, folder: Path, table: list[str], one_of: tuple[str, ...] = ()
) -> Result:
    """Kills the run at every point of the plan, or at one of each of these kinds."""
    whole = folder / f"whole {case.name}"
    code, _ = _run(case, whole, table)
    if code:
        sys.exit(f"{case.name}: the undisturbed run ended with {code}")
    steps = max(row["step"] for row in witnessed(whole, 0))
    ends = epoch_ends(whole)
    plan = [("step", step) for step in range(1, steps + 1)]
    plan += [("before", step) for step in range(0, steps, 3)]
    # A state is written as soon as the next step begins, so `write` is found at those of its steps.
    plan += [("write", step) for end in ends for step in (end - 1, end)]
    plan += [(point, end) for end in ends for point in ("validation", "epoch")]
    if one_of:
        chance = random.Random(0)
        plan = [chance.choice([kill for kill in plan if kill[0] == point]) for point in one_of]
    # A run bears one after the other: what is wrong after one kill stays wrong.
    broken, kills, found = folder / f"broken {case.name}", 0, []
    for point, step in sorted(plan, key=lambda kill: (kill[1], IN_TIME.index(kill[0]))):
        code, told = _run(case, broken, table, kill=f"{point}:{step}")
        if code == 0:  # The point lay behind it: the next run takes over.
            found.append(_judged(case, "every step", table, whole, broken, 0))
            broken = folder / f"broken {case.name} {len(found)}"
        elif code != -signal.SIGKILL and case.ranks == 1:
            return _broken(case, "every step", kills, code, told)
        kills += code != 0
    found.append(_judged(case, "every step", table, whole, broken, 0))
    return _sum(found, kills)


def _kill_after(seconds: float, process: Process) -> None:
    time.sleep(seconds)
    process.kill()


def _signal_all(number: int, process: Process) -> None:
    """As a terminal does: ranks and loader processes get it, too."""
    os.killpg(process.pid, number)


def _signal_child(number: int, process: Process) -> None:
    """To a rank or a loader process."""
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
    os.kill(int(found.stdout.split()[0]), number)


STOPS: dict[str, tuple[Case, Disturb, int]] = {
    **{
        f"{number.name} to its process group, {case.name}": (
            case,
            partial(_signal_all, number),
            128 + number,
        )
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
        for case in (CASES[0], CASES[1])
    },
    "SIGTERM to rank 0": (CASES[3], lambda process: process.terminate(), 143),
    "SIGTERM to rank 1": (CASES[3], partial(_signal_child, signal.SIGTERM), 143),
    "SIGINT to both ranks": (CASES[3], partial(_signal_all, signal.SIGINT), 130),
    "SIGKILL to rank 1": (CASES[3], partial(_signal_child, signal.SIGKILL), 1),
    "SIGKILL to rank 0": (CASES[3], lambda process: process.kill(), -9),
    "SIGKILL to a loader process": (CASES[1], partial(_signal_child, signal.SIGKILL), 1),
}
"""What is done to a run after its first step, and the exit code that it must end with."""


def _stopped(name: str, folder: Path, table: list[str], times: int) -> Result:
    """Stops the run, so many times one after the other, and lets it come to its end."""
    case, disturb, wanted = STOPS[name]
    longer = case._replace(options=(*case.options, "--trainer.max_epochs=8"))
    whole, broken = folder / f"whole {case.name} longer", folder / f"stopped {name}"
    if not whole.exists():
        _run(longer, whole, table)
    slowest = 0.0
    for _ in range(times):
        begun = [0.0]

        def disturbed(process: Process, begun: list[float] = begun) -> None:
            begun[0] = time.monotonic()
            disturb(process)

        code, told = _run(longer, broken, table, disturb=disturbed)
        slowest = max(slowest, time.monotonic() - begun[0])
        if code != wanted:
            return _broken(longer, name, 0, code, told)
    judged = _judged(longer, name, table, whole, broken, times)
    return judged._replace(how=f"{name}; at most {slowest:.1f} s")


def _at_random_times(case: Case, folder: Path, table: list[str], times: int, seed: int) -> Result:
    longer = case._replace(
        name=f"{case.name}, longer", options=(*case.options, "--trainer.max_epochs=12")
    )
    whole, broken = folder / "whole longer", folder / "broken longer"
    started = time.monotonic()
    code, told = _run(longer, whole, table)
    if code:
        sys.exit(f"{longer.name}: the undisturbed run ended with {code}: {told}")
    took = time.monotonic() - started
    chance, kills = random.Random(seed), 0
    while kills < times:
        wait = chance.uniform(0, 0.25 * took)
        code, told = _run(longer, broken, table, disturb=partial(_kill_after, wait))
        if code == 0:  # It ended before it was killed: another one.
            judged = _judged(longer, "random times", table, whole, broken, kills)
            if judged.differs or judged.lost:
                return judged
            broken = folder / f"broken longer {kills}"
            continue
        if code != -signal.SIGKILL:
            return Result(
                longer.name, "random times", kills, 0, 0, (f"exit code {code}: {told[-300:]}",)
            )
        kills += 1
    return _judged(longer, "random times", table, whole, broken, kills)


def _broken(case: Case, how: str, kills: int, code: int, told: str) -> Result:
    return Result(case.name, how, kills, 0, 0, (f"exit code {code}: {told[-300:]}",))


def _judged(
    case: Case, how: str, table: list[str], whole: Path, broken: Path, kills: int
) -> Result:
    """Lets the run come to its end and compares it."""
    code, told = _run(case, broken, table)
    differs = [f"exit code {code}: {told[-300:]}"] if code else differences(whole, broken)
    lost = 0 if code else sum(lost_rows(whole, broken, rank) for rank in range(case.ranks))
    return Result(case.name, how, kills, 0 if differs or lost else kills, lost, tuple(differs))


def _sum(runs: list[Result], kills: int) -> Result:
    lost = sum(run.lost for run in runs)
    differs = tuple(dict.fromkeys(part for run in runs for part in run.differs))
    survived = 0 if differs or lost else kills
    return runs[0]._replace(kills=kills, survived=survived, lost=lost, differs=differs)


def _run(
    case: Case, run: Path, table: list[str], kill: str = "", disturb: Disturb | None = None
) -> tuple[int, str]:
    """Starts or resumes the run; its exit code, and what it printed.

    Args:
        case: What is run.
        run: Its folder.
        table: The options of its table.
        kill: Where the run kills itself: a point of `IN_TIME` and the step, `step:3`.
        disturb: What is done to the process after its first step.
    """
    witness = {"class_path": "witness.Witness", "init_args": {"path": f"{run}.seen"}}
    words = [
        "fit", *table, *case.options,
        f"--model.scratch.tokenizer={ROOT / 'data' / 'tokenizer'}",
        f"--trainer.default_root_dir={run}",
        f"--trainer.callbacks={json.dumps([witness])}", "--ckpt_path=last", "--model.dropout=0.2",
        "--trainer.accelerator=cpu", "--trainer.logger=false",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false", "--trainer.log_every_n_steps=1",
        "--checkpoints.every_n_steps=1", "--samples.max_new_tokens=2", "--samples.records=0",
        "--titles.limit=0", "--rankings.limit=0", "--data.processes=1",
    ]  # fmt: skip
    seen = Path(f"{run}.seen.0")
    size = seen.stat().st_size if seen.exists() else 0
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with small_runs.start(words, {KILL: kill}, **pipes) as process:
        if disturb is not None:
            while process.poll() is None and not (seen.exists() and seen.stat().st_size > size):
                time.sleep(0.005)
            if process.poll() is None:
                disturb(process)
        told, _ = process.communicate()
    return process.returncode, told


HEAD = """| run | how | tries | survived | rows lost | what differs |
|---|---|--:|--:|--:|---|"""


def _line(result: Result) -> str:
    differs = ", ".join(result.differs) or "nothing, to the bit"
    return (
        f"| {result.case} | {result.how} | {result.kills} | {result.survived} | {result.lost} | "
        f"{differs} |"
    )


if __name__ == "__main__":
    main()
