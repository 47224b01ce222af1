"""Laws of why: each effect is a difference of log-odds, every candidate being scored anew."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.explanation import add_one_in, leave_one_out
from careergpt.recommend.forecast import Forecast
from careergpt.recommend.knowledge import Knowledge
from careergpt.recommend.people import Person
from careergpt.recommend.recommendation import Effect

ABLE = Person("", ("SQL", "triage", "unheard of"), ())
PEOPLE = {
    "skills": ABLE,
    "skills and a career": ABLE._replace(position="Welder", history=("Data clerk",)),
}


@pytest.fixture(scope="module")
def forecast(knowledge: Knowledge, tiny: LoadedModel) -> Forecast:
    return Forecast(knowledge, tiny)


def log_odds(forecast: Forecast, person: Person, place: int) -> float:
    """Of a person, scored alone."""
    share = np.exp(forecast.positions([person])[0])[place]
    return float(np.log(share / (1 - share)))


def best(forecast: Forecast, person: Person, number: int = 3) -> tuple[np.ndarray, list[int]]:
    """The person's distribution and the places of the likeliest."""
    logs = forecast.positions([person])[0]
    return logs, np.argsort(-logs)[:number].tolist()


@pytest.mark.parametrize("case", PEOPLE)
def test_leaving_a_skill_out_is_asking_without_it(forecast: Forecast, case: str) -> None:
    person = PEOPLE[case]
    logs, places = best(forecast, person)
    for place, effects in zip(places, leave_one_out(forecast, person, logs, places), strict=True):
        expected = {
            skill: log_odds(forecast, person, place)
            - log_odds(
                forecast,
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
    forecast: Forecast, knowledge: Knowledge, tiny: LoadedModel
) -> None:
    careers_unread = {name: knowledge.rankings[name] for name in ("position", "skills")}
    blind = Forecast(replace(knowledge, rankings=careers_unread), tiny)
    cases = [
        (forecast, Person("", ("SQL",), ())),
        (forecast, Person("Welder", (), ())),
        (forecast, Person("Welder", ("SQL",), ())),
        (blind, Person("Welder", ("SQL",), ("Data clerk",))),
    ]
    for some, person in cases:
        logs, places = best(some, person)
        assert leave_one_out(some, person, logs, places) == [(), (), ()]


def test_skills_that_were_not_read_have_no_effect(forecast: Forecast) -> None:
    person = Person("", tuple(f"made-up skill {n}" for n in range(200)), ())
    read = forecast.read(person)["position"].known["skills"]
    logs, places = best(forecast, person, 1)
    (effects,) = leave_one_out(forecast, person, logs, places)
    assert {effect.skill for effect in effects} == set(read)
    assert 1 < len(read) < 200
    rest = person._replace(skills=read[1:])
    expected = log_odds(forecast, person, places[0]) - log_odds(forecast, rest, places[0])
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
    forecast: Forecast, case: str, lacks: list[tuple[str, ...]]
) -> None:
    person = PEOPLE[case]
    logs, places = best(forecast, person)
    found = add_one_in(forecast, person, logs, places, lacks)
    assert len(found) == 3
    for place, some, effect in zip(places, lacks, found, strict=True):
        own = log_odds(forecast, person, place)
        gains = {
            skill: log_odds(forecast, person._replace(skills=(skill, *person.skills)), place) - own
            for skill in some
        }
        raising = {skill: gain for skill, gain in gains.items() if gain > 0}
        if effect is None:
            assert not [gain for gain in raising.values() if gain > 1e-5]
        else:
            assert gains[effect.skill] == pytest.approx(max(gains.values()), abs=1e-5)
            assert effect.log_odds == pytest.approx(gains[effect.skill], abs=1e-5)
            assert effect.log_odds > 0


def test_some_skill_raises_and_some_raises_nothing(forecast: Forecast) -> None:
    logs, places = best(forecast, ABLE, 6)
    found = [add_one_in(forecast, ABLE, logs, places, [(skill,)] * len(places)) for skill in LACKS]
    raised = {effect is not None for one in found for effect in one}
    assert raised == {True, False}


def test_a_full_list_makes_room_for_the_skill_to_add(forecast: Forecast) -> None:
    person = Person("", tuple(f"made-up skill {n}" for n in range(200)), ())
    logs, places = best(forecast, person, 12)
    found = add_one_in(forecast, person, logs, places, [("arc welding",)] * 12)
    assert any(found)
    for place, effect in zip(places, found, strict=True):
        more = person._replace(skills=("arc welding", *person.skills))
        gain = log_odds(forecast, more, place) - log_odds(forecast, person, place)
        assert (effect.log_odds if effect else min(gain, 0)) == pytest.approx(gain, abs=1e-5)


@pytest.mark.parametrize(
    ("person", "lacks"),
    [
        (Person("Welder", (), ()), [("C++",)] * 3),
        (ABLE, [()] * 3),
    ],
)
def test_where_nothing_can_be_added_nothing_raises(
    forecast: Forecast, person: Person, lacks: list[tuple[str, ...]]
) -> None:
    logs, places = best(forecast, person)
    assert add_one_in(forecast, person, logs, places, lacks) == [None] * 3


def test_nothing_is_explained_where_nothing_is_asked(forecast: Forecast) -> None:
    logs = forecast.positions([ABLE])[0]
    assert leave_one_out(forecast, ABLE, logs, []) == []
    assert add_one_in(forecast, ABLE, logs, [], []) == []


@pytest.mark.filterwarnings("error")
def test_nothing_changes_what_is_certain(knowledge: Knowledge, tiny: LoadedModel) -> None:
    two = knowledge.with_titles(Candidates.listed(["Welder", "Diver"]))
    forecast = Forecast(two, tiny)
    person = Person("Welder", ("SQL", "triage"), ())
    logs, places = best(forecast, person, 1)
    assert logs[places[0]] == 0
    assert leave_one_out(forecast, person, logs, places) == [
        (Effect("SQL", 0.0), Effect("triage", 0.0))
    ]
    assert add_one_in(forecast, person, logs, places, [("C++",)]) == [None]
