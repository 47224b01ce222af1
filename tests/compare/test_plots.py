"""Laws of the report's plots and shades: where things stand, and what they are sums of."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from careergpt.compare import figures, plots
from careergpt.compare.comparison import Comparison
from careergpt.compare.plots import by_task, by_title
from careergpt.compare.report import shaded
from careergpt.compare.scores import rows_of
from careergpt.compare.statistics import Interval
from careergpt.compare.wording import headlines

TableOf = Callable[[list[dict[str, Any]]], pa.Table]


def test_points_below_the_diagonal_got_easier(comparison: Comparison) -> None:
    drawn = plots.scatter(comparison.scores, same_tokenizer=True)
    assert drawn is not None
    for dot in drawn["dots"]:
        easier = dot["after"] < dot["before"]
        below = 100 - dot["y"] < dot["x"]
        assert (dot["change"] == "easier") == easier
        assert below == easier or 100 - dot["y"] == dot["x"]
    assert drawn["easier"] == sum(dot["change"] == "easier" for dot in drawn["dots"])
    losses = rows_of(comparison.scores, "finetuned")
    expected = sorted((losses["nats"] / losses["tokens"]).tolist())
    assert sorted(dot["after"] for dot in drawn["dots"]) == expected


def test_what_did_not_change_got_neither_easier_nor_harder(
    comparison: Comparison, table_of: TableOf
) -> None:
    rows = comparison.scores.to_pylist()
    same = [row | {"nats": rows[n - n % 2]["nats"]} for n, row in enumerate(rows)]
    scores = table_of(same)
    drawn, panel = plots.scatter(scores, same_tokenizer=True), by_title(scores, same_tokenizer=True)
    assert drawn is not None
    assert panel is not None
    assert {dot["change"] for dot in drawn["dots"]} == {"same"}
    assert {row["verdict"] for row in panel["rows"]} == {"no difference found"}
    assert drawn["easier"] == 0


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (1.0, 100.0, ["1", "2", "5", "10", "20", "50", "100"]),
        (12.05, 12.95, ["12.2", "12.4", "12.6", "12.8"]),
        (1.0, 1e12, ["1", "100", "1e4", "1e6", "1e8", "1e10", "1e12"]),
    ],
)
def test_log_ticks_are_round_values(low: float, high: float, labels: list[str]) -> None:
    found = plots.log_ticks(plots.Scale(math.log(low), math.log(high)))
    assert [label for _, label in found] == labels
    assert all(0 <= at <= 100 for at, _ in found)


@pytest.mark.parametrize("same_tokenizer", [True, False])
def test_a_title_is_summed_before_it_is_divided(same_tokenizer: bool, table_of: TableOf) -> None:
    def score(record: str, title: str, units: int, change: float) -> list[dict[str, Any]]:
        one = {"record": record, "title": title, "n_bytes": units}
        tokens = units if same_tokenizer else 2 * units
        return [
            one | {"model": "baseline", "nats": 3.0 * units, "tokens": units},
            one | {"model": "finetuned", "nats": (3.0 + change) * units, "tokens": tokens},
        ]

    rows = [*score("a", "Nurse", 10, -1.0), *score("a", "Nurse", 30, 0.0)]
    panel = by_title(table_of([*rows, *score("c", "Cook", 5, -2.0)]), same_tokenizer)
    assert panel is not None
    per_unit = 1.0 if same_tokenizer else 1 / math.log(2)
    found = [(r["label"], r["n"], r["difference"].estimate / per_unit) for r in panel["rows"]]
    # Two examples of one record are one record.
    assert found == [("Cook", 1, pytest.approx(-2.0)), ("Nurse", 1, pytest.approx(-0.25))]


@pytest.mark.parametrize(("same_tokenizer", "metric"), [(True, "loss"), (False, "bits_per_byte")])
def test_tasks_are_compared_in_the_unit_that_both_models_share(
    comparison: Comparison, same_tokenizer: bool, metric: str
) -> None:
    comparison = replace(comparison, same_tokenizer=same_tokenizer)
    panel = by_task(comparison)
    assert panel is not None
    expected = [f.difference for f in comparison.findings if f.metric.name == metric]
    assert [row["difference"] for row in panel["rows"]] == expected
    [found] = headlines(comparison.findings, same_tokenizer)
    assert (found.metric.name, found.task) == (metric, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (figures.number(-0.0004, 3), "0.000"),
        (figures.number(-1234.5, 1), "−1,234.5"),
        (figures.number(8.2e307), "8.20e+307"),
        (figures.signed(0.5), "+0.500"),
        (figures.signed(-0.5), "−0.500"),
        (figures.signed(0.0004, 3), "0.000"),
        (figures.share(0.004), "<\u00a01\u00a0%"),
        (figures.share(0.999), ">\u00a099\u00a0%"),
        (figures.share(1.0), "100\u00a0%"),
        (figures.p_value(0.0), "<\u00a00.001"),
        (figures.p_value(0.0312), "0.031"),
        (figures.brief(120.0, 3), "120"),
        (figures.brief(30.333), "30.33"),
    ],
)
def test_numbers_claim_no_more_than_they_know(words: str, expected: str) -> None:
    assert words == expected


def test_shading_keeps_the_text_and_grows_with_surprise() -> None:
    words = [(f"\n word{k}", nats) for k, nats in enumerate([0.1, 1, 3, 5, 8, 10, 99, 1e9])]
    found, rest = shaded(words)
    assert [word["place"] for word in found] == [0, 1, 2, 3, 4, 5, 6, 6]
    assert "".join(w["space"] + w["text"] for w in found) == "".join(t for t, _ in words).lstrip()
    assert rest == []
    assert shaded([("x", math.nan)])[0][0]["place"] == -1


def test_zero_is_the_middle_of_a_row() -> None:
    mark = plots.symmetric_mark(Interval(-1.0, -2.0, 0.5))
    assert mark is not None
    assert mark["low"] < mark["at"] < 50 < mark["high"] < 100
    mirrored = plots.symmetric_mark(Interval(1.0, -0.5, 2.0))
    assert mirrored is not None
    assert mirrored["at"] == pytest.approx(100 - mark["at"])
    assert plots.symmetric_mark(Interval(math.nan, 0.0, 1.0)) is None


def test_unknown_bounds_span_the_row() -> None:
    mark = plots.symmetric_mark(Interval(-1.0, -math.inf, math.inf))
    assert mark is not None
    assert (mark["low"], mark["high"], mark["bounded"]) == (0, 100, False)
