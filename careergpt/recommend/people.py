"""People who ask for a recommendation: position, skills and history, cleaned as tables are."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from careergpt.data.cleaning import LINE_ENDS, clean_item, is_missing, split_list
from careergpt.data.foreign_files import reading
from careergpt.data.names import clean_title, title_key
from careergpt.data.text_files import HALF_CHARACTER, excerpt, json_object, read_lines
from careergpt.errors import InputError

STANDARD_INPUT = "-"

MAX_ITEM_CHARS = 200
"""A longer title or skill is a description in the wrong place, and cleaning it takes long."""

_SKILL_ENDS = re.compile(rf"[|;\n]|{LINE_ENDS.pattern}")
_TITLE_ENDS = re.compile(rf"[;\n]|(?<=\s)>(?=\s)|{LINE_ENDS.pattern}")


class Person(NamedTuple):
    """What someone tells of themselves; empty where they do not.

    `person_of({"skills": "sql, excel"}, "here")` is `Person("", ("sql", "excel"), ())`.

    Attributes:
        position: The title that they have.
        skills: What they can do, each once.
        history: The titles that they have held, oldest first.
    """

    position: str = ""
    skills: tuple[str, ...] = ()
    history: tuple[str, ...] = ()

    @property
    def career(self) -> tuple[str, ...]:
        """The titles held, oldest first, the position last."""
        held, position = self.history, self.position
        if not position or (held and title_key(held[-1]) == title_key(position)):
            return held
        return (*held, position)


def person_of(values: Mapping[str, object], place: str) -> Person:
    """The person whom these values tell of; None tells nothing.

    Args:
        values: "position" as a text, "skills" and "history" as a list of texts or as one text:
            skills between |, comma, semicolon or line ends; titles between ;, " > " or line ends.
        place: Where this stands, for errors: "people.jsonl:3".

    Raises:
        InputError: Another key, a value that is no text, an item too long, or nothing told.
    """
    for key in values:
        if key not in Person._fields:
            raise InputError(
                f"{place}: {excerpt(str(key))} is none of {', '.join(Person._fields)}. "
                "Rename or remove it"
            )
    position = values.get("position")
    if position is not None and not isinstance(position, str):
        raise _no_text("position", "one text", position, place)
    titles = _cleaned([position or ""], clean_title, "position", place)
    skills = _cleaned(_items("skills", values, _split_skills, place), clean_item, "skills", place)
    ends = _TITLE_ENDS.split
    history = _cleaned(_items("history", values, ends, place), clean_title, "history", place)
    first: dict[str, str] = {}
    for skill in skills:  # Of those compared as equal, the first counts.
        first.setdefault(title_key(skill), skill)
    person = Person("".join(titles), tuple(first.values()), tuple(history))
    if not any(person):
        raise InputError(
            f"{place}: nothing is told in words of this person. Give a position, skills or a "
            "history"
        )
    return person


def _items(
    key: str, values: Mapping[str, object], split: Callable[[str], list[str]], place: str
) -> list[str]:
    """The items of a list, those left empty out, or of a text that is split; none if not told."""
    value = values.get(key)
    if value is None:
        return []
    if isinstance(value, str):
        return split(value)
    found = value if isinstance(value, list | tuple) else [value]
    items = []
    for item in found:
        if isinstance(item, str):
            items.append(item)
        elif item is not None or found is not value:
            raise _no_text(key, "a text or a list of texts", item, place)
    return items


def _split_skills(text: str) -> list[str]:
    # A comma in brackets separates nothing: "AWS (EC2, S3)".
    return [item for part in _SKILL_ENDS.split(text) for item in split_list(part, ",")]


def _cleaned(items: Iterable[str], clean: Callable[[str], str], key: str, place: str) -> list[str]:
    """The items as training records would hold them; those that say nothing vanish."""
    items = [item.strip() for item in items]
    for item in items:
        if len(item) > MAX_ITEM_CHARS:
            raise InputError(
                f"{place}: {excerpt(item)} in {key} has {len(item):,} characters, and "
                f"{MAX_ITEM_CHARS} are the most. Shorten or divide it"
            )
        if HALF_CHARACTER.search(item):
            raise InputError(
                f"{place}: {excerpt(item)} in {key} holds half a character, a lone surrogate. "
                "Write it anew as UTF-8"
            )
    return [item for item in map(clean, items) if not is_missing(item)]


def _no_text(key: str, wanted: str, found: object, place: str) -> InputError:
    # The type alone: to show a value may take as deep a recursion as the value is nested.
    return InputError(f"{place}: {key} holds a value of type {type(found).__name__}. Give {wanted}")


def read_people(path: str) -> list[Person]:
    """Everyone in a JSON Lines file, one object a line; "-" is standard input.

    All of it is read and checked before anyone is answered.

    Raises:
        InputError: It is missing, unreadable, empty, or has a line that tells of nobody.
    """
    name = "standard input" if path == STANDARD_INPUT else path
    lines = _standard_input(name) if path == STANDARD_INPUT else read_lines(path)
    places = ((line, f"{name}:{number}") for number, line in lines)
    return [person_of(json_object(line, place), place) for line, place in places]


def _standard_input(name: str) -> list[tuple[int, str]]:
    """Its lines that hold something, and their numbers from 1."""
    with reading(name):
        content = sys.stdin.buffer.read() if sys.stdin else b""  # None where it is closed.
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + error.object.count(b"\n", 0, error.start)
        byte = error.object[error.start]
        raise InputError(
            f"{name}:{line}: the byte 0x{byte:02x} is not UTF-8. Send UTF-8"
        ) from error
    lines = enumerate(io.StringIO(text, newline=""), start=1)
    numbered = [(number, line.strip()) for number, line in lines if line.strip()]
    if not numbered:
        raise InputError(f"{name} is empty: write one JSON object a line")
    return numbered
