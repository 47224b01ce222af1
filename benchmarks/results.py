"""From steps to rows: rates with their spread, ratios, shares; as a table and as a picture."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from turns import Report, Step
from workload import Turns


class Row(NamedTuple):
    """A contender's result.

    Attributes:
        name: The contender.
        useful_tokens_per_s: Scored tokens a second, median over rounds.
        spread: The slowest and the fastest round.
        peak_gib: The most memory that its process held (on CUDA: of the GPU).
        ratio: Our median in the rounds that we shared, divided by its.
        mfu: Operations that its useful tokens need, as a share of the probed rate.
        padding: Padding's share of the processed tokens of all rounds.
        rounds: Useful tokens a second of each round.
    """

    name: str
    useful_tokens_per_s: float
    spread: tuple[float, float]
    peak_gib: float
    ratio: float
    mfu: float
    padding: float
    rounds: list[float]


class Round(NamedTuple):
    """What the probe, ours and another contender report of a turn each."""

    probe: Report
    ours: Report
    other: Report


def timed(report: Report, turns: Turns) -> Step:
    """The timed steps of a turn, summed."""
    return Step(*map(sum, zip(*report.steps[-turns.timed :], strict=True)))


def results(
    ours: str, rounds: Mapping[str, Sequence[Round]], turns: Turns, possible: float
) -> list[Row]:
    """The rows, ours first; `possible` useful tokens a second are what the probed rate allows."""

    def row(name: str, reports: Sequence[Report], our_rate: float | None = None) -> Row:
        steps = [timed(report, turns) for report in reports]
        rates = [step.useful / step.seconds for step in steps]
        rate = statistics.median(rates)
        return Row(
            name,
            rate,
            spread=(min(rates), max(rates)),
            peak_gib=max(report.peak_gib for report in reports),
            ratio=(our_rate or rate) / rate,
            mfu=rate / possible,
            padding=sum(step.padding for step in steps) / sum(step.processed for step in steps),
            rounds=rates,
        )

    rows = [row(ours, [each.ours for found in rounds.values() for each in found])]
    for name, found in rounds.items():
        beside = row(ours, [each.ours for each in found]).useful_tokens_per_s
        rows.append(row(name, [each.other for each in found], beside))
    return rows


def table(rows: Sequence[Row], failed: Mapping[str, str]) -> str:
    """The rows in Markdown."""
    head = ["", "useful tokens/s", "slowest to fastest", "ours is", "share of probed rate"]
    lines = [[*head, "peak GiB", "padding"], ["---", *["---:"] * 6]]
    for row in rows:
        slowest, fastest = row.spread
        lines.append(
            [
                row.name,
                f"{row.useful_tokens_per_s:,.0f}",
                f"{slowest:,.0f} to {fastest:,.0f}",
                f"{row.ratio:.2f} x",
                f"{row.mfu:.0%}",
                f"{row.peak_gib:.1f}",
                f"{row.padding:.0%}",
            ]
        )
    lines += [[name, f"fails: {reason}", *[""] * 5] for name, reason in failed.items()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def draw(found: Mapping[str, Sequence[Row]], path: Path, title: str) -> None:
    """A panel for each precision, in it a bar for each row.

    A bar's length is the median, its whiskers are the slowest and the fastest round.
    """
    if find_spec("matplotlib") is None:
        print(
            "no picture: matplotlib is not installed (pip install -e '.[bench]')", file=sys.stderr
        )
        return
    import matplotlib

    matplotlib.use("Agg")  # No screen is needed.
    from matplotlib import pyplot

    bars = max(map(len, found.values()))
    figure, panels = pyplot.subplots(
        len(found), figsize=(8, (0.55 * bars + 0.8) * len(found) + 0.6),
        layout="constrained", sharex=True, squeeze=False,
    )  # fmt: skip
    for axes, (precision, rows) in zip(panels[:, 0], found.items(), strict=True):
        _draw_bars(axes, rows)
        axes.set_title(precision, fontsize=9, loc="left")
    axes.set_xlabel("useful tokens per second (median; whiskers: slowest and fastest round)")
    figure.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _draw_bars(axes: Any, rows: Sequence[Row]) -> None:
    names = [row.name for row in rows][::-1]
    rates = [row.useful_tokens_per_s for row in rows][::-1]
    below = [row.useful_tokens_per_s - row.spread[0] for row in rows][::-1]
    above = [row.spread[1] - row.useful_tokens_per_s for row in rows][::-1]
    colours = ["#1b6ca8" if name.startswith("careergpt") else "#b8bcc2" for name in names]
    axes.barh(names, rates, color=colours, height=0.65)
    axes.errorbar(rates, names, xerr=[below, above], fmt="none", ecolor="#333333", capsize=3)
    for place, (rate, over) in enumerate(zip(rates, above, strict=True)):
        axes.annotate(
            f"{rate:,.0f}", (rate + over, place), (6, 0), textcoords="offset points", va="center"
        )
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(left=False)
