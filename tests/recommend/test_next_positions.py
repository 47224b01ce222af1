"""Laws of next positions: one distribution of what a career says and what skills say."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from careergpt.errors import InputError
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend import kept
from careergpt.recommend import ranking as module
from careergpt.recommend.calibration import Blend
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.occupations import Match
from careergpt.recommend.people import Person
from careergpt.recommend.rankings import Rankings
from careergpt.recommend.recommender import SHORTENED, Recommender

titles = st.sampled_from(["Welder", "welder!", "Data analyst", "Nurse manager", "Lion tamer", "🚀"])
skills = st.lists(st.sampled_from(["SQL", "sql", "triage", "fire", "🚀"]), max_size=4).map(tuple)
people = st.builds(
    Person, st.one_of(st.just(""), titles), skills, st.lists(titles, max_size=4).map(tuple)
).filter(any)


@pytest.fixture(scope="module")
def recommender(rankings: Rankings, tiny: LoadedModel) -> Recommender:
    return Recommender(rankings, tiny)


def next_titles(recommender: Recommender, person: Person) -> NDArray[np.float64]:
    """The probabilities of the person's next title."""
    return np.exp(recommender.predictor.log_probabilities(recommender.read(person))[0])


def said(rankings: Rankings, tiny: LoadedModel, name: str, **known: Any) -> NDArray:
    """What one ranking says."""
    ranking = rankings.by_task[name]
    model = ranking.by(tiny)
    return np.exp(ranking.answers(model, [model.read(known)])[0])


def shares(powers: NDArray[np.float64], left_out: int | None = None) -> NDArray[np.float64]:
    """Normalised, one of them being no candidate."""
    kept = powers * (np.arange(len(powers)) != left_out)
    return np.asarray(kept / kept.sum())


@settings(max_examples=40, deadline=None)
@given(st.lists(people, min_size=1, max_size=4))
def test_probabilities_sum_to_one_and_nobody_is_sent_where_they_are(
    recommender: Recommender, people: list[Person]
) -> None:
    for person in people:
        row = next_titles(recommender, person)
        assert row.sum() == pytest.approx(1)
        last = person.position or (person.history or ("",))[-1]
        place = recommender.predictor.titles.place(last)
        assert {place} - {None} == {int(at) for at in np.flatnonzero(row == 0)}


@settings(max_examples=15, deadline=None)
@given(people, st.lists(skills.filter(any), min_size=1, max_size=3))
def test_other_skills_are_answered_as_if_told(
    recommender: Recommender, person: Person, others: list[tuple[str, ...]]
) -> None:
    told = [recommender.read(person._replace(skills=some)) for some in others]
    readings = [one.readings["position"] for one in told]
    together = recommender.predictor.log_probabilities(recommender.read(person), *readings)
    for one, row in zip(told, together, strict=True):
        (alone,) = recommender.predictor.log_probabilities(one)
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
    recommender: Recommender,
    rankings: Rankings,
    tiny: LoadedModel,
    person: Person,
    career: tuple[str, ...],
) -> None:
    assert person.career == career
    expected = said(rankings, tiny, "path", titles=career)
    assert next_titles(recommender, person) == pytest.approx(
        shares(expected, rankings.candidates["titles"].place("Welder"))
    )


def test_skills_alone_ask_for_any_position(
    recommender: Recommender, rankings: Rankings, tiny: LoadedModel
) -> None:
    expected = said(rankings, tiny, "position", skills=("SQL", "fire"))
    found = next_titles(recommender, Person("", ("SQL", "fire"), ()))
    assert found == pytest.approx(expected)
    assert (found > 0).all()


