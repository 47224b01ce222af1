"""What may stand in a table: the names of its columns and the values of its cells."""

import json
from collections.abc import Iterable

Cell = str | list[str] | None


def clean_name(name: str) -> str:
    """A column's name without the white space and the byte order mark that may stick to it."""
    return name.strip("\ufeff \t\r\n\xa0")


def first_places(header: Iterable[str]) -> dict[str, int]:
    """Where each name first stands in the header; empty names are no columns."""
    places: dict[str, int] = {}
    for index, name in enumerate(map(clean_name, header)):
        if name:
            places.setdefault(name, index)
    return places


def as_cell(value: object) -> Cell:
    """A typed value as text; a list stays a list, its nulls left out."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return [_as_text(item) for item in value if item is not None]
    return _as_text(value)


def _as_text(value: object) -> str:
    if isinstance(value, dict):  # A turn of a chat is what is said in it.
        said = value.get("content", value.get("value"))
        value = said if isinstance(said, str) else value
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool | int | float | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
