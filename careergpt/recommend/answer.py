"""A recommendation as text for a person, and as JSON for a program."""

from __future__ import annotations

from typing import Any

from careergpt.errors import printable
from careergpt.recommend.people import Person
from careergpt.recommend.recommendation import Effect, NextPosition, Recommendation

_TOLD = 0.005
"""Nats; what is less is shown as 0.00, and raises nothing."""

_SHOWN = 5
"""Skills of a position that a reader is shown; JSON has all."""


def as_json(found: Recommendation) -> dict[str, Any]:
    """The recommendation as JSON holds it; what the model wrote freely is marked so."""
    written = found.qualifications
    return {
        "person": _plain(found.person),
        "notes": list(found.notes),
        "candidates": found.candidates,
        "positions": [
            {
                **_plain(one),
                "raised_by": [_plain(effect) for effect in one.raised_by],
                "would_raise": _plain(one.would_raise) if one.would_raise else None,
            }
            for one in found.positions
        ],
        "skills_for": found.skills_for,
        "skills": [_plain(skill) for skill in found.skills],
        "qualifications": {**_plain(written), "written_by": "model"} if written else None,
    }


def as_text(found: Recommendation) -> str:
    """The recommendation for a reader."""
    blocks = [_asked(found.person)]
    if found.notes:  # First of all: they say how far to believe what follows.
        blocks.append("\n".join(f"Note: {note}" for note in found.notes))
    if found.positions:
        width = max(len(one.title) for one in found.positions)
        head = f"Next positions, of {found.candidates:,} candidates:"
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
        blocks.append(
            "\n".join([head, *(f"  {printable(line)}" for line in written.text.splitlines())])
        )
    return "\n\n".join(blocks)


def _asked(person: Person) -> str:
    told = {
        "position": person.position,
        "history": " > ".join(person.history),
        "skills": ", ".join(person.skills),
    }
    shown = (f"{name}: {_short(value)}" for name, value in told.items() if value)
    return f"For {'; '.join(shown)}"


def _lines(number: int, one: NextPosition, width: int) -> list[str]:
    lines = [f"{number:3}. {one.title:{width}}  {one.probability:6.1%}"]
    if one.has:
        lines.append(f"     has: {_some(one.has)}")
    if one.lacks:
        lines.append(f"     lacks: {_some(one.lacks)}")
    if raising := [effect for effect in one.raised_by if effect.log_odds >= _TOLD]:
        lines.append(f"     raised by: {', '.join(map(_effect, raising[:_SHOWN]))}")
    if one.would_raise:
        lines.append(f"     would rise most with: {_effect(one.would_raise)}")
    return lines


def _some(skills: tuple[str, ...]) -> str:
    return ", ".join(skills[:_SHOWN]) + (" …" if len(skills) > _SHOWN else "")


def _effect(effect: Effect) -> str:
    return f"{effect.skill} ({effect.log_odds:+.2f})"


def _short(text: str, width: int = 200) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _plain(some: Any) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in some._asdict().items()}
