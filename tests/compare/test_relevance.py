"""Laws of relevance as retrieval."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity
from transformers import AutoTokenizer

from careergpt.compare import relevance as module
from careergpt.compare.relevance import Cosines, DescriptionIndex, relevance, relevance_bounds
from careergpt.compare.statistics import FloatArray
from careergpt.errors import InputError

VOCABULARY = "ward nurse weld torch steel patient triage lesson pupil school".split()
TITLES = ["Nurse", "Welder", "Teacher"]
queries = st.lists(st.sampled_from(VOCABULARY), max_size=6).map(" ".join)
records = st.lists(
    st.tuples(queries.filter(bool), st.sampled_from(TITLES), st.integers(0, 3)),
    min_size=1,
    max_size=8,
)

WARD = ("ward nurse patient", "Nurse")
NIGHT = ("ward patient triage", "Nurse")
STEEL = ("weld torch steel", "Welder")
PUPIL = ("lesson pupil school", "Teacher")


def index_of(*records: tuple[str, str], groups: list[int] | None = None) -> DescriptionIndex:
    descriptions, titles = zip(*records, strict=True)
    return DescriptionIndex(descriptions, titles, groups or list(range(len(records))))


def rank(index: DescriptionIndex, query: str, title: str, without: set[int]) -> int | None:
    return index.ranks([query], [title], [without])[0]


def brute_force(
    records: list[tuple[str, str, int]], query: str, title: str, without: set[int]
) -> int | None:
    """Sorts what is left in by falling similarity, others first among equals."""
    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    vectors = vectorizer.fit_transform([text for text, _, _ in records])
    cosines = cosine_similarity(vectorizer.transform([query]), vectors)[0]
    left_in = sorted(
        (-round(float(cosine), 9), is_own)
        for cosine, (_, is_own, group) in zip(
            cosines, [(text, name == title, group) for text, name, group in records], strict=True
        )
        if group not in without
    )
    own = [place for place, (_, is_own) in enumerate(left_in, 1) if is_own]
    return own[0] if own else None


@settings(max_examples=200, deadline=None)  # The first call imports scikit-learn's kernels.
@given(records, queries, st.sampled_from(TITLES), st.sets(st.integers(0, 3)))
def test_the_rank_is_the_place_of_the_first_of_its_title_by_cosine(
    records: list[tuple[str, str, int]], query: str, title: str, without: set[int]
) -> None:
    descriptions, titles, groups = zip(*records, strict=True)
    index = DescriptionIndex(descriptions, titles, groups)
    assert rank(index, query, title, without) == brute_force(records, query, title, without)


def test_a_record_does_not_find_its_own_near_duplicates() -> None:
    index = index_of(WARD, WARD, STEEL, ("nurse patient torch", "Nurse"), groups=[0, 0, 2, 3])
    assert rank(index, "weld torch steel", "Nurse", set()) == 2
    assert rank(index_of(WARD, WARD, STEEL, groups=[0, 0, 2]), WARD[0], "Nurse", {0}) is None


@pytest.mark.parametrize("query", ["", "the of and", "unheard", "?!"])
def test_a_query_similar_to_nothing_finds_its_title_last(query: str) -> None:
    assert rank(index_of(WARD, NIGHT, STEEL, PUPIL), query, "Nurse", set()) == 3


def test_another_title_as_similar_comes_first_and_the_own_title_does_not_count() -> None:
    twice = index_of(WARD, WARD, (WARD[0], "Carer"))
    assert rank(twice, WARD[0], "Nurse", set()) == 2
    assert rank(twice, WARD[0], "Carer", set()) == 3


@pytest.mark.parametrize("title", ["nurse", " NURSE ", "Nurse."])
def test_titles_differ_by_words_only(title: str) -> None:
    assert rank(index_of(STEEL, WARD), WARD[0], title, set()) == 1


def test_titles_without_words_are_told_apart() -> None:
    assert rank(index_of(("ward", "護!"), ("weld", "+++")), "ward", "---", set()) is None
    assert rank(index_of(("ward", "***"), ("weld", "+++")), "ward", "+++", set()) == 2


def test_batches_are_bounded_and_do_not_change_the_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of(WARD, NIGHT, STEEL, PUPIL)
    asked = ["ward", "steel", "pupil ward", "", "torch"], ["Nurse", "Teacher"] * 2 + ["Welder"]
    left_out: list[set[int]] = [{0}, set(), {3}, {1}, set()]
    at_once = index.ranks(*asked, left_out)
    sizes = []
    similarities = index._cosines

    def watched(queries: list[str]) -> Cosines:
        sizes.append(len(queries) * 4)
        return similarities(queries)

    monkeypatch.setattr(index, "_cosines", watched)
    monkeypatch.setattr(module, "CELLS_AT_ONCE", 8)
    assert index.ranks(*asked, left_out) == at_once
    assert max(sizes) == 8


def test_descriptions_without_words_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="2 unseen descriptions") as refused:
        index_of(("the", "Nurse"), ("", "Welder"))
    assert "\n" not in str(refused.value)


@given(st.integers(1, 100))
def test_relevance_falls_with_the_rank(rank: int) -> None:
    assert relevance(rank) == {"mrr": 1 / rank, "recall@5": 1.0 if rank <= 5 else 0.0}


def test_real_descriptions_of_the_title_reach_more_than_those_of_another() -> None:
    welders, teachers = (STEEL, ("torch weld", "Welder")), (PUPIL, ("school pupil", "Teacher"))
    index = index_of(WARD, NIGHT, *welders, *teachers)
    # A description finds the other of its title at once; one of another title finds that title's,
    # and then nothing: the own title stands behind three.
    bounds = relevance_bounds(index, range(6), seed=0)
    assert bounds == {
        "mrr": {"ceiling": 1, "floor": 1 / 4},
        "recall@5": {"ceiling": 1, "floor": 1},
    }


def test_the_seed_draws_the_floor_and_leaves_the_ceiling() -> None:
    near = ("patient triage weld", "Welder")
    index = index_of(WARD, NIGHT, STEEL, near, PUPIL)
    bounds = [relevance_bounds(index, [0], seed=seed)["mrr"] for seed in range(10)]
    assert bounds == [relevance_bounds(index, [0], seed=seed)["mrr"] for seed in range(10)]
    assert {bound["ceiling"] for bound in bounds} == {1}
    assert len({bound["floor"] for bound in bounds}) > 1


def test_the_floor_finds_neither_the_record_nor_what_it_is_searched_with() -> None:
    alike = ("ward nurse patient weld", "Welder")
    index = index_of(WARD, alike, ("triage", "Nurse"), ("weld torch", "Welder"))
    floors = [relevance_bounds(index, [0], seed=seed)["mrr"]["floor"] for seed in range(10)]
    assert floors == [1 / 2] * 10


def test_records_without_both_bounds_are_passed_over() -> None:
    # Nothing else is a welder's; the nurse's other description is a near-duplicate of STEEL.
    assert relevance_bounds(index_of(WARD, NIGHT, STEEL), [2], seed=0) == {}
    assert relevance_bounds(index_of(WARD, NIGHT, STEEL, groups=[0, 1, 1]), [0], seed=0) == {}


def test_there_are_no_bounds_where_all_titles_are_one() -> None:
    assert relevance_bounds(index_of(WARD, NIGHT), [0, 1], seed=0) == {}


def test_a_missing_extra_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(InputError, match=r"pip install 'careergpt\[embeddings\]'$"):
        DescriptionIndex(["ward"], ["Nurse"], [0], embedder="all-MiniLM-L6-v2")


@pytest.fixture
def embedder(tmp_path: Path, tiny_gpt2: Path) -> str:
    """A model folder that sentence-transformers reads: the mean of a tiny GPT-2's hidden states."""
    pytest.importorskip("sentence_transformers")
    folder = shutil.copytree(tiny_gpt2, tmp_path / "embedder")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_an_embedder_finds_the_same_text_first_and_nothing_by_no_words(embedder: str) -> None:
    descriptions, titles = zip(WARD, STEEL, PUPIL, strict=True)
    index = DescriptionIndex(descriptions, titles, [0, 1, 2], embedder)
    assert index.ranks(descriptions, titles, [set()] * 3) == [1, 1, 1]
    assert index.ranks(["", "?!"], ["Nurse"] * 2, [set()] * 2) == [3, 3]


