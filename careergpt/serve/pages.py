"""Pages of HTML from templates; every text in them is escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from careergpt.data.names import title_key
from careergpt.modeling.folder import CARD
from careergpt.recommend.candidates import Candidates

SUGGESTED = 8


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("careergpt.serve"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["percent"] = percent
    made.globals["link"] = link
    return made


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The template with these values."""
    return HTMLResponse(_environment().get_template(template).render(values), status)


def percent(share: float) -> str:
    """0.4567 as "46 %", and what is less than half a percent as what it is less than."""
    return "< 1 %" if 0 < share < 0.005 else f"{share:.0%}".replace("%", " %")


def link(**asked: str) -> str:
    """The address of the page that answers this question."""
    return "/?" + urlencode({name: text for name, text in asked.items() if text})


def suggestions(known: Candidates, text: str) -> list[str]:
    """Known names that begin with the text, then those in which a word does; the frequent first."""
    key = title_key(text)
    if not key:
        return []
    begin = [name for name in known.names if title_key(name).startswith(key)]
    within = [name for name in known.names if f" {key}" in title_key(name)]
    return list(dict.fromkeys([*begin, *within]))[:SUGGESTED]


def card(folder: str) -> Markup:
    """The model's card as HTML; HTML within it is text."""
    path = Path(folder) / CARD
    if not path.is_file():
        return Markup("<p>This model folder has no card.</p>")
    body = path.read_text(encoding="utf-8")
    if body.startswith("---\n"):  # What the hub reads of it.
        body = body.partition("\n---\n")[2]
    text = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image").render(body)
    return Markup(text)
