"""Kills a training again and again, resumes it, and compares its end with one left in peace.

    python benchmarks/chaos.py --json runs/bench/chaos.json

Every run is the real command in a process of its own, on the embedded sample, on one CPU thread.
`steps`: SIGKILL after each optimizer step of a small run, in turn, and at the points around it
(before the step, within a validation, at an epoch's end, while a state is being written); every
attempt is resumed and killed once more until none is left. `times`: SIGKILL at random times after
the first step of a larger one. Afterwards the weights, the optimizer's state and the logged losses
must be those of the undisturbed run, bit by bit, and every row must have been trained on as often
as it was there.
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
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning import Callback

ROOT = Path(__file__).parents[1]
IN_TIME = ("step", "validation", "epoch", "write", "before")
KILL = "CAREERGPT_CHAOS_KILL"
TIMED = ("tokens_per_second", "waiting_share")


Process = subprocess.Popen
Disturb = Callable[[Any], None]


class Witness(Callback):
    """Writes down which examples each batch had; kills its own process where it is told to."""

    def __init__(self, path: str) -> None:
        self._path = path
        point, _, step = os.environ.get(KILL, "").partition(":")
        self._point, self._step = point, int(step or -1)

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Writes the batch down."""
        loop = trainer.fit_loop
        row = {
            "batch": loop.total_batch_idx,
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
        }
        with Path(f"{self._path}.{trainer.global_rank}").open("a") as file:
            file.write(json.dumps({**row, "examples": list(batch.examples)}) + "\n")
        self._kill("step", trainer)

    def on_before_optimizer_step(self, trainer: Any, *_: Any) -> None:
        """The gradient is there, the step is not."""
        self._kill("before", trainer)

    def on_validation_batch_end(self, trainer: Any, *_: Any) -> None:
        """Within a validation."""
        if not trainer.sanity_checking:
            self._kill("validation", trainer)

    def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
        """An epoch's batches are done, its end is not."""
        self._kill("epoch", trainer)

    def on_save_checkpoint(self, trainer: Any, *_: Any) -> None:
        """A state is about to be written."""
        self._kill("write", trainer)

    def _kill(self, point: str, trainer: Any) -> None:
        if (point, trainer.global_step) == (self._point, self._step):
            os.kill(os.getpid(), signal.SIGKILL)


class Case(NamedTuple):
    """A training to disturb."""

    name: str
    options: tuple[str, ...]
    ranks: int = 1


SMALL = (
    "--model.scratch.n_layer=1", "--model.scratch.n_head=2", "--model.scratch.n_embd=16",
    "--model.scratch.n_positions=128", "--data.batch_tokens=1024", "--trainer.max_epochs=2",
)  # fmt: skip
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
    parser.add_argument(
        "--quick", action="store_true", help="The first case, five kills of a kind."
    )
    parser.add_argument("--times", type=int, default=50, help="Kills at random times.")
    parser.add_argument("--seed", type=int, default=0, help="Of the random times.")
    parser.add_argument("--only", choices=("steps", "times", "stops"), help="One part alone.")
    parser.add_argument("--cases", nargs="*", type=int, default=range(len(CASES)))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        for result in _results(args, Path(folder)):
            results.append(result)
            print(_line(result), flush=True)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps([result._asdict() for result in results], indent=1))
    sys.exit(any(result.differs or result.lost for result in results))


def _results(args: argparse.Namespace, folder: Path) -> Iterator[Result]:
    table, quick = _table(folder), args.quick
    if args.only in (None, "steps"):
        for case in args.cases[: 1 if quick else None]:
            yield _at_every_step(CASES[case], folder, table, 1 if quick else None)
    if args.only in (None, "times"):
        times = 5 if quick else args.times
        yield _at_random_times(CASES[args.cases[0]], folder, table, times, args.seed)
    if args.only in (None, "stops"):
        for name in list(STOPS)[: 1 if quick else None]:
            yield _stopped(name, folder, table, 1 if quick else 3)