@pytest.mark.parametrize("exponent", [0.3, 1.0, 1.7])
def test_skills_multiply_what_a_career_says_by_a_power_and_may_be_a_held_title_s(
    rankings: Rankings, tiny: LoadedModel, exponent: float
) -> None:
    recommender = Recommender(replace(rankings, exponent=exponent), tiny)
    path = said(rankings, tiny, "path", titles=("Data clerk", "Data analyst"))
    position = said(rankings, tiny, "position", skills=("SQL", "triage"))
    person = Person("Data analyst", ("SQL", "triage"), ("Data clerk",))
    found = next_titles(recommender, person)
    clerk, analyst = rankings.candidates["titles"].places_of(["Data clerk", "Data analyst"])
    likely = position + position[clerk] + position[analyst]
    likely[[clerk, analyst]] = position[clerk] + position[analyst]
    assert found == pytest.approx(shares(path * likely**exponent, analyst))


@pytest.mark.parametrize("history", [(), ("Data clerk",)])
@pytest.mark.parametrize("own", ["Welder", "Data clerk"])
def test_skills_of_a_held_title_leave_what_the_career_says(
    rankings: Rankings, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch, history, own
) -> None:
    recommender = Recommender(rankings, tiny)
    sure = np.full(len(recommender.predictor.titles), 1e-9)
    # What is left of the mass is noise, and points to one title before all others.
    sure[
        [
            recommender.predictor.titles.place(own),
            recommender.predictor.titles.place("Data scientist"),
        ]
    ] = [1, 1e-3]
    asked = recommender.predictor._said

    def said(task: str, readings: Any, among: Any = None) -> NDArray:
        return np.log([sure] * len(readings)) if task == "position" else asked(task, readings)

    monkeypatch.setattr(recommender.predictor, "_said", said)
    told, bare = Person("Welder", ("rigging",), history), Person("Welder", (), history)
    with_skill, without_any = (next_titles(recommender, person) for person in (told, bare))
    held = own in told.career
    assert (with_skill == pytest.approx(without_any, rel=2e-3)) == held


