r"""Tasks: a pair of templates over a record's fields, and the prompt and completion they give.

A template is Python's own format language: `{position_title}` is a text field, `{skills}` a list
whose items are joined by ", ", `{titles[0]}` one item, `{titles[1:]: > }` a slice joined by " > ".
What stands between double square brackets is optional, `{instruction}[[\n{input}]]`: a record that
lacks a field in it is asked without that part.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from careergpt.errors import InputError, printable

PromptForm = Literal["plain", "newline", "chat"]
"""How a model reads a prompt: as it is, with a line feed after it, or as the user's turn in the
chat template of its tokenizer."""

Field = str | tuple[str, ...]
Fields = Mapping[str, Field]

# A part in brackets without a {field} is text.
_LONGEST_TEMPLATE = 10_000
"""Characters: what is optional is looked for in quadratic time."""

_OPTIONAL = re.compile(r"\[\[((?:(?!\]\]).)*?(?<!\{)\{(?!\{).*?)\]\](?![\]}])", re.DOTALL)
_SLOT = re.compile(r"(?P<field>\w+)(?:\[(?P<key>-?\d+|(?:-?\d+)?:(?:-?\d+)?)\])?")


@dataclass(frozen=True)
class Task:
    """One question that the model learns to answer.

    Args:
        prompt: Template of the question; its tokens are never scored. [[ ]] hold optional parts,
            left out where a record lacks their fields.
        completion: Template of the answer; its tokens, and the end of text, carry the loss.
        weight: How often an epoch sees the task's examples: 1 once, 0.5 every other epoch, 0 never.
    """

    prompt: str
    completion: str
    weight: float = 1.0


DEFAULT_TASKS = {
    "describe": Task(
        "Tell me about the qualifications required for a {position_title}.", "{job_description}"
    ),
    "position": Task("Which position suits someone skilled in {skills}?", "{position_title}"),
    "skills": Task("Which skills does a {position_title} need?", "{skills}"),
    "path": Task("Career path: {titles[0]}", "> {titles[1:]: > }"),
}


class Piece(NamedTuple):
    """Text that is tokenized by itself; a list item is one, with the space before it."""

    text: str
    item_of: str | None


class PromptCompletion(NamedTuple):
    """What one task makes of one record."""

    task: str
    prompt: tuple[Piece, ...]
    completion: tuple[Piece, ...]
    form: PromptForm = "plain"


class Slot(NamedTuple):
    """A placeholder: the literal text before it, the field, the item or slice, the joiner.

    `part` is the number of the optional part that it stands in; 0 in none.
    """

    literal: str
    field: str | None
    key: str
    joiner: str
    part: int

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
    if len(template) > _LONGEST_TEMPLATE:
        raise InputError(
            f"template {template[:40]!r}… has {len(template):,} characters, and "
            f"{_LONGEST_TEMPLATE:,} are read: shorten it"
        )
    # Every second text is what an optional part holds.
    texts = enumerate(_OPTIONAL.split(template))
    try:
        parts = [
            (number if number % 2 else 0, *found)
            for number, text in texts
            for found in string.Formatter().parse(text)
        ]
    except ValueError as error:
        raise InputError(f"template {template!r} cannot be read: {error}") from None
    slots = []
    for part, literal, name, joiner, conversion in parts:
        if name is None:
            slots.append(Slot(literal, None, "", "", part))
            continue
        match = _SLOT.fullmatch(name)
        if match is None or conversion:
            raise InputError(
                f"template {template!r}: cannot read the placeholder {name!r}; "
                "write {field}, {field[0]} or {field[1:]: > }"
            )
        slots.append(Slot(literal, match["field"], match["key"] or "", joiner or ", ", part))
    return tuple(slots)


def check_tasks(tasks: Mapping[str, Task]) -> None:
    """Raises InputError unless every template parses, asks something and weighs something."""
    for name, task in tasks.items():
        if name != printable(name):
            raise InputError(f"task {name!r}: its name stands in tables, so no control characters")
        parse_template(task.prompt)
        if not _required(task.completion):
            raise InputError(
                f"task {name!r}: its completion {task.completion!r} has no {{field}} "
                "that every answer holds"
            )
        if not 0 <= task.weight < float("inf"):
            raise InputError(f"task {name!r}: weight must be 0 or more, found {task.weight}")
    if not any(task.weight > 0 for task in tasks.values()):
        raise InputError("data.tasks has no task of a weight above 0: nothing would be learned")


def fields_of(task: Task) -> tuple[str, ...]:
    """Names of the fields that both templates name, each once, in order of appearance."""
    slots = parse_template(task.prompt) + parse_template(task.completion)
    return tuple(dict.fromkeys(slot.field for slot in slots if slot.field))


def required_fields(task: Task) -> tuple[str, ...]:
    """Those of the fields that a record must have: they stand outside of optional parts."""
    slots = _required(task.prompt, task.completion)
    return tuple(dict.fromkeys(str(slot.field) for slot in slots))


def indexed_fields(task: Task) -> set[str]:
    """Those of the fields of which a template takes items by their place."""
    slots = parse_template(task.prompt) + parse_template(task.completion)
    return {slot.field for slot in slots if slot.field and slot.key}


def _required(*templates: str) -> list[Slot]:
    slots = (slot for template in templates for slot in parse_template(template))
    return [slot for slot in slots if slot.field and not slot.part]


def missing_from(task: Task, fields: Fields) -> tuple[str, ...]:
    """Placeholders of the task for which the record has no text, as the templates write them."""
    return _missing(fields, task.prompt, task.completion)


def _missing(fields: Fields, *templates: str) -> tuple[str, ...]:
    return tuple(slot.name for slot in _required(*templates) if not _value(slot, fields))


def prompt_completion(
    name: str, task: Task, fields: Fields, form: PromptForm = "plain"
) -> PromptCompletion | None:
    """The task's question and answer; None where the record has not all the fields."""
    prompt = render_prompt(task, fields)
    if prompt is None or _missing(fields, task.completion):
        return None
    first, *others = _filled(task.completion, fields)
    first = first._replace(
        literal=space_between(text_of(prompt), first.literal, form) + first.literal
    )
    return PromptCompletion(name, prompt, _render([first, *others], fields), form)


def space_between(prompt: str, completion: str, form: PromptForm) -> str:
    """What the completion begins with, so that it is apart from its prompt: a space, or nothing.

    The space belongs to the completion: GPT-2's tokens carry it.
    """
    apart = form != "plain" or prompt[-1:].isspace() or completion[:1].isspace()
    return "" if apart else " "


def render_prompt(task: Task, fields: Fields) -> tuple[Piece, ...] | None:
    """The task's question alone; None where the record has not all the fields that it names."""
    if _missing(fields, task.prompt):
        return None
    slots = _filled(task.prompt, fields)
    # However many literals end it: an optional part that is left out may be between them.
    while slots and slots[-1].field is None:
        last = slots.pop()
        if kept := last.literal.rstrip(" "):
            return _render([*slots, last._replace(literal=kept)], fields)
    return _render(slots, fields)


def _filled(template: str, fields: Fields) -> list[Slot]:
    """The template's slots without the optional parts that lack a field."""
    slots = parse_template(template)
    lacking = {slot.part for slot in slots if slot.field and not _value(slot, fields)}
    return [slot for slot in slots if slot.part not in lacking]


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


def _render(slots: Iterable[Slot], fields: Fields) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for slot in slots:
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
