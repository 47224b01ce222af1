"""Laws of margins and gates: what is refused, what is judged, and what is said."""

import math

import pytest

from careergpt.compare.comparison import Finding, Metric
from careergpt.compare.conditions import broken, check_conditions, margins_of
from careergpt.compare.metrics import ANSWERS, BITS, LOSS, METRICS, MRR
from careergpt.compare.statistics import Interval
from careergpt.errors import InputError


def finding(metric: Metric, low: float, high: float, task: str = "", model: str = "a") -> Finding:
    apart = Interval((low + high) / 2, low, high)
    return Finding(
        metric, task, 9, 9, 1.0, 1.0, apart, 0.1, 0.5, 0.5, 0.5, "no difference found", model=model
    )


@pytest.mark.parametrize(
    ("low", "high", "passes"),
    [(-0.3, -0.1, True), (-0.3, -0.05, True), (-0.3, 0.0, False), (-math.inf, math.inf, False)],
)
def test_a_gate_judges_the_interval_s_worse_bound(low: float, high: float, passes: bool) -> None:
    assert (broken("loss<=-0.05", [finding(LOSS, low, high)]) == "") is passes
    assert (broken("relevance_mrr>=0.05", [finding(MRR, -high, -low)]) == "") is passes


def test_the_line_says_which_model_and_by_how_much() -> None:
    told = broken(
        "loss<=-0.05, mrr>=0",
        [
            finding(LOSS, -0.3, -0.1, model="good"), finding(LOSS, -0.03, 0.01, model="bad"),
            finding(MRR, 0.1, 0.2), finding(LOSS, 5, 6, "describe", model="good"),
        ],
    )  # fmt: skip
    assert "loss<=-0.05" in told
    assert "bad" in told
    assert "0.06 beyond" in told
    assert "-0.01" in told
    assert "good" not in told
    assert "mrr" not in told
    assert broken("", [finding(LOSS, 5, 6)]) == ""


def test_what_was_not_measured_does_not_pass() -> None:
    assert "mrr" in broken("loss<=0,mrr>=0", [finding(LOSS, -2, -1)])


@pytest.mark.parametrize(
    ("equivalence", "gate", "said"),
    [
        ("", "loss", "'loss' is no condition"),
        ("", "loss<=", "no condition"),
        ("", "loss<=nan", "no condition"),
        ("", "loss=1", "METRIC<=NUMBER or METRIC>=NUMBER"),
        ("", "loss<=0,", "no condition"),
        ("", "lost<=0", "no metric 'lost'"),
        ("", "bits_per_byte<=0", "not measured here"),
        ("loss=0", "", "above 0"),
        ("loss<=1", "", "METRIC=NUMBER"),
        ("distinct_1=0.1", "", "no metric"),
    ],
)
def test_a_mistake_is_told_in_one_line(equivalence: str, gate: str, said: str) -> None:
    with pytest.raises(InputError, match=r"--gate|--equivalence") as caught:
        check_conditions(equivalence, gate, METRICS, (BITS,))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_metric_goes_by_its_name_or_its_label() -> None:
    assert margins_of("loss=0.02,relevance_mrr=0.05", METRICS) == {"loss": 0.02, "mrr": 0.05}
    for metric in ANSWERS:
        assert margins_of(f"{metric.name}=1", METRICS) == {metric.name: 1.0}
