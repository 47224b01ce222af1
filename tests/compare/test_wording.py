"""Laws of the sentences that a comparison comes to."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careergpt.compare.comparison import DataFacts, Finding, Metric
from careergpt.compare.figures import sizes
from careergpt.compare.metrics import (
    ANSWERS,
    BITS,
    ENDED,
    LENGTH,
    LOSS,
    REP_4,
    TITLE_GAIN,
    TITLE_GAIN_BITS,
)
from careergpt.compare.statistics import Interval, Verdict, judge
from careergpt.compare.wording import in_plain_words, verdict

DATA = DataFacts("jobs.csv", True, 9000, 794, 1588, 682, 0, 0)
SAME = "No difference found: both models give every record exactly the same score."


def finding(
    metric: Metric,
    baseline: float,
    finetuned: float,
    *,
    half: float = 0.02,
    p: float = 0.0005,
    task: str = "",
) -> Finding:
    """A finding whose interval reaches `half` to either side of the difference."""
    apart = finetuned - baseline
    interval = Interval(apart, apart - half, apart + half)
    said = judge(interval, p, metric.better)
    return Finding(metric, task, 794, 682, baseline, finetuned, interval, 0.3, 0.6, p / 9, p, said)


def equal(metric: Metric) -> Finding:
    found = finding(metric, 3.0, 3.0, half=0.0, p=1.0)
    return found._replace(effect=math.nan, wins=0.5)


# A perplexity of 52.0 falls to 41.2.
LOWER_LOSS = finding(LOSS, math.log(52.0), math.log(41.2))

findings_of_a_metric = st.builds(
    finding,
    st.sampled_from([TITLE_GAIN, *ANSWERS]),
    st.floats(-5, 5),
    st.floats(-5, 5),
    half=st.floats(0.01, 5),
    p=st.floats(0, 1),
)


def test_a_better_loss_is_said_in_perplexity_with_its_certainty() -> None:
    assert verdict([LOWER_LOSS], DATA, True) == (
        "Fine-tuned is better: its perplexity on 794 unseen records (682 titles) is 41.2 where the "
        "baseline's is 52.0, 0.233 nats a token less (95 % interval 0.213 to 0.253, p < 0.001).",
    )


def test_a_worse_loss_is_said_to_be_worse() -> None:
    worse = finding(LOSS, math.log(41.2), math.log(52.0), p=0.0123)
    assert verdict([worse], DATA, True) == (
        "Fine-tuned is worse: its perplexity on 794 unseen records (682 titles) is 52.0 where the "
        "baseline's is 41.2, 0.233 nats a token more (95 % interval 0.213 to 0.253, p = 0.012).",
    )


def test_a_loss_within_chance_is_no_difference_found() -> None:
    within = finding(LOSS, 4.0, 3.99, p=0.4)
    assert verdict([within], DATA, True) == (
        "No difference found: the fine-tuned model's perplexity on 794 unseen records (682 titles) "
        "is 54.1 where the baseline's is 54.6, a difference of -0.0100 nats a token "
        "(95 % interval -0.0300 to 0.0100, p = 0.400).",
    )


def test_other_tokenizers_are_compared_by_bits_a_byte() -> None:
    found = [LOWER_LOSS, finding(BITS, 1.2, 1.0), finding(TITLE_GAIN_BITS, 0.01, 0.05)]
    first, second = verdict(found, DATA, False)
    assert first == (
        "Fine-tuned is better: its surprise in bits a byte on 794 unseen records (682 titles) is "
        "1.00 where the baseline's is 1.20, 0.200 bits a byte less "
        "(95 % interval 0.180 to 0.220, p < 0.001)."
    )
    assert "saves the fine-tuned model 0.0500 bits a byte" in second


def test_the_titles_worth_is_said_in_the_headlines_unit() -> None:
    found = [
        LOWER_LOSS,
        finding(BITS, 1.2, 1.0),
        finding(TITLE_GAIN, 0.01, 0.05),
        finding(TITLE_GAIN_BITS, 0.02, 0.06),
    ]
    for same_tokenizer, unit, other in ((True, "nats", "bits"), (False, "bits", "nats")):
        said = verdict(found, DATA, same_tokenizer)
        assert len(said) == 2
        assert unit in said[1]
        assert other not in said[1]


@pytest.mark.parametrize(
    ("p", "said"),
    [(0.0, "p < 0.001"), (0.00099, "p < 0.001"), (0.001, "p = 0.001"), (1.0, "p = 1.000")],
)
def test_p_is_said_to_three_digits(p: float, said: str) -> None:
    assert f", {said})." in verdict([finding(LOSS, 3.0, 2.0, p=p)], DATA, True)[0]


@pytest.mark.parametrize(("perplexity", "above"), [(60.0, True), (30.0, False)])
def test_better_than_the_baseline_is_said_beside_the_floor(perplexity: float, above: bool) -> None:
    found = LOWER_LOSS._replace(trigram=math.log(perplexity), wins=0.972)
    sentences = verdict([found], DATA, same_tokenizer=True)
    assert f"has a perplexity of {perplexity:.1f}" in sentences[1]
    assert ("model beats this floor" in sentences[1]) is above
    said = in_plain_words([found], DATA, same_tokenizer=True)
    assert said.startswith("Out of 100 unseen texts, the fine-tuned model guesses the words of 97")
    assert ("It also guesses better" in said) is above
    assert "nats" not in said


@pytest.mark.parametrize(
    ("wins", "said"), [(0.999, "of 99 "), (1.0, "of 100 "), (0.001, "of 1 "), (0.0, "of 0 ")]
)
def test_what_is_not_all_or_none_is_not_rounded_to_it(wins: float, said: str) -> None:
    found = LOWER_LOSS._replace(wins=wins)
    assert said in in_plain_words([found], DATA, same_tokenizer=True)
    unknown = DATA._replace(kept_out=False)
    assert "unseen" not in in_plain_words([found], unknown, same_tokenizer=True)


def test_plain_words_call_chance_chance_and_equal_equal() -> None:
    chance = finding(LOSS, 3.0, 3.001, half=0.02, p=0.9)
    assert "which may be chance" in in_plain_words([chance], DATA, same_tokenizer=True)
    assert "equally well" in in_plain_words([equal(LOSS)], DATA, same_tokenizer=True)


def test_the_headline_is_over_all_tasks() -> None:
    of_a_task = finding(LOSS, 2.0, 3.0, task="describe")
    assert verdict([of_a_task, LOWER_LOSS], DATA, True) == verdict([LOWER_LOSS], DATA, True)


def test_several_models_are_ranked_and_each_is_called_by_its_name() -> None:
    a, b = (LOWER_LOSS._replace(model=name) for name in ("a", "b"))
    b = b._replace(verdict="no difference found", detectable=0.0123, margin=0.02, equivalent=True)
    ranks = {
        "loss": {"baseline": Interval(3, 2, 3), "a": Interval(1, 1, 1), "b": Interval(2, 2, 3)}
    }
    said = verdict([a, b, equal(REP_4)._replace(model="a")], DATA, True, ranks)
    assert said[0].endswith(": a 1; b 2 (2 to 3); baseline 3 (2 to 3).")
    assert said[1].startswith("a is better: its perplexity")
    assert said[2].startswith("No difference found: b's perplexity")
    assert said[-1] == "b is equivalent to the baseline within: Loss, nats a token, ±0.02."
    assert not any("fine-tuned" in sentence for sentence in said)
    assert sizes(b) == ["would find ±0.0123 in 8 of 10 cases", "equivalent within ±0.02"]
    plain = in_plain_words([a, b], DATA, same_tokenizer=True)
    assert "a guesses the words" in plain
    assert "b guesses the words" in plain


def test_equal_scores_are_said_to_be_equal_and_nothing_else() -> None:
    assert verdict([equal(m) for m in (LOSS, TITLE_GAIN, REP_4)], DATA, True) == (SAME,)
    of_one_title = equal(LOSS)._replace(difference=Interval(0.0, -math.inf, math.inf))
    assert verdict([of_one_title], DATA, True) == (SAME,)


@pytest.mark.parametrize(
    "unequal",
    [
        [finding(LOSS, 3.0, 3.0)],  # Equal means of unequal scores.
        [finding(LOSS, 3.0, 2.0)._replace(effect=math.nan)],  # All apart by the same.
        [equal(LOSS), finding(REP_4, 0.3, 0.3, p=1.0)],
        [equal(LOSS), finding(REP_4, 0.3, 0.1)],
    ],
)
def test_unequal_scores_are_not_said_to_be_equal(unequal: list[Finding]) -> None:
    assert SAME not in verdict(unequal, DATA, True)


def test_one_title_is_said_to_give_no_interval() -> None:
    one = LOWER_LOSS._replace(
        difference=Interval(-0.2, -math.inf, math.inf), verdict="no difference found", p_holm=1.0
    )
    [said] = verdict([one], DATA._replace(records=1, titles=1), True)
    assert "on 1 unseen record (1 title) is" in said
    assert "-0.200 nats a token (of one title, so without an interval, p = 1.000)" in said


@pytest.mark.parametrize(
    ("baseline", "finetuned", "p", "said"),
    [
        (
            0.02,
            0.15,
            0.0,
            "To the fine-tuned model the title is worth 0.130 nats a token more (95 % interval "
            "0.110 to 0.150, p < 0.001): it saves the fine-tuned model 0.150 nats a token and "
            "saves the baseline 0.0200 nats a token.",
        ),
        (
            0.02,
            -0.15,
            0.0,
            "To the fine-tuned model the title is worth 0.170 nats a token less (95 % interval "
            "0.150 to 0.190, p < 0.001): it misleads the fine-tuned model by 0.150 nats a token "
            "and saves the baseline 0.0200 nats a token.",
        ),
        (
            -0.25,
            -0.15,
            0.03,
            "To the fine-tuned model the title is worth 0.100 nats a token more (95 % interval "
            "0.0800 to 0.120, p = 0.030): it misleads the fine-tuned model by 0.150 nats a token "
            "and misleads the baseline by 0.250 nats a token.",
        ),
        (
            0.0,
            0.01,
            0.5,
            "No difference found in what the title is worth, a difference of 0.0100 nats a token "
            "(95 % interval -0.0100 to 0.0300, p = 0.500): it saves the fine-tuned model 0.0100 "
            "nats a token and is worth nothing to the baseline.",
        ),
    ],
)
def test_the_titles_worth_is_said_of_both_models(
    baseline: float, finetuned: float, p: float, said: str
) -> None:
    found = [LOWER_LOSS, finding(TITLE_GAIN, baseline, finetuned, p=p)]
    assert verdict(found, DATA, True)[1:] == (said,)


def test_answers_are_said_by_verdict_the_better_first() -> None:
    found = [
        LOWER_LOSS,
        finding(LENGTH, 90.0, 120.0, half=10),
        finding(ENDED, 0.9, 0.5, half=0.1),
        finding(ANSWERS[3], 0.31, 0.30, p=0.7),
        finding(REP_4, 0.5, 0.1, half=0.1),
        finding(ANSWERS[4], 0.21, 0.20, p=0.8),
    ]
    assert verdict(found, DATA, True)[1:] == (
        "The fine-tuned model's answers are better in rep-4 (0.100 against 0.500, p < 0.001).",
        "The fine-tuned model's answers are worse in Ended by itself (0.500 against 0.900, "
        "p < 0.001).",
        "The fine-tuned model's answers differ, for neither better nor worse, in Length, tokens "
        "(120 against 90.0, p < 0.001).",
        "No difference found in Skills, precision; Skills, recall.",
    )


@given(st.lists(findings_of_a_metric, unique_by=lambda found: found.metric.name))
def test_every_finding_is_said_once_and_every_claimed_difference_with_its_p(
    found: list[Finding],
) -> None:
    said = verdict([LOWER_LOSS, *found], DATA, True)
    whole = " ".join(said)
    titles = [each for each in found if each.metric == TITLE_GAIN]
    assert len(re.findall("95 % interval", whole)) == 1 + len(titles)
    sure = [e for e in found if e.verdict != "no difference found" or e.metric == TITLE_GAIN]
    assert len(re.findall(r"p = [01]\.\d{3}|p < 0\.001", whole)) == 1 + len(sure)
    for each in found:
        name = "the title is worth" if each.metric == TITLE_GAIN else f" {each.metric.label}"
        assert len(re.findall(re.escape(name) + r"(?=[ ;.,]|$)", whole)) == 1


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 1))
def test_the_words_agree_with_the_finding(baseline: float, finetuned: float, p: float) -> None:
    words: dict[Verdict, str] = {
        "better": "answers are better in",
        "worse": "answers are worse in",
        "different": "answers differ, for neither better nor worse, in",
        "no difference found": "No difference found in",
    }
    for metric in (REP_4, ENDED, LENGTH):
        found = finding(metric, baseline, finetuned, p=p)
        [said] = verdict([LOWER_LOSS, found], DATA, True)[1:]
        assert [kind for kind, word in words.items() if word in said] == [found.verdict]


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0"), (99.94, "99.9"), (99.96, "100"), (1234.5, "1,234"), (1e7, "1.00e+07")],
)
def test_numbers_have_three_digits_or_are_whole(value: float, said: str) -> None:
    [sentence] = verdict([LOWER_LOSS, finding(LENGTH, 5e8, value)], DATA, True)[1:]
    assert f"Length, tokens ({said} against 5.00e+08" in sentence
