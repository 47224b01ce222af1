"""Laws of next positions: one distribution of what a career says and what skills say."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from careergpt.errors import InputError
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.forecast import Forecast, Read, career_of
from careergpt.recommend.knowledge import Knowledge
from careergpt.recommend.people import Person

titles = st.sampled_from(["Welder", "welder!", "Data analyst", "Nurse manager", "Lion tamer", "🚀"])
skills = st.lists(st.sampled_from(["SQL", "sql", "triage", "fire", "🚀"]), max_size=4).map(tuple)
people = st.builds(
    Person, st.one_of(st.just(""), titles), skills, st.lists(titles, max_size=4).map(tuple)
).filter(any)


@pytest.fixture(scope="module")
def forecast(knowledge: Knowledge, tiny: LoadedModel) -> Forecast:
    return Forecast(knowledge, tiny)


def said(knowledge: Knowledge, tiny: LoadedModel, name: str, **known: tuple[str, ...]) -> NDArray:
    """What one ranking says."""
    rank = knowledge.rankings[name].ranker(knowledge.reader(name, tiny))
    return np.exp(rank([known])[0])


def shares(powers: NDArray[np.float64], left_out: int | None = None) -> NDArray[np.float64]:
    """Normalised, one of them being no candidate."""
    kept = powers * (np.arange(len(powers)) != left_out)
    return np.asarray(kept / kept.sum())


@settings(max_examples=40, deadline=None)
@given(st.lists(people, min_size=1, max_size=4))
def test_probabilities_sum_to_one_and_nobody_is_sent_where_they_are(
    forecast: Forecast, people: list[Person]
) -> None:
    found = np.exp(forecast.positions(people))
    assert found.sum(axis=1) == pytest.approx(1)
    for person, row in zip(people, found, strict=True):
        last = person.position or (person.history or ("",))[-1]
        place = forecast.titles.place(last)
        assert {place} - {None} == {int(at) for at in np.flatnonzero(row == 0)}


@settings(max_examples=15, deadline=None)
@given(st.lists(people, min_size=2, max_size=4))
def test_everyone_is_answered_as_if_alone(forecast: Forecast, people: list[Person]) -> None:
    together = forecast.positions(people)
    for person, row in zip(people, together, strict=True):
        (alone,) = forecast.positions([person])
        assert np.exp(row) == pytest.approx(np.exp(alone), abs=1e-6)


@pytest.mark.parametrize(
    ("person", "career"),
    [
        (Person("Welder", (), ()), ("Welder",)),
        (Person("", (), ("Data clerk", "Welder")), ("Data clerk", "Welder")),
        (Person("Welder", (), ("Data clerk",)), ("Data clerk", "Welder")),
        (Person("welder!", (), ("Data clerk", "Welder")), ("Data clerk", "Welder")),
        (Person("Welder", (), ("Welder", "Data clerk")), ("Welder", "Data clerk", "Welder")),
    ],
)
def test_history_then_position_are_what_a_career_asks_by(
    forecast: Forecast,
    knowledge: Knowledge,
    tiny: LoadedModel,
    person: Person,
    career: tuple[str, ...],
) -> None:
    assert career_of(person) == career
    expected = said(knowledge, tiny, "path", titles=career)
    assert np.exp(forecast.positions([person])[0]) == pytest.approx(
        shares(expected, knowledge.names.titles.place("Welder"))
    )


def test_skills_alone_ask_for_any_position(
    forecast: Forecast, knowledge: Knowledge, tiny: LoadedModel
) -> None:
    expected = said(knowledge, tiny, "position", skills=("SQL", "fire"))
    found = np.exp(forecast.positions([Person("", ("SQL", "fire"), ())])[0])
    assert found == pytest.approx(expected)
    assert (found > 0).all()


@pytest.mark.parametrize("exponent", [0.3, 1.0, 1.7])
def test_skills_multiply_what_a_career_says_by_a_power_and_may_be_a_held_title_s(
    knowledge: Knowledge, tiny: LoadedModel, exponent: float
) -> None:
    forecast = Forecast(replace(knowledge, exponent=exponent), tiny)
    path = said(knowledge, tiny, "path", titles=("Data clerk", "Data analyst"))
    position = said(knowledge, tiny, "position", skills=("SQL", "triage"))
    person = Person("Data analyst", ("SQL", "triage"), ("Data clerk",))
    found = np.exp(forecast.positions([person])[0])
    clerk, analyst = knowledge.names.titles.places_of(["Data clerk", "Data analyst"])
    likely = position + position[clerk] + position[analyst]
    likely[[clerk, analyst]] = position[clerk] + position[analyst]
    assert found == pytest.approx(shares(path * likely**exponent, analyst))


@pytest.mark.parametrize("history", [(), ("Data clerk",)])
@pytest.mark.parametrize("own", ["Welder", "Data clerk"])
def test_skills_of_a_held_title_leave_what_the_career_says(
    knowledge: Knowledge, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch, history, own
) -> None:
    forecast = Forecast(knowledge, tiny)
    sure = np.full(len(forecast.titles), 1e-9)
    # What is left of the mass is noise, and points to one title before all others.
    sure[[forecast.titles.place(own), forecast.titles.place("Data scientist")]] = [1, 1e-3]
    monkeypatch.setitem(forecast._rankers, "position", lambda known: np.log([sure] * len(known)))
    told, bare = Person("Welder", ("rigging",), history), Person("Welder", (), history)
    with_skill, without_any = np.exp(forecast.positions([told, bare]))
    held = own in career_of(told)
    assert (with_skill == pytest.approx(without_any, rel=2e-3)) == held


def test_skills_of_the_own_title_alone_make_no_other_title_sure(
    knowledge: Knowledge, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    postings = replace(knowledge, rankings={"position": knowledge.rankings["position"]})
    forecast = Forecast(postings, tiny)
    sure = np.full(len(forecast.titles), 1e-9)
    sure[[forecast.titles.place("Welder"), forecast.titles.place("Data scientist")]] = [1, 1e-3]
    monkeypatch.setitem(forecast._rankers, "position", lambda known: np.log([sure] * len(known)))
    found = np.exp(forecast.positions([Person("Welder", ("rigging",), ())])[0])
    assert found.max() == pytest.approx(1 / (len(forecast.titles) - 1), rel=2e-3)


def test_the_exponent_is_for_products_alone(knowledge: Knowledge, tiny: LoadedModel) -> None:
    for person in (Person("Welder", (), ()), Person("", ("SQL",), ())):
        one, other = (
            Forecast(replace(knowledge, exponent=e), tiny).positions([person]) for e in (0.2, 3.0)
        )
        assert np.exp(one) == pytest.approx(np.exp(other))


def test_a_skill_changes_what_a_career_says_and_the_other_way_round(forecast: Forecast) -> None:
    told = [Person("Welder", (), ()), Person("", ("SQL",), ()), Person("Welder", ("SQL",), ())]
    career, skilled, joint = np.exp(forecast.positions(told))
    assert np.abs(joint - career).max() > 1e-3
    assert np.abs(joint - skilled).max() > 1e-3


def test_skills_of_a_title_are_a_distribution(
    forecast: Forecast, knowledge: Knowledge, tiny: LoadedModel
) -> None:
    rank = knowledge.rankings["skills"].ranker(knowledge.reader("skills", tiny))
    found = forecast.skills_of(["Welder", "Lion tamer"])
    assert found == pytest.approx(
        rank([{"position_title": "Welder"}, {"position_title": "Lion tamer"}])
    )
    assert np.exp(found).sum(axis=1) == pytest.approx(1)


def test_what_does_not_fit_is_counted(forecast: Forecast) -> None:
    many = tuple(f"made-up skill {n}" for n in range(200))
    read = forecast.read(Person("Welder", many, ("Data clerk",) * 99))
    career, skilled = read["path"], read["position"]
    assert career.known["titles"][-1] == "Welder"
    assert len(career.known["titles"]) + career.left_out == 100
    assert skilled.known["skills"] == many[: 200 - skilled.left_out]
    assert 0 < skilled.left_out < 200
    assert 0 < career.left_out < 100
    assert forecast.read(Person("Welder", (), ())) == {"path": Read({"titles": ("Welder",)}, 0)}


@pytest.mark.parametrize("person", [Person("🚀" * 200, (), ()), Person("", ("🚀" * 200,), ())])
def test_what_leaves_no_room_is_said(forecast: Forecast, person: Person) -> None:
    with pytest.raises(InputError, match=r"'🚀{60}' leaves the model no room for a candidate"):
        forecast.positions([person])


def test_what_no_ranking_goes_by_is_no_question(knowledge: Knowledge, tiny: LoadedModel) -> None:
    careers = {"path": knowledge.rankings["path"]}
    forecast = Forecast(replace(knowledge, rankings=careers), tiny)
    assert forecast.read(Person("", ("SQL",), ())) == {}
    with pytest.raises(InputError, match="no ranking goes by what is told"):
        forecast.positions([Person("Welder", (), ()), Person("", ("SQL",), ())])
    assert forecast.skills == Candidates((), ())
    assert forecast.titles == knowledge.names.titles
