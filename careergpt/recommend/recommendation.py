"""A recommendation: positions, skills, qualifications and why; as text and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from careergpt.errors import printable
from careergpt.recommend.occupations import Match, Preparation
from careergpt.recommend.people import Person

_LEAST = 0.005
"""Nats; what is less is shown as 0.00, and raises nothing."""

SHOWN = 5
"""Skills of a position that a reader is shown; JSON has all."""

_WIDTH = 200
"""Characters of what a person says of themselves that a reader is shown."""


_BY = {"path": "career", "position": "skills"}


class Effect(NamedTuple):
    """What a skill does to a recommended position: the change in its log-odds, in nats."""

    skill: str
    log_odds: float

    def __str__(self) -> str:
        return f"{self.skill} ({self.log_odds:+.2f})"


class NextPosition(NamedTuple):
    """A recommended position.

    Attributes:
        title: Its name.
        probability: Of all candidates but the current title.
        levels: Less likely levels of the same occupation, Senior or Junior, each with its own
            probability.
        preparation: What it takes, where the taxonomy knows it.
        has: Skills of the position that the person has, the most asked for first, optional ones
            last.
        lacks: Those that are mostly asked for and the person has not.
        raised_by: What each of the person's skills does to it, the most helpful first; empty where
            it is not explained, or nothing else is known of the person.
        would_raise: The lacking skill that would raise it most, of the first `SHOWN` (of all where
            the ranking is exact); None where none would.
        optional: Those that some who do the work have besides, as the taxonomy says, and the person
            has not.
        in_common: How much of what it asks for the position held asks for, too, in [0, 1]; None
            where one of the two is not known.
        seen: How often training has the move from the position held; None: it is not counted, or
            listed, and of its careers nobody can tell which are made.
        listed: Whether a taxonomy lists the move.
    """

    title: str
    probability: float
    levels: Mapping[str, float]
    preparation: Preparation
    has: tuple[str, ...]
    lacks: tuple[str, ...]
    raised_by: tuple[Effect, ...] = ()
    would_raise: Effect | None = None
    optional: tuple[str, ...] = ()
    in_common: float | None = None
    seen: int | None = None
    listed: bool = False


class SkillToHave(NamedTuple):
    """A skill, its probability to be the next that the position's postings name."""

    skill: str
    probability: float
    has: bool


class Qualifications(NamedTuple):
    """What the model writes when it is asked for a position's qualifications.

    Attributes:
        position: The position.
        text: Its words, which are not checked.
        whole: Whether that is all that it wrote, since no part of it names qualifications.
    """

    position: str
    text: str
    whole: bool


class Recommendation(NamedTuple):
    """The answer to one person.

    Attributes:
        person: Who asked, titles and skills spelled as the candidates are.
        positions: Next positions, the likeliest first.
        candidates: How many titles were ranked.
        ranked_by: Of each ranking that had a part ("path" by the career, "position" by the skills)
            the weights of those that validation found best together: "model", "markov", …
        skills_for: The position that the skills and qualifications are of; "" where there is none.
        skills: Skills to have, the most relevant first.
        qualifications: None where the model knows no task that asks for them.
        taken_for: Names that were told, and the title or skill that each was taken for.
        notes: What the reader should know of this answer, a sentence each.
        shortcuts: What was not worked out over all candidates, as `exact` would; a sentence each.
    """

    person: Person
    positions: tuple[NextPosition, ...]
    candidates: int
    ranked_by: dict[str, dict[str, float]]
    skills_for: str
    skills: tuple[SkillToHave, ...]
    qualifications: Qualifications | None
    taken_for: Mapping[str, Match]
    notes: tuple[str, ...]
    shortcuts: tuple[str, ...] = ()


