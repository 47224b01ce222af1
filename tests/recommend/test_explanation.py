"""Laws of why: each effect is a difference of log-odds, every candidate being scored anew."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.explanation import Explanation
from careergpt.recommend.people import Person
from careergpt.recommend.rankings import Rankings
from careergpt.recommend.recommendation import Effect
from careergpt.recommend.recommender import Recommender

ABLE = Person("", ("SQL", "triage", "unheard of"), ())
PEOPLE = {
    "skills": ABLE,
    "skills and a career": ABLE._replace(position="Welder", history=("Data clerk",)),
}


@pytest.fixture(scope="module")
def recommender(rankings: Rankings, tiny: LoadedModel) -> Recommender:
    return Recommender(rankings, tiny)


def log_odds(recommender: Recommender, person: Person, place: int) -> float:
    """Of a person, scored alone."""
    share = np.exp(recommender.predictor.log_probabilities(recommender.read(person))[0])[place]
    return float(np.log(share / (1 - share)))


def best(recommender: Recommender, person: Person, number: int = 3) -> tuple[np.ndarray, list[int]]:
    """The person's distribution and the places of the likeliest."""
    (logs,) = recommender.predictor.log_probabilities(recommender.read(person))
    return logs, np.argsort(-logs)[:number].tolist()


@pytest.mark.parametrize("case", PEOPLE)
def test_leaving_a_skill_out_is_asking_without_it(recommender: Recommender, case: str) -> None:
    person = PEOPLE[case]
    logs, places = best(recommender, person)
    for place, effects in zip(
        places,
        Explanation(recommender.predictor, recommender.read(person), logs, places).leave_one_out(),
        strict=True,
    ):
        expected = {
            skill: log_odds(recommender, person, place)
            - log_odds(
                recommender,
                person._replace(skills=tuple(s for s in person.skills if s != skill)),
                place,
            )
            for skill in person.skills
        }
        assert dict(effects) == pytest.approx(expected, abs=1e-5)
        gains = [effect.log_odds for effect in effects]
        assert gains == sorted(gains, reverse=True)
        assert max(map(abs, gains)) > 1e-3


def test_an_only_skill_is_compared_with_nothing(
    recommender: Recommender, rankings: Rankings, tiny: LoadedModel
) -> None:
    careers_unread = {name: rankings.by_task[name] for name in ("position", "skills")}
    blind = Recommender(replace(rankings, by_task=careers_unread), tiny)
    cases = [
        (recommender, Person("", ("SQL",), ())),
        (recommender, Person("Welder", (), ())),
        (recommender, Person("Welder", ("SQL",), ())),
        (blind, Person("Welder", ("SQL",), ("Data clerk",))),
    ]
    for some, person in cases:
        logs, places = best(some, person)
        assert Explanation(some.predictor, some.read(person), logs, places).leave_one_out() == [
            (),
            (),
            (),
        ]


def test_skills_that_were_not_read_have_no_effect(recommender: Recommender) -> None:
    person = Person("", tuple(f"made-up skill {n}" for n in range(200)), ())
    read = recommender.read(person).readings["position"].known["skills"]
    logs, places = best(recommender, person, 1)
    (effects,) = Explanation(
        recommender.predictor, recommender.read(person), logs, places
    ).leave_one_out()
    assert {effect.skill for effect in effects} == set(read)
    assert 1 < len(read) < 200
    rest = person._replace(skills=read[1:])
    expected = log_odds(recommender, person, places[0]) - log_odds(recommender, rest, places[0])
    assert dict(effects)[read[0]] == pytest.approx(expected, abs=1e-5)


LACKS = ["wound care", "arc welding", "C++", "empathy", "grinding"]


@settings(max_examples=15, deadline=None)
@given(
    case=st.sampled_from(list(PEOPLE)),
    lacks=st.lists(
        st.lists(st.sampled_from(LACKS), max_size=4, unique=True).map(tuple),
        min_size=3,
        max_size=3,
    ),
)
def test_the_skill_to_add_is_the_one_that_raises_most(
    recommender: Recommender, case: str, lacks: list[tuple[str, ...]]
) -> None:
    person = PEOPLE[case]
    logs, places = best(recommender, person)
    found = Explanation(recommender.predictor, recommender.read(person), logs, places).add_one_in(
        lacks
    )
    assert len(found) == 3
    for place, some, effect in zip(places, lacks, found, strict=True):
        own = log_odds(recommender, person, place)
        gains = {
            skill: log_odds(recommender, person._replace(skills=(skill, *person.skills)), place)
            - own
            for skill in some
        }
        raising = {skill: gain for skill, gain in gains.items() if gain > 0}
        if effect is None:
            assert not [gain for gain in raising.values() if gain > 1e-5]
        else:
            assert gains[effect.skill] == pytest.approx(max(gains.values()), abs=1e-5)
            assert effect.log_odds == pytest.approx(gains[effect.skill], abs=1e-5)
            assert effect.log_odds > 0


def test_some_skill_raises_and_some_raises_nothing(recommender: Recommender) -> None:
    logs, places = best(recommender, ABLE, 6)
    found = [
        Explanation(recommender.predictor, recommender.read(ABLE), logs, places).add_one_in(
            [(skill,)] * len(places)
        )
        for skill in LACKS
    ]
    raised = {effect is not None for one in found for effect in one}
    assert raised == {True, False}


def test_a_full_list_makes_room_for_the_skill_to_add(recommender: Recommender) -> None:
    person = Person("", tuple(f"made-up skill {n}" for n in range(200)), ())
    logs, places = best(recommender, person, 12)
    found = Explanation(recommender.predictor, recommender.read(person), logs, places).add_one_in(
        [("arc welding",)] * 12
    )
    assert any(found)
    for place, effect in zip(places, found, strict=True):
        more = person._replace(skills=("arc welding", *person.skills))
        gain = log_odds(recommender, more, place) - log_odds(recommender, person, place)
        assert (effect.log_odds if effect else min(gain, 0)) == pytest.approx(gain, abs=1e-5)


@pytest.mark.parametrize(
    ("person", "lacks"),
    [
        (Person("Welder", (), ()), [("C++",)] * 3),
        (ABLE, [()] * 3),
    ],
)
def test_where_nothing_can_be_added_nothing_raises(
    recommender: Recommender, person: Person, lacks: list[tuple[str, ...]]
) -> None:
    logs, places = best(recommender, person)
    assert (
        Explanation(recommender.predictor, recommender.read(person), logs, places).add_one_in(lacks)
        == [None] * 3
    )


def test_nothing_is_explained_where_nothing_is_asked(recommender: Recommender) -> None:
    asked = recommender.read(ABLE)
    (logs,) = recommender.predictor.log_probabilities(asked)
    assert Explanation(recommender.predictor, asked, logs, []).leave_one_out() == []
    assert Explanation(recommender.predictor, asked, logs, []).add_one_in([]) == []


@pytest.mark.filterwarnings("error")
def test_nothing_changes_what_is_certain(rankings: Rankings, tiny: LoadedModel) -> None:
    two = rankings.with_titles(Candidates.from_lines(["Welder", "Diver"]))
    recommender = Recommender(two, tiny)
    person = Person("Welder", ("SQL", "triage"), ())
    logs, places = best(recommender, person, 1)
    assert logs[places[0]] == 0
    assert Explanation(
        recommender.predictor, recommender.read(person), logs, places
    ).leave_one_out() == [(Effect("SQL", 0.0), Effect("triage", 0.0))]
    assert Explanation(recommender.predictor, recommender.read(person), logs, places).add_one_in(
        [("C++",)]
    ) == [None]