def test_skills_of_the_own_title_alone_make_no_other_title_sure(
    rankings: Rankings, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    postings = replace(rankings, by_task={"position": rankings.by_task["position"]})
    recommender = Recommender(postings, tiny)
    sure = np.full(len(recommender.predictor.titles), 1e-9)
    sure[
        [
            recommender.predictor.titles.place("Welder"),
            recommender.predictor.titles.place("Data scientist"),
        ]
    ] = [
        1,
        1e-3,
    ]
    asked = recommender.predictor._said

    def said(task: str, readings: Any, among: Any = None) -> NDArray:
        return np.log([sure] * len(readings)) if task == "position" else asked(task, readings)

    monkeypatch.setattr(recommender.predictor, "_said", said)
    found = next_titles(recommender, Person("Welder", ("rigging",), ()))
    assert found.max() == pytest.approx(1 / (len(recommender.predictor.titles) - 1), rel=2e-3)


def test_the_exponent_is_for_products_alone(rankings: Rankings, tiny: LoadedModel) -> None:
    for person in (Person("Welder", (), ()), Person("", ("SQL",), ())):
        one, other = (
            next_titles(Recommender(replace(rankings, exponent=e), tiny), person)
            for e in (0.2, 3.0)
        )
        assert one == pytest.approx(other)


def test_a_skill_changes_what_a_career_says_and_the_other_way_round(
    recommender: Recommender,
) -> None:
    told = [Person("Welder", (), ()), Person("", ("SQL",), ()), Person("Welder", ("SQL",), ())]
    career, skilled, joint = (next_titles(recommender, person) for person in told)
    assert np.abs(joint - career).max() > 1e-3
    assert np.abs(joint - skilled).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("skills", {"position_title": "Welder"}),
        ("path", {"titles": ("Data clerk", "Data analyst")}),
        ("position", {"skills": ("SQL", "statistics")}),
    ],
)
def test_of_many_candidates_the_model_ranks_those_that_counts_name_first(
    name: str,
    told: Any,
    rankings: Rankings,
    tiny: LoadedModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peer = list(rankings.by_task[name].count_models)[-1]
    ranking = replace(rankings.by_task[name], blend=Blend(peer, 0.4))
    model = ranking.by(tiny)
    readings = [model.read(told)]
    every = ranking.answers(model, readings)
    monkeypatch.setattr(module, "MANY", 3)
    monkeypatch.setattr(module, "LIKELY", 4)
    counted = ranking.count_models[peer].log_probabilities([told])[0]
    first = np.argsort(-counted, kind="stable")[:4].tolist()
    (found,) = ranking.answers(model, readings)
    assert np.exp(found).sum() == pytest.approx(1)
    (among,) = ranking.answers(model, readings, first)
    assert np.diff(found[first]) == pytest.approx(np.diff(among))
    others = [place for place in range(len(found)) if place not in first]
    assert (found[others] == counted[others]).all()
    assert replace(ranking, exact=True).answers(model, readings) == pytest.approx(every)
    assert replace(ranking, blend=None).answers(model, readings)[0] == pytest.approx(
        model.log_probabilities(readings)[0]
    )
    monkeypatch.setattr(module, "LIKELY", len(found))
    assert ranking.answers(model, readings) == pytest.approx(every)


def test_of_many_skills_the_table_is_of_those_that_are_ranked_and_small(
    rankings: Rankings, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = rankings.with_title_skills(tiny).skills_of
    assert every is not None
    assert len(every.rows) == len(rankings.candidates["titles"])
    ranking = replace(rankings.by_task["skills"], blend=Blend("alike", 0.4))
    some = replace(rankings, by_task={"skills": ranking})
    monkeypatch.setattr(module, "MANY", 3)
    monkeypatch.setattr(module, "LIKELY", 4)
    monkeypatch.setattr(kept, "_MOST", 2 * len(ranking.candidates))
    found = some.with_title_skills(tiny).skills_of
    assert found is not None
    assert len(found.rows) == 2
    model = ranking.by(tiny)
    for title in rankings.candidates["titles"].names[:2]:
        (said,) = ranking.answers(model, [model.read({"position_title": title})])
        assert found.of(title) == pytest.approx(said, abs=0.01)
    assert replace(some, skills_of=found).exactly().skills_of is None
    # Where no counts name the likely ones the model ranks all, which takes longer.
    monkeypatch.setattr(kept, "_MOST", 10**9)
    monkeypatch.setattr(kept, "_AFFORDABLE", 1.5 * model.cost)
    for blend, number in ((None, 1), (ranking.blend, int(1.5 * len(ranking.candidates) / 4))):
        by = {"skills": replace(ranking, blend=blend)}
        counted = replace(some, by_task=by).with_title_skills(tiny).skills_of
        assert counted is not None
        assert len(counted.rows) == min(number, len(every.rows))
    monkeypatch.undo()
    assert replace(some, skills_of=every).exactly().skills_of is every


def test_of_many_candidates_an_answer_says_that_not_all_were_ranked(
    rankings: Rankings, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MANY", 3)
    for exact in (False, True):
        found = Recommender(rankings, tiny, exact=exact).recommend("Welder", write=False)
        assert (SHORTENED in found.shortcuts) != exact


def test_what_follows_a_title_that_nobody_left_is_what_follows_the_nearest_that_some_did(
    rankings: Rankings, tiny: LoadedModel
) -> None:
    rows: list[Any] = [
        {"occupation": name, "position_title": name, "other_titles": others}
        for name, others in (("Master welder", ()), ("Welder", ("Expert welder",)))
    ]
    asked = Recommender(rankings.with_occupations(rows), tiny)
    plain = Recommender(rankings, tiny)
    titles = rankings.candidates["titles"]
    gone = [titles.place(name) for name in ("Welder", "Master welder")]
    expected = next_titles(plain, Person("Welder", (), ()))
    expected[gone] = 0
    told, left = (
        one.paths(one.read(Person(title, (), ())), "", 2).paths
        for one, title in ((asked, "Master welder"), (plain, "Welder"))
    )
    assert told[0].steps[0].seen
    rows[1]["changes_to"] = (told[0].steps[0].title,)  # What the stand-in's occupation leads to.
    listing = Recommender(rankings.with_occupations(rows), tiny)
    first = listing.paths(listing.read(Person("Master welder", (), ())), "", 2).paths[0].steps[0]
    assert (first.title, first.listed, first.seen) == (told[0].steps[0].title, True, None)
    second = [
        {tuple(step.title for step in path.steps): path.steps[1].probability for path in paths}
        for paths in (told, left)
    ]
    both = second[0].keys() & second[1].keys()
    assert both
    for titles_of_path in both:
        assert second[0][titles_of_path] == pytest.approx(second[1][titles_of_path])
    assert asked.predictor.stand_in("Welding inspector", "Expert welder") == Match("Welder", 1.0)
    found = next_titles(asked, Person("Master welder", (), ()))
    assert found == pytest.approx(expected / expected.sum())
    assert found != pytest.approx(next_titles(plain, Person("Master welder", (), ())))
    said = asked.recommend("Master welder", write=False).notes
    assert sum("no move from 'Master welder'" in note for note in said) == 1
    for other in ("Welder", "Lion tamer", "Zzyzx"):  # Who is left, and what is like nothing.
        person = Person(other, (), ())
        assert (next_titles(asked, person) == next_titles(plain, person)).all()
        assert not any("no move from" in note for note in asked.recommend(other, write=False).notes)


@pytest.mark.parametrize(
    ("title", "skills_for"), [("Master welder", "Master welder"), ("Fusion magician", "Welder")]
)
def test_skills_of_a_title_that_training_does_not_know_are_those_of_what_stands_in_for_it(
    rankings: Rankings, tiny: LoadedModel, title: str, skills_for: str
) -> None:
    asked = Recommender(rankings, tiny)
    query = asked.read(Person(title, (), ()))
    found = asked.answer(query._replace(stand_ins={title: Match("Welder", 0.3)}), write=False)
    assert found.skills_for == skills_for
    assert asked.answer(query._replace(stand_ins={}), write=False).skills_for == title


def test_skills_of_a_title_are_a_distribution(
    recommender: Recommender, rankings: Rankings, tiny: LoadedModel
) -> None:
    found = np.exp(recommender.predictor.skills_of(["Welder", "Lion tamer"]))
    for title, shares in zip(("Welder", "Lion tamer"), found, strict=True):
        assert shares == pytest.approx(said(rankings, tiny, "skills", position_title=title))
    assert found.sum(axis=1) == pytest.approx(1)


def test_what_does_not_fit_is_counted(recommender: Recommender) -> None:
    many = tuple(f"made-up skill {n}" for n in range(200))
    read = recommender.read(Person("Welder", many, ("Data clerk",) * 99))
    career, skilled = (read.readings[name].known for name in ("path", "position"))
    assert career["titles"][-1] == "Welder"
    assert 0 < len(career["titles"]) < 100
    assert skilled["skills"] == many[: len(skilled["skills"])]
    assert 0 < len(skilled["skills"]) < 200
    notes = recommender.answer(read).notes
    assert f"{100 - len(career['titles'])} titles, the oldest ones, do not fit" in notes[-2]
    assert f"{200 - len(skilled['skills'])} skills, the last ones, do not fit" in notes[-1]
    (only,) = recommender.read(Person("Welder", (), ())).readings.values()
    assert only.known == {"titles": ("Welder",)}


@pytest.mark.parametrize("person", [Person("🚀" * 200, (), ()), Person("", ("🚀" * 200,), ())])
def test_what_leaves_no_room_is_said(recommender: Recommender, person: Person) -> None:
    with pytest.raises(InputError, match=r"'🚀{60}' leaves the model no room for a candidate"):
        recommender.read(person)


def test_what_no_ranking_goes_by_is_no_question(rankings: Rankings, tiny: LoadedModel) -> None:
    careers = {"path": rankings.by_task["path"]}
    recommender = Recommender(replace(rankings, by_task=careers), tiny)
    asked = recommender.read(Person("", ("SQL",), ()))
    assert asked.readings == {}
    with pytest.raises(InputError, match="no ranking goes by what is told"):
        recommender.predictor.log_probabilities(asked)
    assert recommender.predictor.skills == Candidates((), ())
    assert recommender.predictor.titles == rankings.candidates["titles"]
