"""What a language model is asked for a ranking: a task's text up to the place of a candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from careergpt.data.tasks import (
    Fields,
    Piece,
    Task,
    fields_of,
    parse_template,
    prompt_completion,
    text_of,
)
from careergpt.errors import InputError

# No cleaned text holds it: it stands for the candidate while the template is filled.
_MARK = "\x00"

LISTS = ("titles", "skills")
"""Fields that hold lists."""

RANKED = {"path": "titles", "position": "position_title", "skills": "skills"}
"""Tasks that are answered by a ranking, and the field that their candidates fill."""


class Cloze(NamedTuple):
    """A text with a candidate missing.

    Attributes:
        prompt: The question.
        before: What comes before the candidate in the answer.
        lead: What the candidate's own tokens begin with: the space before it.
        next_item: The text between the candidate and another item of its list; None: no list.
        rest: The text between the candidate and the end of text.
    """

    prompt: tuple[Piece, ...]
    before: tuple[Piece, ...]
    lead: str
    next_item: str | None
    rest: str


def cloze(name: str, task: Task, field: str, known: Fields) -> Cloze | None:
    """The task's question and answer up to the candidate, as training lays them out.

    Args:
        name: The task's name.
        task: Its templates.
        field: What the candidate fills: a text, or the next item of a list, of which `known` has
            the items before.
        known: What is known, with one item at least of each list that the question shows.

    Returns:
        None where the question asks for more than is known, or the templates name the candidate
        anywhere but once, in the answer.
    """
    items = known.get(field, ())
    if isinstance(items, str):
        raise ValueError(f"{field} is what is asked for: it cannot be known")
    listed = field in LISTS
    value = (*items, _MARK) if listed else _MARK
    pair = prompt_completion(name, task, {**known, field: value})
    if pair is None or _MARK in text_of(pair.prompt) or text_of(pair.completion).count(_MARK) != 1:
        return None
    before, lead, rest = _parted(pair.completion)
    if not listed:
        return Cloze(pair.prompt, before, lead, None, rest)
    more = prompt_completion(name, task, {**known, field: (*items, _MARK, _MARK)})
    assert more is not None
    between, another, _ = _parted(more.completion)[2].partition(_MARK)
    next_item = between.removesuffix(lead) if another else None  # "{titles[-1]}" is no list.
    return Cloze(pair.prompt, before, lead, next_item, rest)


def neutral_text(task: Task) -> tuple[Piece, ...]:
    """The task's own words before a candidate, with nothing known (Holtzman et al., 2021)."""
    asked = "".join(slot.literal for slot in parse_template(task.prompt) if not slot.part).rstrip()
    answered = next(s.literal for s in parse_template(task.completion) if not s.part).rstrip()
    if answered and not asked[-1:].isspace() and not answered[0].isspace():
        answered = f" {answered}"
    return tuple(Piece(text, None) for text in (asked, answered) if text)


def check_ranked(name: str, task: Task) -> None:
    """Raises InputError for a task of a ranking's name whose answer does not name candidates."""
    if RANKED[name] not in fields_of(Task("", task.completion)):
        raise InputError(
            f"task {name!r} ranks {RANKED[name]}, and its completion {task.completion!r} has none: "
            "call the task otherwise"
        )


def _parted(pieces: Sequence[Piece]) -> tuple[tuple[Piece, ...], str, str]:
    """What is before the mark, the space that it begins with, and the text after it."""
    at = next(place for place, piece in enumerate(pieces) if _MARK in piece.text)
    start, _, end = pieces[at].text.partition(_MARK)
    lead = " " if start.endswith(" ") else ""
    start = start.removesuffix(" ")
    before = (*pieces[:at], Piece(start, None)) if start else tuple(pieces[:at])
    return before, lead, end + "".join(piece.text for piece in pieces[at + 1 :])
