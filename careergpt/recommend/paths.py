"""Paths of several steps: from a person onwards, to a goal, and what leads to one.

A path's probability is the product of its steps' conditionals, each the ranking of all candidates
after the career so far. The first step goes by all that the person tells, the others by the career.
Paths that come back to a title that was held are left out; their probability is no other path's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import log_softmax

from careergpt.data.names import title_key
from careergpt.errors import InputError
from careergpt.recommend.candidates import nearest
from careergpt.recommend.count_models import KneserNey
from careergpt.recommend.occupations import Preparation
from careergpt.recommend.people import Person
from careergpt.recommend.predictor import PersonQuery, Predictor
from careergpt.recommend.recommendation import how_known, plain

WIDTH = 10
"""Paths that go on at each step."""

BEFORE = 30
"""Titles that may lead to a goal: those that counts name first, scored by the model."""

MOST_STEPS = 10

Places = tuple[int, ...]
Found = tuple[Places, tuple[float, ...]]
Conditional = Callable[[Sequence[Places]], Float64[np.ndarray, "N C"]]


class Step(NamedTuple):
    """A step of a path.

    Attributes:
        title: The title that it leads to.
        probability: Of this step, after all before it.
        seen: Training careers' moves from the title before to this one; None: they are not counted,
            or the move is listed, and of its careers nobody can tell which are made.
        gain: Skills that the title asks for, which neither the person nor the title before has.
        preparation: What the title takes, where the taxonomy knows it.
        listed: Whether a taxonomy lists the move.
    """

    title: str
    probability: float
    seen: int | None
    gain: tuple[str, ...]
    preparation: Preparation
    listed: bool = False


class Path(NamedTuple):
    """A path: where it starts ("" for skills alone), its steps, and their joint probability."""

    start: str
    steps: tuple[Step, ...]
    probability: float


class Paths(NamedTuple):
    """The likeliest paths, the likeliest first; of what leads to a goal, where nobody is told of.

    The probabilities of what leads to a goal are of the titles before it, and sum to 1. The notes
    are those of a recommendation, and what the goal was taken for.
    """

    person: Person
    goal: str
    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def likeliest_paths(
    conditional: Conditional,
    steps: int,
    *,
    goal: int | None = None,
    width: int = WIDTH,
    promise: Sequence[Float64[np.ndarray, " C"]] = (),
) -> list[Found]:
    """Paths by a beam, each with the log-probability of every step, the likeliest first.

    Where no more than `width` paths are ever open, these are all. With a goal, paths of up to so
    many steps that end at it and do not pass it; `promise[n]` is then about log P(the goal is
    reached within n more steps) of each title, and which paths stay open goes by it too.
    """
    going: list[Found] = [((), ())]
    found: list[Found] = []
    for left in range(steps - 1, -1, -1):
        logs = conditional([path for path, _ in going])
        if goal is not None:
            ends = zip(going, logs[:, goal].tolist(), strict=True)
            found += [((*path, goal), (*before, log)) for (path, before), log in ends]
            logs[:, goal] = -np.inf
            if not left:
                break
        totals = logs + np.array([[sum(before)] for _, before in going])
        order = np.argsort(-(totals + promise[left] if promise else totals), axis=None)[:width]
        rows, places = (some.tolist() for some in np.unravel_index(order, logs.shape))
        going = [
            ((*going[row][0], place), (*going[row][1], float(logs[row, place])))
            for row, place in zip(rows, places, strict=True)
            if np.isfinite(logs[row, place])
        ]
        if not going:
            break
    ended = going if goal is None else [one for one in found if np.isfinite(sum(one[1]))]
    return sorted(ended, key=lambda one: -sum(one[1]))[:width]


def promises(
    moves: Float64[np.ndarray, "C C"], goal: int, steps: int
) -> list[Float64[np.ndarray, " C"]]:
    """Log P(the goal is reached within n steps) of each title, for n below `steps`, by counts."""
    elsewhere = moves.copy()
    elsewhere[:, goal] = 0
    within = [np.zeros(len(moves))]
    for _ in range(1, steps):
        within.append(moves[:, goal] + elsewhere @ within[-1])
    with np.errstate(divide="ignore"):
        return [np.log(one) for one in within]


def paths_of(
    predictor: Predictor, query: PersonQuery | None, goal: str = "", steps: int = 3
) -> Paths:
    """The likeliest paths of a person; to the goal, where one is given; without a person, to it.

    Raises:
        InputError: The goal is no candidate, neither is given, or the model knows no careers.
    """
    if not 1 <= steps <= MOST_STEPS:
        raise InputError(f"steps must be 1 to {MOST_STEPS}, found {steps}")
    place = predictor.titles.place(goal) if goal else None
    if goal and place is None:
        near = ", ".join(map(repr, nearest(goal, predictor.titles)))
        known = f" ({near}, …)" if near else ""
        raise InputError(
            f"the goal {goal!r} is none of the titles that are ranked; name one of them{known}"
        )
    moves = _matrix(predictor) if goal else None
    if query is None:
        if place is None:
            raise InputError("paths lead from somebody or to a goal: give a person or a goal")
        return _before(predictor, place, moves)
    if place is not None and place in predictor.titles.places_of(query.person.career[-1:]):
        raise InputError(f"the goal {goal!r} is the position that the person has: name another")
    promise = promises(moves, place, steps) if place is not None and moves is not None else ()
    conditional = _onwards(predictor, query, place)
    found = likeliest_paths(conditional, steps, goal=place, promise=promise)
    paths = tuple(_told(predictor, query, *one) for one in found)
    return Paths(query.person, goal and predictor.titles.names[place or 0], paths)


def _onwards(predictor: Predictor, query: PersonQuery, goal: int | None) -> Conditional:
    """What follows the person's career and a path: no title that they had, but for the goal."""
    titles, career = predictor.titles, query.career
    held = [place for place in titles.places_of(query.person.career) if place != goal]

    def conditional(paths: Sequence[Places]) -> Float64[np.ndarray, "N C"]:
        if paths == [()]:
            logs = predictor.log_probabilities(query)
        else:
            careers = [(*career, *(titles.names[at] for at in path)) for path in paths]
            logs = predictor.after(careers)
        for row, path in zip(logs, paths, strict=True):
            row[[*held, *path]] = -np.inf  # Some go back: no advice.
        return logs

    return conditional


