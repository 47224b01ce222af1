"""Tasks: a pair of templates over a record's fields, and what a record says when asked by them.

A template is Python's own format language: `{position_title}` is a text field, `{skills}` a list
whose items are joined by ", ", `{titles[0]}` one item, `{titles[1:]: > }` a slice joined by " > ".
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from careergpt.errors import InputError, printable

Field = str | tuple[str, ...]
Fields = Mapping[str, Field]

_SLOT = re.compile(r"(?P<field>\w+)(?:\[(?P<key>-?\d+|(?:-?\d+)?:(?:-?\d+)?)\])?")


@dataclass(frozen=True)
class Task:
    """One question that the model learns to answer.

    Args:
        prompt: Template of the question; its tokens are never scored.
        completion: Template of the answer; its tokens, and the end of text, carry the loss.
        weight: How often an epoch sees the task's examples: 1 once, 0.5 every other epoch, 0 never.
    """

    prompt: str
    completion: str
    weight: float = 1.0


class Piece(NamedTuple):
    """Text that is tokenized by itself; a list item is one, with the space before it."""

    text: str
    item_of: str | None


class PromptCompletion(NamedTuple):
    """What one task makes of one record."""

    task: str
    prompt: tuple[Piece, ...]
    completion: tuple[Piece, ...]


class Slot(NamedTuple):
    """A placeholder: the literal text before it, the field, the item or slice, the joiner."""

    literal: str
    field: str | None
    key: str
    joiner: str

    @property
    def name(self) -> str:
        """The placeholder as the template writes it, without the joiner."""
        return f"{self.field}[{self.key}]" if self.key else str(self.field)


def text_of(pieces: Iterable[Piece]) -> str:
    """The text that the pieces spell."""
    return "".join(piece.text for piece in pieces)


@cache
def parse_template(template: str) -> tuple[Slot, ...]:
    """The template's slots, in order; the last may be literal text alone.

    Raises:
        InputError: The template is not in Python's format language, or a placeholder has no name.
    """
    slots = []
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InputError(f"template {template!r} cannot be read: {error}") from None
    for literal, name, joiner, conversion in parts:
        if name is None:
            slots.append(Slot(literal, None, "", ""))
            continue
        match = _SLOT.fullmatch(name)
        if match is None or conversion:
            raise InputError(
                f"template {template!r}: cannot read the placeholder {name!r}; "
                "write {field}, {field[0]} or {field[1:]: > }"
            )
        slots.append(Slot(literal, match["field"], match["key"] or "", joiner or ", "))
    return tuple(slots)


def check_tasks(tasks: Mapping[str, Task]) -> None:
    """Raises InputError unless every template parses, asks something and weighs something."""
    for name, task in tasks.items():
        if name != printable(name):
            raise InputError(f"task {name!r}: its name stands in tables, so no control characters")
        slots = parse_template(task.prompt), parse_template(task.completion)
        if not any(slot.field for slot in slots[1]):
            raise InputError(f"task {name!r}: its completion {task.completion!r} has no {{field}}")
        if not 0 <= task.weight < float("inf"):
            raise InputError(f"task {name!r}: weight must be 0 or more, found {task.weight}")
    if not any(task.weight > 0 for task in tasks.values()):
        raise InputError("data.tasks has no task of a weight above 0: nothing would be learned")


def fields_of(task: Task) -> tuple[str, ...]:
    """Names of the fields that both templates ask for, each once, in order of appearance."""
    slots = parse_template(task.prompt) + parse_template(task.completion)
    return tuple(dict.fromkeys(slot.field for slot in slots if slot.field))


def missing_from(task: Task, fields: Fields) -> tuple[str, ...]:
    """Placeholders of the task for which the record has no text, as the templates write them."""
    slots = parse_template(task.prompt) + parse_template(task.completion)
    return tuple(slot.name for slot in slots if slot.field and not _value(slot, fields))


def prompt_completion(name: str, task: Task, fields: Fields) -> PromptCompletion | None:
    """The task's question and answer; None where the record has not all the fields."""
    if missing_from(task, fields):
        return None
    prompt = _render(task.prompt.rstrip(" "), fields)
    # The space belongs to the completion: GPT-2's tokens carry it.
    spaced = text_of(prompt)[-1:].isspace() or task.completion[:1].isspace()
    completion = _render(("" if spaced else " ") + task.completion, fields)
    return PromptCompletion(name, prompt, completion)


def render_prompt(task: Task, fields: Fields) -> tuple[Piece, ...] | None:
    """The task's question alone; None where the record has not all the fields that it names."""
    if any(slot.field and not _value(slot, fields) for slot in parse_template(task.prompt)):
        return None
    return _render(task.prompt.rstrip(" "), fields)


def _value(slot: Slot, fields: Fields) -> Field:
    """The text or the items that fill the slot; empty where there are none."""
    value = fields.get(slot.field or "", "")
    if not slot.key:
        return value
    items = (value,) if isinstance(value, str) else value
    if ":" in slot.key:
        start, stop = (int(bound) if bound else None for bound in slot.key.split(":"))
        return items[start:stop]
    return items[int(slot.key)] if -len(items) <= int(slot.key) < len(items) else ""


def _render(template: str, fields: Fields) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for slot in parse_template(template):
        _append(pieces, slot.literal)
        value = _value(slot, fields) if slot.field else ""
        if isinstance(value, str):
            _append(pieces, value)
            continue
        # Items carry the space before them where all of them have one: then each has the tokens
        # that it has anywhere in the list.
        spaced = slot.joiner.endswith(" ") and bool(pieces) and _take_space(pieces)
        for place, item in enumerate(value):
            _append(pieces, (slot.joiner[:-1] if spaced else slot.joiner) if place else "")
            pieces.append(Piece(" " + item if spaced else item, slot.field))
    return tuple(pieces)


def _append(pieces: list[Piece], text: str) -> None:
    """Adds text, to the last piece where that is no list item."""
    if pieces and pieces[-1].item_of is None:
        text = pieces.pop().text + text
    if text:
        pieces.append(Piece(text, None))


def _take_space(pieces: list[Piece]) -> bool:
    """Whether the last piece ended with a space; if so, it does no more."""
    if not pieces[-1].text.endswith(" "):
        return False
    text = pieces.pop().text[:-1]
    if text:
        pieces.append(Piece(text, None))
    return True
