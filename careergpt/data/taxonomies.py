"""Taxonomies, O*NET and ESCO: occupations of every field, as rows of the project's own columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from careergpt.data.esco import read_esco
from careergpt.data.names import distinct_names, title_key
from careergpt.data.onet import read_onet
from careergpt.data.taxonomy_files import Occupation
from careergpt.data.whole_files import check_writable, whole, write_lines
from careergpt.errors import InputError

DRAWS = 8
"""Of an occupation its other titles, and lists of its skills: as many of each, of any occupation,
for one with a hundred titles is no more of the world of work than one with three."""

FEWEST, MOST = 3, 8
"""Skills in a drawn list: what a person names."""

MOVES = 10
"""Careers of the change that a taxonomy names first."""

VAGUE = 5
"""Occupations that a title may stand for, from which on it names none: Operator, Inspector."""

PREPARATION = ("job_zone", "education", "skill_level")
"""Columns that say what an occupation takes, where the taxonomy does."""

LISTS = ("changes_to", "optional_skills")
"""Columns that list what its examples alone do not tell."""

TAXONOMY = ("occupation", "other_titles", *LISTS, *PREPARATION)
"""Columns of what a table says of occupations beside its examples."""


class Taxonomy(NamedTuple):
    """How a taxonomy's download is read, and what it asks of those who use it."""

    read: Callable[[str], list[Occupation]]
    licence: str


TAXONOMIES = {
    "onet": Taxonomy(
        read_onet,
        "This file includes information from the O*NET Database by the U.S. Department of Labor, "
        "Employment and Training Administration (USDOL/ETA), https://www.onetcenter.org, used "
        "under the CC BY 4.0 license (https://creativecommons.org/licenses/by/4.0/). O*NET(R) is "
        "a trademark of USDOL/ETA. careergpt has modified it: titles are in the singular, other "
        "titles and technology skills are drawn, career changes are reordered. USDOL/ETA has not "
        "approved, endorsed or tested these modifications.",
    ),
    "esco": Taxonomy(
        read_esco,
        "This file uses the ESCO classification of the European Commission, "
        "https://esco.ec.europa.eu, reused under Commission Decision 2011/833/EU, with this "
        "acknowledgement. careergpt has modified it: other titles and essential skills are "
        "drawn, and careers are made from what occupations share.",
    ),
}


def convert_taxonomy(kind: str, folder: str, out: str) -> str:
    """Writes a taxonomy as a table, `FILE.jsonl`, and its licence beside it; says what is in it."""
    path = Path(out)
    if path.suffix != ".jsonl":
        raise InputError(f"--out {out}: the table is of JSON Lines; name it FILE.jsonl")
    check_writable(path, "--out", is_file=True)
    read, licence = TAXONOMIES[kind]
    occupations = read(folder)
    rows = [row for occupation in _without_vague(occupations) for row in rows_of(occupation)]
    beside = path.with_suffix(".LICENCE")
    with whole(beside) as partial:  # First: the table never lies there without it.
        partial.write_text(licence + "\n", encoding="utf-8")
    write_lines(path, rows)
    return (
        f"{path}: {len(occupations):,} occupations in {len(rows):,} rows. {licence} (Also in "
        f"{beside}: keep it beside what you share.)"
    )


def _without_vague(occupations: Sequence[Occupation]) -> Iterator[Occupation]:
    """The occupations without the titles that too many of them share."""
    of = Counter(key for one in occupations for key in {*map(title_key, one.titles)})
    for one in occupations:
        titles = (title for title in one.titles if of[title_key(title)] < VAGUE)
        yield one._replace(titles=tuple(titles))


def rows_of(occupation: Occupation) -> Iterator[dict[str, str | list[str]]]:
    """The rows that one occupation gives, each with its name and its field.

    Under its name and under drawn other titles, its description; these are near-duplicates, and
    stand in one split. Under the same titles, drawn lists of its skills: there are more under the
    name, which so becomes a candidate. And careers of two titles for each change to another: the
    order of changes is told, not how often they happen, and `MOVES` / n of the n-th is as frequency
    falls with rank (Zipf, 1949). Of one career each, counts and model would learn no order.
    """
    rng = Random(occupation.name)  # Whatever else the taxonomy holds.
    shared: dict[str, str | list[str]] = {"occupation": occupation.name, "field": occupation.field}
    told = {name: getattr(occupation, name) for name in PREPARATION}
    shared |= {name: text for name, text in told.items() if text}
    name, *others = distinct_names((occupation.name, *occupation.titles))
    drawn = rng.sample(others, min(DRAWS, len(others)))
    for title in (name, *drawn):
        # With the first row all titles, for whoever matches others' to them, and all changes, whose
        # careers are made: nobody has seen them.
        every = {
            "other_titles": others,
            "changes_to": list(occupation.next),
            "optional_skills": list(distinct_names(occupation.optional)),
        }
        also = every if title == name else {}
        posting = {"position_title": title, "job_description": occupation.description}
        yield {**posting, **also, **shared}
    skills = distinct_names(occupation.skills)
    bounds = min(FEWEST, len(skills)), min(MOST, len(skills))
    lists = {
        (title, tuple(sorted(rng.sample(skills, rng.randint(*bounds))))): None
        for title in ([name] * DRAWS + drawn if skills else [])
    }
    for title, some in lists:
        yield {"position_title": title, "skills": list(some), **shared}
    for rank, other in enumerate(occupation.next, 1):
        for _ in range(max(MOVES // rank, 1)):
            yield {"titles": [name, other], **shared}
