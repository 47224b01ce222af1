"""Laws of duplicates: texts that differ in a few words form a group, and no other texts do."""

import itertools
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from careergpt.data.names import key_words
from careergpt.data.splits import NEAR_DUPLICATE, SHINGLE_WORDS, groups, near_pairs, signature

WORDS = [f"word{number}" for number in range(2000)]


def text_of_words(seed: int, count: int = 200) -> list[str]:
    return random.Random(seed).choices(WORDS, k=count)


def similarity(left: list[str], right: list[str]) -> float:
    """Jaccard similarity of five-word shingles, counted out."""

    def shingles(words: list[str]) -> set[tuple[str, ...]]:
        starts = range(len(words) - SHINGLE_WORDS + 1)
        return {tuple(words[start : start + SHINGLE_WORDS]) for start in starts}

    one, other = shingles(left), shingles(right)
    return len(one & other) / len(one | other)


def group_of(texts: list[str]) -> list[int]:
    pairs = near_pairs([signature(key_words(text)) for text in texts], NEAR_DUPLICATE)
    return list(groups(len(texts), pairs))


@given(
    st.integers(0, 10_000),
    st.lists(st.tuples(st.sampled_from("drop add swap".split()), st.integers(0, 199)), max_size=2),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_text_and_its_edit_are_in_one_group(seed: int, edits: list[tuple[str, int]]) -> None:
    # So long that the estimate of their likeness, .95, is seven of its errors from the bound.
    words = text_of_words(seed, 400)
    edited = list(words)
    for edit, place in edits:
        edited[place : place + (edit != "add")] = [] if edit == "drop" else ["new"]
    stranger = text_of_words(seed + 1, 400)
    assert similarity(words, edited) > 0.94
    texts = [" ".join(words), " ".join(stranger), " ".join(edited)]
    assert group_of(texts) == [0, 1, 0]


@given(st.lists(st.text(), max_size=6))
@settings(max_examples=50, deadline=None)
def test_case_and_punctuation_make_no_other_text(words: list[str]) -> None:
    text = " ".join(words)
    assert key_words(text.upper().lower()) == key_words(text.upper())
    assert np.array_equal(signature(key_words(text)), signature(key_words(f"  {text}!!  ")))


def test_the_estimate_is_near_the_true_similarity() -> None:
    errors = []
    for seed in range(30):
        words = text_of_words(seed)
        edited = [*words[:170], *text_of_words(seed + 100, 30)]
        pair = [signature(words), signature(edited)]
        _, _, estimate = next(near_pairs(pair, 0.3))
        errors.append(estimate - similarity(words, edited))
    assert abs(np.mean(errors)) < 0.025
    assert np.abs(errors).max() < 4 * 0.045


def test_pairs_below_the_threshold_are_no_pairs() -> None:
    words = text_of_words(0)
    half = [*words[:100], *text_of_words(1, 100)]
    pair = [signature(words), signature(half)]
    assert similarity(words, half) < 0.5
    assert not list(near_pairs(pair, NEAR_DUPLICATE))


def test_every_pair_is_at_least_as_similar_as_asked() -> None:
    found = []
    for seed in range(40):
        words = text_of_words(seed)
        edited = [*words[:170], *text_of_words(seed + 100, 30)]
        pair = [signature(words), signature(edited)]
        found.append([estimate for *_, estimate in near_pairs(pair, NEAR_DUPLICATE)])
    assert 0 < sum(map(bool, found)) < 40
    assert min(itertools.chain(*found)) >= NEAR_DUPLICATE


def test_pairs_are_fewer_than_texts_in_each_band_and_connect_what_all_pairs_connect() -> None:
    words = text_of_words(0)
    texts = [[*words[:place], "town", *words[place:]] for place in range(0, 200, 4)]
    texts += [text_of_words(seed) for seed in range(1, 50)]
    sketches = [signature(text) for text in texts]
    found = list(near_pairs(sketches, NEAR_DUPLICATE))
    assert len(found) < 50 * 9
    # Counted out, over all pairs.
    everyone = [
        (one, other, 1.0)
        for one, other in itertools.combinations(range(len(texts)), 2)
        if np.mean(sketches[one] == sketches[other]) >= NEAR_DUPLICATE
    ]
    count = len(texts)
    assert groups(count, found).tolist() == groups(count, everyone).tolist()


def test_no_text_has_no_pairs() -> None:
    assert list(near_pairs([], NEAR_DUPLICATE)) == []
    assert list(near_pairs([signature(["one"])], NEAR_DUPLICATE)) == []


def test_a_signature_is_the_same_on_every_machine() -> None:
    first = signature(key_words("We look for a nurse who is kind and patient."))[:4]
    assert first.dtype == np.uint32
    assert first.tolist() == [246723077, 267948046, 74573900, 722751662]


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_groups_are_what_chains_of_pairs_connect(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    item = st.integers(0, count - 1)
    pairs = data.draw(st.lists(st.tuples(item, item, st.just(1.0)), max_size=15))
    reached = np.eye(count, dtype=bool)
    for left, right, _ in pairs:
        reached[left, right] = reached[right, left] = True
    for middle in range(count):
        reached |= np.outer(reached[:, middle], reached[middle])
    assert list(groups(count, pairs)) == [int(row.argmax()) for row in reached]
