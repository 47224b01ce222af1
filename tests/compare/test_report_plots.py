"""Laws of the report's plots and shades: where things stand, and what they are sums of."""

import math
from dataclasses import replace

import pytest

from careergpt.compare.comparison import Comparison, PairedScore, Word
from careergpt.compare.report import numbers, plots
from careergpt.compare.report.panels import by_task, by_title
from careergpt.compare.report.rows import headline
from careergpt.compare.report.shades import shaded
from careergpt.compare.statistics import Interval


def test_points_below_the_diagonal_got_easier(comparison: Comparison) -> None:
    drawn = plots.scatter(comparison.scores, same_tokenizer=True)
    assert drawn is not None
    for dot in drawn.dots:
        before, after = dot.score.nats
        below = 100 - dot.y < dot.x
        assert (dot.change == "easier") == (after < before)
        assert below == (after < before) or 100 - dot.y == dot.x
    assert drawn.easier == sum(dot.change == "easier" for dot in drawn.dots)


def test_what_did_not_change_got_neither_easier_nor_harder(comparison: Comparison) -> None:
    scores = [s._replace(nats=(s.nats[0], s.nats[0])) for s in comparison.scores]
    drawn, panel = plots.scatter(scores, same_tokenizer=True), by_title(scores, same_tokenizer=True)
    assert drawn is not None
    assert panel is not None
    assert {dot.change for dot in drawn.dots} == {"same"}
    assert {row.verdict for row in panel.rows} == {"no difference found"}
    assert drawn.easier == 0


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
    assert [tick.label for tick in found] == labels
    assert all(0 <= tick.at <= 100 for tick in found)


@pytest.mark.parametrize("same_tokenizer", [True, False])
def test_a_title_is_summed_before_it_is_divided(same_tokenizer: bool) -> None:
    def score(record: str, title: str, units: int, change: float) -> PairedScore:
        nats = (3.0 * units, (3.0 + change) * units)
        tokens = (units, units if same_tokenizer else 2 * units)
        return PairedScore(record, "describe", title, "p", "c", units, nats, tokens)

    scores = [score("a", "Nurse", 10, -1.0), score("a", "Nurse", 30, 0.0)]
    panel = by_title([*scores, score("c", "Cook", 5, -2.0)], same_tokenizer)
    assert panel is not None
    per_unit = 1.0 if same_tokenizer else 1 / math.log(2)
    found = [(row.label, row.n, row.difference.estimate / per_unit) for row in panel.rows]
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
    assert [row.difference for row in panel.rows] == expected
    found = headline(comparison)
    assert found is not None
    assert (found.metric.name, found.task) == (metric, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (numbers.number(-0.0004, 3), "0.000"),
        (numbers.number(-1234.5, 1), "−1,234.5"),
        (numbers.number(8.2e307), "8.20e+307"),
        (numbers.signed(0.5), "+0.500"),
        (numbers.signed(-0.5), "−0.500"),
        (numbers.signed(0.0004, 3), "0.000"),
        (numbers.share(0.004), "<\u00a01\u00a0%"),
        (numbers.share(0.999), ">\u00a099\u00a0%"),
        (numbers.share(1.0), "100\u00a0%"),
        (numbers.p_value(0.0), "<\u00a00.001"),
        (numbers.p_value(0.0312), "0.031"),
        (numbers.brief(120.0, 3), "120"),
        (numbers.brief(30.333), "30.33"),
    ],
)
def test_numbers_claim_no_more_than_they_know(words: str, expected: str) -> None:
    assert words == expected


def test_shading_keeps_the_text_and_grows_with_surprise() -> None:
    words = [Word(f"\n word{k}", nats) for k, nats in enumerate([0.1, 1, 3, 5, 8, 10, 99, 1e9])]
    found = shaded(words).shown
    assert [word.place for word in found] == [0, 1, 2, 3, 4, 5, 6, 6]
    assert "".join(w.space + w.text for w in found) == "".join(w.text for w in words).lstrip()
    assert shaded([Word("x", math.nan)]).shown[0].place == -1


def test_zero_is_the_middle_of_a_row() -> None:
    mark = plots.symmetric_mark(Interval(-1.0, -2.0, 0.5))
    assert mark is not None
    assert mark.low < mark.at < 50 < mark.high < 100
    mirrored = plots.symmetric_mark(Interval(1.0, -0.5, 2.0))
    assert mirrored is not None
    assert mirrored.at == pytest.approx(100 - mark.at)
    assert plots.symmetric_mark(Interval(math.nan, 0.0, 1.0)) is None


def test_unknown_bounds_span_the_row() -> None:
    mark = plots.symmetric_mark(Interval(-1.0, -math.inf, math.inf))
    assert mark is not None
    assert (mark.low, mark.high, mark.bounded) == (0, 100, False)