class Unsteady:
    """Counts words; the last digit hangs on the place in the batch, as in a real model's fp32."""

    def __init__(self, name: str) -> None:
        self.name = name

    def encode(self, texts: list[str], **options: bool) -> FloatArray:
        counts = np.array([[text.split().count(word) for word in VOCABULARY] for text in texts])
        lengths = np.maximum(1, np.linalg.norm(counts, axis=1, keepdims=True))
        return counts / lengths * (1 - 1e-7 * np.arange(len(texts)))[:, None]


def test_embeddings_that_differ_in_the_last_digit_are_as_similar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = SimpleNamespace(SentenceTransformer=Unsteady)
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    descriptions, titles = zip(WARD, (WARD[0], "Carer"), STEEL, strict=True)
    index = DescriptionIndex(descriptions, titles, [0, 1, 2], "unsteady")
    assert index.ranks(descriptions, titles, [set()] * 3) == [2, 2, 1]


def test_a_folder_that_embeds_no_texts_is_refused_in_one_line(
    tmp_path: Path, tiny_gpt2: Path
) -> None:
    pytest.importorskip("sentence_transformers")
    # Nothing; a model that cannot pad; a name of the hub, out of reach.
    for model in (str(tmp_path), str(tiny_gpt2), "nobody/nothing"):
        with pytest.raises(InputError, match="no texts can be embedded") as refused:
            DescriptionIndex(["ward"], ["Nurse"], [0], model)
        assert "\n" not in str(refused.value)
