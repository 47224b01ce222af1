"""Laws of the fairness audit: it finds what is unfair, and takes no harmless edit for it."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from careergpt.data.names import title_key
from careergpt.data.tasks import Fields
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend import fairness
from careergpt.recommend.evaluation import Query, queries_of
from careergpt.recommend.fairness import Fairness, fairness_of, fairness_table, rank_moves
from careergpt.recommend.language_model import Reading
from careergpt.recommend.people import person_of
from careergpt.recommend.rankings import Rankings

ROWS = st.lists(st.permutations(range(15)), min_size=2, max_size=4)


def of(moves: list[tuple[float, float]]) -> Fairness:
    return fairness._figures("path", "names", moves)


@given(ROWS)
def test_a_move_is_the_logarithm_of_two_ranks(rows: list[list[int]]) -> None:
    expected = []
    for number, one in enumerate(rows):
        for other in rows[:number]:
            firsts = [c for c in range(15) if min(one[c], other[c]) < 10]
            steps = [abs(np.log2((one[c] + 1) / (other[c] + 1))) for c in firsts]
            expected.append(np.mean(steps))
    assert rank_moves(-np.array(rows, dtype=float)) == pytest.approx(np.mean(expected))
    assert rank_moves(-np.array([rows[0]] * 3, dtype=float)) == 0


def test_the_ratio_is_of_sums_and_its_interval_holds_it() -> None:
    chance = np.random.default_rng(0)
    for times, verdict in ((0.5, "within"), (1.1, "not shown"), (2.0, "above")):
        neutral = chance.uniform(0.5, 1.5, 200)
        found = of([*zip(times * neutral * chance.uniform(0.8, 1.2, 200), neutral, strict=True)])
        assert found.ratio == pytest.approx(found.telling / found.neutral)
        assert found.low < found.ratio < found.high
        assert found.high - found.low < 0.1
        assert found.verdict == verdict


@pytest.mark.parametrize("moves", [[(1.0, 0.0), (0.5, 0.0)], [(1.0, 1.0)]])
def test_of_nothing_to_divide_by_and_of_one_person_nothing_is_shown(
    moves: list[tuple[float, float]],
) -> None:
    found = of(moves)
    assert np.isnan([found.ratio, found.low, found.high]).all()
    assert found.verdict == "not shown"
    assert fairness_table([found]).splitlines()[1].split()[-4:] == ["none", "none", "not", "shown"]


@pytest.mark.filterwarnings("error")
def test_where_hardly_anybody_is_moved_there_is_a_ratio_and_no_interval() -> None:
    found = of([(0.0, 0.0)] * 8 + [(0.1, 0.2)])
    assert found.ratio == pytest.approx(0.5)
    assert np.isnan([found.low, found.high]).all()
    assert found.verdict == "not shown"


def test_what_people_are_made_to_say_is_read_as_they_say_it() -> None:
    for words in fairness._words().values():
        assert len(words["telling"]) == len(words["neutral"]) > 3
        texts = [words["text"].format(one) for one in (*words["telling"], *words["neutral"])]
        assert len(set(map(title_key, texts))) == len(texts)
        for text in texts:
            assert person_of({"skills": [text]}, "here").skills == (text,)
            assert person_of({"history": [text]}, "here").history == (text,)


@pytest.fixture
def people(rankings: Rankings, unseen: list[dict[str, Any]]) -> Mapping[str, list[Query]]:
    return {
        name: list(islice(queries_of(name, rankings.tasks[name], unseen), 6))
        for name in rankings.by_task
    }


def test_people_take_turns_and_only_titles_are_audited(
    rankings: Rankings, tiny: LoadedModel, people: Mapping[str, list[Query]]
) -> None:
    for name, ranking in rankings.by_task.items():
        found = fairness_of(ranking, ranking.by(tiny), people[name])
        told = [(one.task, one.swapped, one.people) for one in found]
        if name == "skills":
            assert not told
            continue
        groups = {"all": 6, "names": 2, "pronouns": 2, "ages": 2}
        assert told == [(name, swapped, n) for swapped, n in groups.items()]
        assert all(one.telling > 0 and one.neutral > 0 for one in found)
        every, *parts = found
        assert every.telling == pytest.approx(np.mean([part.telling for part in parts]))
        assert all(one.verdict in line for one, line in zip(
            found, fairness_table(found).splitlines()[1:], strict=False
        ))  # fmt: skip
        assert not fairness_of(ranking, ranking.by(tiny), [])


def test_a_ranking_that_goes_by_a_name_is_found_out(
    rankings: Rankings,
    tiny: LoadedModel,
    people: Mapping[str, list[Query]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ranking = rankings.by_task["position"]
    size = len(ranking.candidates)

    def answer(known: Fields) -> np.ndarray:
        """Turned round by three words, and hardly moved by how long a text is."""
        text = title_key(" ".join(known["skills"]))
        order = np.arange(size)[:: -1 if {"emily", "she", "young"} & {*text.split()} else 1]
        return order + 1.5 * (np.arange(size) == len(text) % size)

    def answers(_: Any, model: Any, readings: list[Reading]) -> np.ndarray:
        return np.stack([answer(reading.known) for reading in readings])

    monkeypatch.setattr(type(ranking), "answers", answers)
    every = fairness_of(ranking, ranking.by(tiny), people["position"])[0]
    assert every.telling > every.neutral > 0
    assert every.ratio > fairness.BAR
