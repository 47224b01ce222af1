"""Laws of paths: the beam finds what enumeration finds, and a joint probability is a product."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest

from careergpt.errors import InputError
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend import recommender as recommend
from careergpt.recommend.occupations import Occupations, Preparation
from careergpt.recommend.paths import (
    likeliest_paths,
    paths_as_json,
    paths_as_text,
    paths_of,
    promises,
)
from careergpt.recommend.people import Person
from careergpt.recommend.rankings import Rankings
from careergpt.recommend.recommendation import as_text, how_known
from careergpt.recommend.recommender import Recommender

N = 5
MOVES = np.random.default_rng(0).dirichlet(np.full(N, 0.5), N)
FIRST = np.random.default_rng(1).dirichlet(np.ones(N))


def conditional(paths):
    return np.log([MOVES[path[-1]] if path else FIRST for path in paths])


def joint(path) -> float:
    return float(FIRST[path[0]] * np.prod([MOVES[a, b] for a, b in pairwise(path)]))


def as_shares(found):
    return {path: float(np.exp(sum(logs))) for path, logs in found}


def test_a_wide_beam_is_enumeration() -> None:
    found = as_shares(likeliest_paths(conditional, 3, width=N**3))
    assert found == pytest.approx({path: joint(path) for path in product(range(N), repeat=3)})
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert sum(found.values()) == pytest.approx(1)


def test_to_a_goal_all_shorter_ways_count_and_none_passes_it() -> None:
    goal, steps = 2, 3
    expected = {
        (*before, goal): joint((*before, goal))
        for length in range(steps)
        for before in product([n for n in range(N) if n != goal], repeat=length)
    }
    promise = promises(MOVES, goal, steps)
    for some in ((), promise):
        found = as_shares(likeliest_paths(conditional, steps, goal=goal, width=N**3, promise=some))
        assert found == pytest.approx(expected)


def test_a_narrow_beam_finds_the_best_way_to_a_goal_by_its_promise() -> None:
    # What is likely leads away from the goal; the one way there begins with an unlikely step.
    moves = np.array([[0.9, 0.1, 0.0], [0.1, 0.0, 0.9], [0.5, 0.5, 0.0]])
    logs = np.log(np.maximum(moves, 1e-12))
    found = likeliest_paths(
        lambda paths: logs.copy()[[path[-1] if path else 0 for path in paths]],
        2, goal=2, width=1, promise=promises(moves, 2, 2),
    )  # fmt: skip
    assert found[0][0] == (1, 2)


def test_the_promise_is_the_chance_to_arrive_in_time() -> None:
    for steps, log in enumerate(promises(MOVES, 2, 4)):
        for start in range(N):
            ways = [
                (*before, 2)
                for length in range(steps)
                for before in product([n for n in range(N) if n != 2], repeat=length)
            ]
            chance = sum(np.prod([MOVES[a, b] for a, b in pairwise((start, *way))]) for way in ways)
            assert np.exp(log[start]) == pytest.approx(chance)


@pytest.fixture(scope="module")
def recommender(rankings: Rankings, tiny: LoadedModel) -> Recommender:
    return Recommender(rankings, tiny)


def test_steps_multiply_and_the_first_is_what_is_recommended(recommender: Recommender) -> None:
    query = recommender.read(Person("Welder", ("SQL",), ()))
    (logs,) = recommender.predictor.log_probabilities(query)
    for path in paths_of(recommender.predictor, query, steps=2).paths:
        titles = [path.start, *(step.title for step in path.steps)]
        assert titles[0] == "Welder"
        assert len(path.steps) == 2
        shares = [step.probability for step in path.steps]
        assert path.probability == pytest.approx(np.prod(shares))
        assert shares[0] == pytest.approx(
            np.exp(logs[recommender.predictor.titles.place(titles[1])])
        )
        (after,) = np.exp(recommender.predictor.after([tuple(titles[:2])]))
        assert shares[1] == pytest.approx(after[recommender.predictor.titles.place(titles[2])])


def test_no_path_comes_back_to_a_title_that_was_held_but_for_the_goal(
    recommender: Recommender,
) -> None:
    person = Person("Triage nurse", (), ("Nursing assistant", "Registered nurse"))
    query = recommender.read(person)
    for path in paths_of(recommender.predictor, query, steps=3).paths:
        titles = [step.title for step in path.steps]
        assert len({*titles, *person.career}) == len(titles) + len(person.career)
    back = paths_of(recommender.predictor, query, "Registered nurse", 2).paths
    assert back
    assert all(path.steps[-1].title == "Registered nurse" for path in back)


def test_a_goal_that_hardly_anybody_reaches_is_said_to_be_rare(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = recommender.read(Person("Welder", (), ()))
    found = recommender.paths(query, "Data analyst", 2)
    assert found.paths[0].probability > 0.001
    assert not found.notes
    monkeypatch.setattr(recommend, "RARE", found.paths[0].probability + 0.001)
    (note,) = recommender.paths(query, "Data analyst", 2).notes
    assert "Hardly anybody" in note
    assert "'Data analyst'" in note


def test_a_goal_that_is_read_as_the_position_names_what_else_it_may_be(
    rankings: Rankings, tiny: LoadedModel
) -> None:
    shared = Occupations({name: ["Joiner"] for name in ("Welder", "Data analyst")})
    some = Recommender(replace(rankings, occupations=shared), tiny)
    meant = some.paths(None, "Joiner", 1).goal
    (other,) = {"Welder", "Data analyst"} - {meant}
    with pytest.raises(InputError, match=f"'Joiner' is taken for '{meant}'.* such as '{other}'"):
        some.paths(some.read(Person(meant, (), ())), "Joiner", 1)


def test_moves_are_counted_and_known_skills_are_no_gain(
    recommender: Recommender, training: list
) -> None:
    query = recommender.read(Person("Data clerk", ("SQL",), ()))
    for path in paths_of(recommender.predictor, query, steps=1).paths:
        (step,) = path.steps
        moves = [list(pairwise(r["titles"])) for r in training if "titles" in r]
        assert step.seen == sum(some.count(("Data clerk", step.title)) for some in moves)
        assert "SQL" not in step.gain


def test_what_leads_to_a_goal_is_bayes_rule(recommender: Recommender) -> None:
    found = paths_of(recommender.predictor, None, "Registered nurse")
    titles = recommender.predictor.titles
    others = [name for name in titles.names if name != "Registered nurse"]
    logs = recommender.predictor.after([(name,) for name in others])
    goal = titles.place("Registered nurse")
    weights = {
        name: np.exp(row[goal]) * (titles.counts[titles.place(name)] + 1)
        for name, row in zip(others, logs, strict=True)
    }
    total = sum(weights.values())
    for path in found.paths:
        assert path.probability == pytest.approx(weights[path.start] / total)
        assert [step.title for step in path.steps] == ["Registered nurse"]
    shares = [path.probability for path in found.paths]
    assert shares == sorted(shares, reverse=True)


def test_ways_to_a_goal_end_at_it(recommender: Recommender) -> None:
    query = recommender.read(Person("Data clerk", (), ()))
    for path in paths_of(recommender.predictor, query, "Analytics manager", steps=2).paths:
        assert path.steps[-1].title == "Analytics manager"
        assert len(path.steps) <= 2


@pytest.mark.parametrize(
    ("person", "goal", "steps", "said"),
    [
        (Person("Welder", (), ()), "Lion tamer", 2, "none of the titles"),
        (Person("Welder", (), ()), "Weldor chief", 2, "^the goal .* name one of them .*Welder"),
        (Person("Welder", (), ()), "Welder", 2, "is the position that the person has"),
        (Person("Welder", (), ()), "", 0, "must be 1 to"),
        (None, "", 2, "give a person or a goal"),
    ],
)
def test_a_mistake_is_said(recommender: Recommender, person, goal, steps, said) -> None:
    query = None if person is None else recommender.read(person)
    with pytest.raises(InputError, match=said):
        paths_of(recommender.predictor, query, goal, steps)


@pytest.mark.parametrize("goal", ["Registred nurse", "RN"])
def test_a_goal_is_read_as_a_position_is(rankings: Rankings, tiny: LoadedModel, goal: str) -> None:
    some = Recommender(
        rankings.with_occupations([{"occupation": "Registered nurse", "other_titles": ("RN",)}]),
        tiny,
    )
    found = some.paths(None, goal)
    (note,) = found.notes
    assert f"'{goal}' is taken for 'Registered nurse'" in note
    assert paths_as_text(found).startswith(f"Note: {note}")
    assert found._replace(notes=()) == paths_of(some.predictor, None, "Registered nurse")
    assert some.paths(None, "Registered nurse").notes == ()
    (unknown, *_) = some.paths(some.read(Person("Lion tamer", (), ())), goal).notes
    assert "Nothing of what is told is known" in unknown


def test_a_move_that_a_taxonomy_lists_was_seen_by_nobody(
    rankings: Rankings, tiny: LoadedModel
) -> None:
    clerk, plain = Person("Data clerk", (), ()), Recommender(rankings, tiny)
    seen = [
        (path.start, step)
        for path in paths_of(plain.predictor, plain.read(clerk), steps=1).paths
        for step in path.steps
    ]
    assert all(step.seen is not None and not step.listed for _, step in seen)
    (start, first), *_ = seen
    rows = [{"occupation": start, "changes_to": (first.title,)}]
    some = Recommender(rankings.with_occupations(rows), tiny)
    found = paths_of(some.predictor, some.read(clerk), steps=1)
    steps = [step for path in found.paths for step in path.steps]
    assert [(step.title, step.listed, step.seen is None) for step in steps] == [
        (step.title, step.title == first.title, step.title == first.title) for _, step in seen
    ]
    assert paths_as_text(found).count(", the taxonomy lists it") == 1
    # Next positions say the same of the same moves.
    known = {step.title: (step.seen, step.listed) for step in steps}
    answer = some.recommend("Data clerk", write=False)
    told = {one.title: (one.seen, one.listed) for one in answer.positions}
    assert told.keys() & known.keys() > {first.title}
    assert all(told[title] == known[title] for title in told.keys() & known.keys())
    assert as_text(answer).count("this move: the taxonomy lists it") == 1
    (one, *_) = some.recommend(skills="SQL", write=False).positions
    assert (one.seen, one.listed) == (None, False)


@pytest.mark.parametrize(
    ("seen", "listed", "told"),
    [(None, True, "the taxonomy lists it"), (None, False, ""),
     (0, False, "never in training"),
     (1, False, "1\u00d7 in training"), (1_200, False, "1,200\u00d7 in training")],
)  # fmt: skip
def test_how_a_move_is_known(seen: int | None, listed: bool, told: str) -> None:
    assert how_known(seen, listed) == told


def test_each_step_says_what_its_title_takes(rankings: Rankings, tiny: LoadedModel) -> None:
    takes = Preparation("4", "Bachelor's degree")
    rows = [{"occupation": n, **takes._asdict()} for n in rankings.candidates["titles"].names]
    some = Recommender(rankings.with_occupations(rows), tiny)
    found = paths_of(some.predictor, some.read(Person("Data clerk", (), ())), steps=2)
    assert {step.preparation for path in found.paths for step in path.steps} == {takes}
    assert "; takes: job zone 4; Bachelor's degree" in paths_as_text(found)
    (step, *_) = paths_as_json(found)["paths"][0]["steps"]
    assert step["preparation"] == takes._asdict()
