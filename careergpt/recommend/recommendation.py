"""What a person is told: positions, skills, qualifications, and why."""

from __future__ import annotations

from typing import NamedTuple

from careergpt.recommend.people import Person


class Effect(NamedTuple):
    """What a skill does to a recommended position: the change in its log-odds, in nats."""

    skill: str
    log_odds: float


class NextPosition(NamedTuple):
    """A recommended position.

    Attributes:
        title: Its name.
        probability: Of all candidates but the current title.
        has: Skills of the position that the person has, the most asked for first.
        lacks: Those that the person has not.
        raised_by: What each of the person's skills does to it, the most helpful first; empty where
            that was not asked for, or nothing else is known of the person.
        would_raise: The lacking skill that would raise it most; None where none would.
    """

    title: str
    probability: float
    has: tuple[str, ...]
    lacks: tuple[str, ...]
    raised_by: tuple[Effect, ...] = ()
    would_raise: Effect | None = None


class SkillToHave(NamedTuple):
    """A skill, its probability to be the next that the position's postings name."""

    skill: str
    probability: float
    has: bool


class Qualifications(NamedTuple):
    """What the model writes when it is asked for a position's qualifications.

    Attributes:
        position: The position.
        text: Its words; nobody has checked them.
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
        skills_for: The position that the skills and qualifications are of; "" where there is none.
        skills: Skills to have, the likeliest first.
        qualifications: None where the model knows no task that asks for them.
        notes: What the reader should know of this answer, a sentence each.
    """

    person: Person
    positions: tuple[NextPosition, ...]
    candidates: int
    skills_for: str
    skills: tuple[SkillToHave, ...]
    qualifications: Qualifications | None
    notes: tuple[str, ...]
