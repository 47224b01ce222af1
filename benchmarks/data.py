"""How fast are tables prepared, and what do more rows cost? By stage, beside `datasets.map`.

    python benchmarks/data.py [--quick] [--source TABLE] [--json FILE] [--picture FILE]

Stages take turns, each run from an empty cache. Without a source, rows are generated. Then tables
of growing size are prepared, each by a process of its own whose memory (with its children's) is
sampled: time should be linear in the rows, memory flat but for the bytes a row that must be kept.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

os.environ |= {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}

from generated import write_postings
from machine import describe, sentence
from memory import Memory, memory_of
from stages import Setting, datasets_map, seconds, stages, time_stages

from careergpt.data.processes import processes
from careergpt.data.tokens import load_tokenizer
from careergpt.data.whole_files import write_json

PEER = "datasets.map, tokenize"
TOKENIZER = Path(__file__).parents[1] / "data" / "tokenizer"


class Row(NamedTuple):
    """A stage: the rows that it handles, and the seconds of each run."""

    stage: str
    rows: int
    seconds: list[float]

    @property
    def rows_per_s(self) -> float:
        """By the median run."""
        return self.rows / statistics.median(self.seconds)


class Size(NamedTuple):
    """A table of so many rows: seconds of each stage, memory before and at most, in MiB."""

    rows: int
    seconds: dict[str, float]
    start: Memory
    peak: Memory


def time_rows(setting: Setting, runs: int) -> list[Row]:
    """Every stage and the peer, in turns: a slow minute of the machine meets all of them."""
    contenders = {**stages(setting), PEER: datasets_map(setting)}
    rows = {name: Row(name, 0, []) for name in contenders}
    for _ in range(runs):
        for name, stage in contenders.items():
            took, handled = seconds(stage)
            rows[name] = Row(name, handled, [*rows[name].seconds, took])
    return list(rows.values())


def scale(setting: Setting, rows: int) -> Size:
    """Times the stages in a fresh process, and watches what it and its children hold."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        process = fresh.submit(os.getpid).result()
        start = peak = memory_of(process)
        timed = fresh.submit(time_stages, setting)
        while not timed.done():
            peak = peak.most(memory_of(process))
            time.sleep(0.05)
        return Size(rows, timed.result(), start, peak)


def words_of(tokenizer: str) -> list[str]:
    """The vocabulary's whole words, the most frequent first."""
    ids = load_tokenizer(tokenizer).get_vocab()
    words = [token[1:] for token in sorted(ids, key=ids.__getitem__) if token[0] == "\u0120"]
    return [word for word in words if word.isascii() and word.isalpha() and len(word) > 1]


def table(rows: Sequence[Row]) -> str:
    """The stages in Markdown."""
    lines = ["| stage | rows | rows/s | slowest to fastest |", "|---|---:|---:|---:|"]
    for row in rows:
        slowest, fastest = row.rows / max(row.seconds), row.rows / min(row.seconds)
        spread = f"{slowest:,.0f} to {fastest:,.0f}"
        lines.append(f"| {row.stage} | {row.rows:,} | {row.rows_per_s:,.0f} | {spread} |")
    return "\n".join(lines)


def scaling_table(sizes: Sequence[Size]) -> str:
    """Rows a second of each stage by size, and memory."""
    timed = [f"{name}: s (rows/s)" for name in sizes[0].seconds]
    head = ["rows", *timed, "own MiB, start to peak", "mapped MiB"]
    lines = [head, ["---:"] * len(head)]
    for size in sizes:
        times = [f"{took:.1f} ({size.rows / took:,.0f})" for took in size.seconds.values()]
        memory = [f"{size.start.own:.0f} to {size.peak.own:.0f}", f"{size.peak.mapped:.0f}"]
        lines.append([f"{size.rows:,}", *times, *memory])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def draw(sizes: Sequence[Size], path: Path) -> None:
    """Seconds and peak memory against rows, both axes from zero: straight lines are linear."""
    import matplotlib

    matplotlib.use("Agg")  # No screen is needed.
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    rows = [size.rows for size in sizes]
    for name in sizes[0].seconds:
        left.plot(rows, [size.seconds[name] for size in sizes], marker="o", label=name)
    right.plot(rows, [size.peak.own for size in sizes], marker="o", label="own")
    right.plot(rows, [size.peak.mapped for size in sizes], marker="o", label="mapped files")
    left.set_ylabel("seconds")
    right.set_ylabel("peak MiB, all processes")
    for axes in (left, right):
        axes.set_xlabel("rows")
        axes.set_xlim(0)
        axes.set_ylim(0)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, prints the tables, writes JSON and picture."""
    args = parsed(argv)
    with tempfile.TemporaryDirectory(prefix="careergpt-bench-") as folder:
        words = words_of(args.tokenizer)

        def generated(rows: int) -> Setting:
            room = Path(folder, str(rows))
            room.mkdir(exist_ok=True)
            write_postings(room / "postings.csv", rows, words)
            source = str(room / "postings.csv")
            return Setting(source, args.tokenizer, args.processes, str(room))

        first = generated(args.sizes[0])
        setting = first._replace(source=args.source or first.source)
        rows = time_rows(setting, args.runs)
        print(f"{sentence()}; {args.processes} processes, {args.runs} runs\n\n{table(rows)}\n")
        sizes = [scale(generated(size), size) for size in args.sizes]
        print(scaling_table(sizes))
    if args.json:
        write_json(Path(args.json), found(rows, sizes, args))
    if args.picture:
        draw(sizes, Path(args.picture))


def found(rows: Sequence[Row], sizes: Sequence[Size], args: argparse.Namespace) -> dict[str, Any]:
    """What the JSON file holds."""
    scaling = [
        {**size._asdict(), "start": size.start._asdict(), "peak": size.peak._asdict()}
        for size in sizes
    ]
    return {
        "rows": [{**row._asdict(), "rows_per_s": row.rows_per_s} for row in rows],
        "scaling": scaling,
        "processes": args.processes,
        "machine": describe(),
    }


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command's arguments; --quick sets fewer runs and sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", help="a table to time the stages on; default: generated rows")
    parser.add_argument("--tokenizer", default=str(TOKENIZER))
    parser.add_argument("--processes", type=int, default=processes(None))
    parser.add_argument("--runs", type=int, default=None, help="of each stage: 5, or 3 if quick")
    parser.add_argument("--sizes", type=int, nargs="+", default=None, help="rows, growing")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--picture")
    args = parser.parse_args(argv)
    if args.picture and find_spec("matplotlib") is None:
        parser.error("--picture needs matplotlib: pip install -e '.[bench]'")
    args.runs = args.runs or (3 if args.quick else 5)
    args.sizes = args.sizes or ([10_000, 30_000] if args.quick else [10_000, 30_000, 100_000])
    return args


if __name__ == "__main__":
    main()
