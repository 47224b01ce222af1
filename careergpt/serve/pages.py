"""Pages of HTML from templates; every text in them is escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from careergpt.data.names import title_key
from careergpt.data.report import DataReport
from careergpt.modeling.folder import CARD
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.occupations import Preparation
from careergpt.recommend.recommendation import how_known

SUGGESTED = 8

SHOWN_WHOLE = 24
"""Letters of an example that a field of the form has room for."""


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("careergpt.serve"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["percent"] = percent
    made.filters["hundredths"] = lambda share: round(100 * (share or 0))
    made.filters["takes"] = lambda preparation: str(Preparation(**preparation))
    made.globals |= {"link": link, "link_to": link_to, "how_known": how_known, "today": date.today}
    return made


def page(
    template: str, status: int = 200, headers: Mapping[str, str] = {}, **values: Any
) -> HTMLResponse:
    """The template with these values."""
    return HTMLResponse(_environment().get_template(template).render(values), status, headers)


def percent(share: float) -> str:
    """0.4567 as "46 %", 0.0021 as "0.21 %"; of less, what it is less than."""
    if 0 < share < 0.0001:
        return "< 0.01 %"
    return f"{share:.{2 if share < 0.01 else 0}%}".replace("%", " %")


def link(**asked: str) -> str:
    """The address of the page that answers this question."""
    return link_to("/", **asked)


def link_to(path: str, **asked: str) -> str:
    """The address of a page, with what is asked."""
    return f"{path}?" + urlencode({name: text for name, text in asked.items() if text})


def suggestions(known: Candidates, text: str) -> list[str]:
    """Known names that begin with the text, then those in which a word does; the frequent first."""
    key = title_key(text)
    if not key:
        return []
    begin = [name for name in known.names if title_key(name).startswith(key)]
    within = [name for name in known.names if f" {key}" in title_key(name)]
    return list(dict.fromkeys([*begin, *within]))[:SUGGESTED]


def examples(titles: Candidates, skills: Candidates) -> dict[str, str]:
    """What each field of the form shows that one may type: frequent names, which it shows whole."""
    names = sorted(titles.names, key=lambda name: len(name) > SHOWN_WHOLE)
    position, history, goal = (*names[:3], "", "", "")[:3]
    told = {"position": position, "history": history, "goal": goal}
    return {**told, "skills": ", ".join(skills.names[:2])}


def card(folder: Path) -> Markup:
    """The model's card as HTML; HTML within it is text."""
    path = folder / CARD
    if not path.is_file():
        return Markup("<p>This model folder has no card.</p>")
    body = path.read_text(encoding="utf-8", errors="replace")
    if body.startswith("---\n"):  # What the hub reads of it.
        body = body.partition("\n---\n")[2]
    body = re.sub(r"^<!-- /?\w+ -->$", "", body, flags=re.MULTILINE)  # Marks of its parts.
    text = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image").render(body)
    return Markup(text)


def data_report(folder: Path) -> str | None:
    """The report on the data of the run that a model is of; None where the run is not there."""
    try:
        text = (folder.parent / "data_report.json").read_text(encoding="utf-8")
        return str(DataReport(**json.loads(text)))
    except (OSError, ValueError, TypeError, KeyError):  # None, or of another version.
        return None


def comparison(folder: Path) -> Path | None:
    """The page that compare wrote beside a model; None where it did not."""
    path = folder.parent / "comparison" / "report.html"
    return path if path.is_file() else None