def _before(predictor: Predictor, goal: int, moves: Float64[np.ndarray, "C C"] | None) -> Paths:
    """What leads to the goal: P(before | goal) ~ P(goal | before) P(before), by Bayes' rule."""
    titles = predictor.titles
    prior = np.log(np.array(titles.counts, dtype=np.float64) + 1)
    counted = prior if moves is None else prior + np.log(moves[:, goal])
    counted[goal] = -np.inf
    first = np.argsort(-counted, kind="stable")[: min(BEFORE, len(titles) - 1)]
    logs = predictor.after([(titles.names[place],) for place in first.tolist()])[:, goal]
    shares = np.exp(log_softmax(logs + prior[first])) if len(first) else logs
    nobody, paths = Person("", (), ()), []
    for at in np.argsort(-shares, kind="stable")[:WIDTH].tolist():
        start = titles.names[int(first[at])]
        step = _step(predictor, nobody, start, goal, float(np.exp(logs[at])), start)
        paths.append(Path(start, (step,), float(shares[at])))
    return Paths(nobody, titles.names[goal], tuple(paths))


def _told(predictor: Predictor, query: PersonQuery, path: Places, logs: Sequence[float]) -> Path:
    person = query.person
    start = before = person.career[-1] if person.career else ""
    left = query.career[-1] if person.career else ""
    steps = []
    for place, log in zip(path, logs, strict=True):
        steps.append(_step(predictor, person, before, place, float(np.exp(log)), left))
        before = left = predictor.titles.names[place]
    return Path(start, tuple(steps), float(np.exp(sum(logs))))


def _step(
    predictor: Predictor, person: Person, before: str, place: int, probability: float, left: str
) -> Step:
    """To the place: moves are counted from `left`, and skills gained beside those of `before`."""
    title = predictor.titles.names[place]
    seen, listed = predictor.known_move(left, title)
    held = {title_key(skill) for skill in (*person.skills, *predictor.relevant_skills(before))}
    needed = predictor.relevant_skills(title)
    gain = tuple(skill for skill in needed if title_key(skill) not in held)
    return Step(title, probability, seen, gain, predictor.preparation(title), listed)


def _matrix(predictor: Predictor) -> Float64[np.ndarray, "C C"] | None:
    """P(next | title) by the counts of moves; None where there are none."""
    moves: KneserNey | None = predictor.moves
    if moves is None:
        return None
    logs = [moves.distribution((name,)) for name in predictor.titles.names]
    return np.asarray(np.exp(np.stack(logs)))


def paths_as_json(found: Paths) -> dict[str, Any]:
    """The paths as JSON holds them."""
    person = {name: value for name, value in plain(found.person).items() if value}
    return {**plain(found), "person": person}


def paths_as_text(found: Paths) -> str:
    """The paths for a reader."""
    if not any(found.person):
        head = f"What leads to {found.goal}, of the titles before it:"
    else:
        head = f"The likeliest paths{found.goal and f' to {found.goal}'}:"
    lines = [*(f"Note: {note}" for note in found.notes), head]
    for number, path in enumerate(found.paths, 1):
        titles = " > ".join(filter(None, [path.start, *(step.title for step in path.steps)]))
        lines.append(f"{number:3}. {titles}  {path.probability:.2%}")
        for step in path.steps:
            known = how_known(step.seen, step.listed)
            known = known and f", {known}"
            gain = f"; gain: {', '.join(step.gain[:5])}" if step.gain else ""
            takes = f"; takes: {step.preparation}" if any(step.preparation) else ""
            lines.append(f"     {step.title}: {step.probability:.1%}{known}{takes}{gain}")
    return "\n".join(lines)
