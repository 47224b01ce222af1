"""Taxonomies, O*NET and ESCO: occupations of every field, as rows of the project's own columns."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from random import Random
from typing import NamedTuple

from careergpt.data.names import distinct_names, title_key
from careergpt.data.tables import find_tables, open_tables
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

MAJOR_GROUPS = {
    number: f"{number} {name}"
    for number, _, name in (
        line.strip().partition(" ")
        for line in """
        11 Management
        13 Business and Financial Operations
        15 Computer and Mathematical
        17 Architecture and Engineering
        19 Life, Physical, and Social Science
        21 Community and Social Service
        23 Legal
        25 Education, Training, and Library
        27 Arts, Design, Entertainment, Sports, and Media
        29 Healthcare Practitioners and Technical
        31 Healthcare Support
        33 Protective Service
        35 Food Preparation and Serving
        37 Building and Grounds Cleaning and Maintenance
        39 Personal Care and Service
        41 Sales
        43 Office and Administrative Support
        45 Farming, Fishing, and Forestry
        47 Construction and Extraction
        49 Installation, Maintenance, and Repair
        51 Production
        53 Transportation and Material Moving
        55 Military
        ISCO-0 Armed forces
        ISCO-1 Managers
        ISCO-2 Professionals
        ISCO-3 Technicians and associate professionals
        ISCO-4 Clerical support
        ISCO-5 Service and sales
        ISCO-6 Skilled agricultural, forestry and fishery
        ISCO-7 Craft and related trades
        ISCO-8 Plant and machine operators
        ISCO-9 Elementary occupations
        """.strip().splitlines()
    )
}
"""Of the Standard Occupational Classification, and of ISCO-08: the column `field`."""


PREPARATION = ("job_zone", "education")
"""Columns that say what an occupation takes, where the taxonomy does."""

TAXONOMY = ("occupation", "other_titles", *PREPARATION)
"""Columns of what a table says of occupations beside its examples."""


class Occupation(NamedTuple):
    """What a taxonomy says of one occupation.

    Attributes:
        name: In the singular.
        titles: Other names of it.
        field: Its major group, as `MAJOR_GROUPS` names it.
        next: Occupations that people change to, as names, the nearest first.
        job_zone: 1 (little preparation) to 5 (extensive), as a text; "" where it is not said.
        education: What most of those who do the work say that it takes; "" where it is not said.
    """

    name: str
    description: str
    titles: tuple[str, ...]
    skills: tuple[str, ...]
    field: str
    next: tuple[str, ...] = ()
    job_zone: str = ""
    education: str = ""


def read_onet(folder: str) -> list[Occupation]:
    """The occupations of O*NET's text files, `db_24_2_text` and later ones.

    Without those of "all others": of what they do it says that it is not said elsewhere.
    """
    files = _files(folder)
    found = _rows(files, "Occupation Data", "O*NET-SOC Code", "Title", "Description")
    occupations = [row for row in found if "All Other" not in row[1]]
    titles = _lists(_rows(files, "Alternate Titles", "O*NET-SOC Code", "Alternate Title"))
    skills = _lists(_rows(files, "Technology Skills", "O*NET-SOC Code", "Example"))
    # Since release 25 the related occupations have taken the matrix's place.
    moves = "Career Changers Matrix" if "careerchangersmatrix" in files else "Related Occupations"
    after = _lists(_rows(files, moves, "O*NET-SOC Code", "Related O*NET-SOC Code"))
    names = {code: singular(title) for code, title, _ in occupations}
    zones: dict[str, str] = {}
    if "jobzones" in files:
        zones |= {code: zone for code, zone in _rows(files, "Job Zones", *_CODE, "Job Zone")}
    education = _education(files) if _bare(_EDUCATION) in files else {}
    return [
        Occupation(
            name=names[code],
            description=description,
            titles=(title, *titles[code]),
            # "Adobe Systems Adobe Acrobat": the product's name has the vendor's in it.
            skills=tuple(re.sub(r"^(\w+) .*\b(?=\1\b)", "", skill) for skill in skills[code]),
            field=MAJOR_GROUPS.get(code[:2], code[:2]),
            next=tuple(names[other] for other in after[code] if other in names),
            job_zone=zones.get(code, ""),
            education=education.get(code, ""),
        )
        for code, title, description in occupations
    ]


_CODE = ("O*NET-SOC Code",)
_EDUCATION = "Education, Training, and Experience"


def _education(files: Mapping[str, str]) -> dict[str, str]:
    """By occupation the level of education that most name as required (scale RL)."""
    levels = {
        category: text
        for scale, category, text in _rows(
            files, f"{_EDUCATION} Categories", "Scale ID", "Category", "Category Description"
        )
        if scale == "RL"
    }
    most: dict[str, tuple[float, str]] = {}
    columns = (*_CODE, "Scale ID", "Category", "Data Value")
    for code, scale, category, share in _rows(files, _EDUCATION, *columns):
        if scale == "RL":
            most[code] = max(most.get(code, (0.0, "")), (float(share), levels.get(category, "")))
    return {code: text for code, (_, text) in most.items()}


def read_esco(folder: str) -> list[Occupation]:
    """The occupations of ESCO's CSV files, with their essential skills; it has no moves."""
    files = _files(folder)
    columns = ("conceptUri", "preferredLabel", "altLabels", "description", "iscoGroup")
    occupations = list(_rows(files, "occupations", *columns))
    names = {code: name for code, name in _rows(files, "skills", "conceptUri", "preferredLabel")}
    relations = _rows(
        files, "occupationSkillRelations", "occupationUri", "skillUri", "relationType"
    )
    skills = _lists((one, names.get(s, "")) for one, s, how in relations if how == "essential")
    return [
        Occupation(
            name=name,
            description=description,
            titles=tuple(titles.splitlines()),
            skills=tuple(filter(None, skills[code])),
            field=MAJOR_GROUPS.get(f"ISCO-{group[:1]}", group[:1]),
        )
        for code, name, titles, description, group in occupations
    ]


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
        "titles and technology skills are drawn. USDOL/ETA has not approved, endorsed or tested "
        "these modifications.",
    ),
    "esco": Taxonomy(
        read_esco,
        "This file uses the ESCO classification of the European Commission, "
        "https://esco.ec.europa.eu, reused under Commission Decision 2011/833/EU, with this "
        "acknowledgement. careergpt has modified it: other titles and essential skills are "
        "drawn.",
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
        # With the first row all titles, for whoever matches others' to them.
        also = {"other_titles": others} if title == name else {}
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


# A plural that ends the name of those who do the work: what follows says where, or how.
_HEAD = re.compile(r"\b(?!sales)([\w']*[^\Wsui])s(?=$|,|/|--| and\b| or\b| \()", re.IGNORECASE)
_QUALIFIED = re.compile(r",? (?:Except|Including|All Other|of|for|in)\b")


def singular(title: str) -> str:
    """An English title in the singular: O*NET's are in the plural, people's are not.

    Example:
        singular("Truck Mechanics, Except Diesel") == "Truck Mechanic, Except Diesel"
    """
    head = _QUALIFIED.split(title)[0]
    return _HEAD.sub(_one, head) + title[len(head) :]


def _one(found: re.Match[str]) -> str:
    for plural, one in (("wive", "wife"), ("ie", "y"), ("sse", "ss"), ("che", "ch")):
        if found[1].casefold().endswith(plural):
            return found[1][: -len(plural)] + one
    return found[1]


def _files(folder: str) -> dict[str, str]:
    """The tables of a folder or archive by their names, without case, spaces and language."""
    places = find_tables(folder)[0]
    stems = (PurePath(place).name.partition(".")[0] for place in places)
    return {
        _bare(re.sub(r"_en$", "", stem)): place for stem, place in zip(stems, places, strict=True)
    }


def _rows(files: Mapping[str, str], name: str, *columns: str) -> Iterator[tuple[str, ...]]:
    """The cells of these columns, of rows that have the first two.

    Raises:
        InputError: There is no such file, it has no such column, or a row cannot be read.
    """
    place = files.get(_bare(name))
    if place is None:
        raise InputError(
            f"no table {name!r} (there are: {', '.join(sorted(files.values()))[:300]}): give the "
            "folder of O*NET's text files, or of ESCO's CSV files in English"
        )
    (table,) = open_tables(place)
    if lacking := [column for column in columns if column not in table.columns]:
        raise InputError(
            f"{place} has no column {lacking[0]!r} (it has: {', '.join(table.columns[:20])}): "
            "give the file as it was downloaded"
        )
    for row in table.rows():
        if row.fault:
            raise InputError(f"{row.place} has {row.fault}: download the file again")
        cells = tuple(str(row.cells[column] or "").strip() for column in columns)
        if cells[0] and cells[1]:
            yield cells


def _lists(pairs: Iterable[tuple[str, ...]]) -> defaultdict[str, list[str]]:
    """The second cells by the first."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for one, other in pairs:
        found[one].append(other)
    return found


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()
