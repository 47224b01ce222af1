"""What is said where there are too few titles to show a difference."""

import numpy as np
import pytest

from careergpt.compare.facts import limits_of_statistics
from careergpt.compare.findings import Paired, findings
from careergpt.compare.metrics import LOSS, REP_4


def clear(metric, titles: int) -> Paired:  # type: ignore[no-untyped-def]
    """Better on every record, each of a title of its own: the clearest difference there is."""
    ones = np.ones(titles)
    return Paired(
        metric,
        "",
        ones + np.arange(titles),
        np.arange(titles) * 1.0,
        ones,
        list("abcdefghijklmnopqrstuvwx")[:titles],
    )


@pytest.mark.parametrize("titles", range(2, 12))
@pytest.mark.parametrize("others", [0, 24])
def test_no_difference_can_be_found_where_it_is_said_so_and_nowhere_else(
    titles: int, others: int
) -> None:
    found = findings([clear(LOSS, titles), *([clear(REP_4, others)] if others else [])])
    said = " ".join(limits_of_statistics(found))
    assert ("no difference can be found" in said) == (found[0].verdict == "no difference found")


@pytest.mark.parametrize("titles", [6, 7])
def test_the_more_metrics_the_more_titles_are_needed(titles: int) -> None:
    """Six titles suffice for one metric, and not for two of which none is over more."""
    found = findings([clear(LOSS, titles), clear(REP_4, titles)])
    said = " ".join(limits_of_statistics(found))
    assert ("With 6 titles and 2 metrics no difference" in said) == (titles == 6)
    assert {one.verdict for one in found} == {"no difference found" if titles == 6 else "better"}