def as_json(found: Recommendation) -> dict[str, Any]:
    """The recommendation as JSON holds it; what the model wrote freely is marked so."""
    written = found.qualifications
    return {
        "person": plain(found.person),
        "notes": list(found.notes),
        "taken_for": plain(found.taken_for),
        "candidates": found.candidates,
        "ranked_by": found.ranked_by,
        "positions": [plain(one) for one in found.positions],
        "skills_for": found.skills_for,
        "skills": [plain(skill) for skill in found.skills],
        "qualifications": {**plain(written), "written_by": "model"} if written else None,
        "shortcuts": list(found.shortcuts),
    }


def plain(value: Any) -> Any:
    """Named tuples as objects, and other tuples as lists."""
    value = value._asdict() if hasattr(value, "_asdict") else value
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, tuple) else value


def as_text(found: Recommendation) -> str:
    """The recommendation for a reader."""
    blocks = [_person_line(found.person)]
    if found.notes:  # First of all: they say how far to believe what follows.
        blocks.append("\n".join(f"Note: {note}" for note in found.notes))
    if found.positions:
        width = max(len(one.title) for one in found.positions)
        ranked = "; ".join(
            f"by {_BY[task]}: {' + '.join(f'{name} {weight:.0%}' for name, weight in by.items())}"
            for task, by in found.ranked_by.items()
        )
        head = f"Next positions, of {found.candidates:,} candidates ({ranked}):"
        lines = [line for n, one in enumerate(found.positions, 1) for line in _lines(n, one, width)]
        blocks.append("\n".join([head, *lines]))
    if found.skills:
        width = max(len(one.skill) for one in found.skills)
        lines = [
            f"{n:3}. {one.skill:{width}}  {one.probability:6.1%}{'  (has it)' if one.has else ''}"
            for n, one in enumerate(found.skills, 1)
        ]
        blocks.append("\n".join([f"Skills to have as {found.skills_for}:", *lines]))
    if written := found.qualifications:
        part = "all of its text" if written.whole else "from a longer text"
        head = f"Qualifications asked for, {written.position} (written by the model, {part}):"
        lines = [f"  {printable(line)}" for line in written.text.splitlines()]
        blocks.append("\n".join([head, *lines]))
    if found.shortcuts:
        blocks.append("\n".join(["Shortcuts (none with --exact):", *found.shortcuts]))
    return "\n\n".join(blocks)


def _person_line(person: Person) -> str:
    parts = {
        "position": person.position,
        "history": " > ".join(person.history),
        "skills": ", ".join(person.skills),
    }
    shown = (
        f"{name}: {text if len(text) <= _WIDTH else f'{text[: _WIDTH - 1]}…'}"
        for name, text in parts.items()
        if text
    )
    return f"For {'; '.join(shown) or 'nothing that a ranking goes by'}"


def how_known(seen: int | None, listed: bool) -> str:
    """How a move is known, in words; "" where moves are not counted."""
    if listed:
        return "the taxonomy lists it"
    if seen is None:
        return ""
    return f"{seen:,}\u00d7 in training" if seen else "never in training"


def _lines(number: int, one: NextPosition, width: int) -> list[str]:
    levels = [f"{title} {share:.1%}" for title, share in one.levels.items()]
    raising = [str(effect) for effect in one.raised_by if effect.log_odds >= _LEAST]
    share = one.in_common
    told = {
        "takes": str(one.preparation),
        "in common": "" if share is None else f"{share:.0%} of the skills asked for",
        "this move": how_known(one.seen, one.listed),
        "levels": ", ".join(levels[:SHOWN]),
        "has": _some(one.has),
        "lacks": _some(one.lacks),
        "optional": _some(one.optional),
        "raised by": ", ".join(raising[:SHOWN]),
        "would rise most with": str(one.would_raise or ""),
    }
    head = f"{number:3}. {one.title:{width}}  {one.probability:6.1%}"
    return [head, *(f"     {name}: {text}" for name, text in told.items() if text)]


def _some(skills: Sequence[str]) -> str:
    return ", ".join(skills[:SHOWN]) + (" …" if len(skills) > SHOWN else "")