def _at_every_step(case: Case, folder: Path, table: list[str], each: int | None) -> Result:
    whole = folder / f"whole {case.name}"
    code, _ = _run(case, whole, table)
    if code:
        sys.exit(f"{case.name}: the undisturbed run ended with {code}")
    steps = max(row["step"] for row in _witnessed(whole, 0))
    ends = _epoch_ends(whole)
    plan = [("step", step) for step in range(1, steps + 1)]
    plan += [("before", step) for step in range(0, steps, 3)]
    # A state is written as soon as the next step begins, so `write` is found at those of its steps.
    plan += [("write", step) for end in ends for step in (end - 1, end)]
    plan += [(point, end) for end in ends for point in ("validation", "epoch")]
    if each is not None:
        chance = random.Random(0)
        plan = [
            kill
            for point in IN_TIME
            for kill in chance.sample([k for k in plan if k[0] == point], each)
        ]
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
        f"{number.name}, {case.name}": (
            case,
            partial(Process.send_signal, sig=number),
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
    differs = [f"exit code {code}: {told[-300:]}"] if code else _differences(whole, broken)
    lost = 0 if code else sum(_lost(whole, broken, rank) for rank in range(case.ranks))
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
    witness = {"class_path": "benchmarks.chaos.Witness", "init_args": {"path": f"{run}.seen"}}
    words = [
        sys.executable, str(ROOT / "main.py"), "fit", *table, *case.options,
        f"--model.scratch.tokenizer={ROOT / 'data' / 'tokenizer'}",
        f"--trainer.default_root_dir={run}",
        f"--trainer.callbacks={json.dumps([witness])}", "--ckpt_path=last", "--model.dropout=0.2",
        "--trainer.accelerator=cpu", "--trainer.logger=false",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false", "--trainer.log_every_n_steps=1",
        "--checkpoints.every_n_steps=1", "--samples.max_new_tokens=2", "--samples.records=0",
        "--titles.limit=0", "--rankings.limit=0", "--data.processes=1",
    ]  # fmt: skip
    environment = {
        **os.environ, KILL: kill, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    seen = Path(f"{run}.seen.0")
    size = seen.stat().st_size if seen.exists() else 0
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, preexec_fn=_hear,
    ) as process:  # fmt: skip
        if disturb is not None:
            while process.poll() is None and not (seen.exists() and seen.stat().st_size > size):
                time.sleep(0.005)
            if process.poll() is None:
                disturb(process)
        told, _ = process.communicate()
    return process.returncode, told


def _hear() -> None:
    """What a shell starts in the background ignores Ctrl-C, and a run leaves it so."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def _table(folder: Path) -> list[str]:
    """A slice of the embedded sample."""
    lines = (ROOT / "data" / "careers.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    source = folder / "careers.jsonl"
    source.write_text("".join(lines[:400]), encoding="utf-8")
    return [f"--data.source={source}", f"--data.cache={folder / 'cache'}"]


def _witnessed(run: Path, rank: int) -> list[dict[str, Any]]:
    """The batches that made the weights: of each number the last: others were undone."""
    kept = {}
    for line in Path(f"{run}.seen.{rank}").read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # Killed while it wrote.
            continue
        kept[row["batch"]] = row
    return [kept[batch] for batch in sorted(kept)]


def _epoch_ends(run: Path) -> list[int]:
    """The steps after which an epoch ends."""
    return sorted({row["epoch"]: row["step"] for row in _witnessed(run, 0)}.values())


def _lost(whole: Path, broken: Path, rank: int) -> int:
    """Rows of an epoch that were seen more or less often than in peace."""
    counts = [
        Counter(
            (row["epoch"], example) for row in _witnessed(run, rank) for example in row["examples"]
        )
        for run in (whole, broken)
    ]
    return sum(abs(counts[0][key] - counts[1][key]) for key in counts[0] | counts[1])


def _differences(whole: Path, broken: Path) -> list[str]:
    found = []
    states = [
        torch.load(run / "checkpoints" / "resume.ckpt", weights_only=True)
        for run in (whole, broken)
    ]
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        if not _equal(states[0][part], states[1][part]):
            found.append(part)
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (whole, broken)]
    if weights[0] != weights[1]:
        found.append("model.safetensors")
    for name in ("metrics.jsonl", "samples.jsonl"):
        if _logged(whole / name) != _logged(broken / name):
            found.append(name)
    return found


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


def _logged(path: Path) -> list[dict[str, Any]]:
    """The lines, but for what depends on the clock."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    timed = [{k: v for k, v in row.items() if not k.endswith(TIMED)} for row in rows]
    return [row for row in timed if set(row) - {"step", "train/padding_share"}]


def _line(result: Result) -> str:
    told = "equal to the bit" if not result.differs else f"DIFFERS: {', '.join(result.differs)}"
    return (
        f"{result.case}: {result.kills} kills ({result.how}), {result.survived} survived, "
        f"{result.lost} rows lost or doubled, {told}"
    )


if __name__ == "__main__":
    main()
