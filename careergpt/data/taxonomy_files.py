"""The tables of a taxonomy's download, and the occupations that are read from them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import NamedTuple

from careergpt.data.tables import find_tables, open_tables
from careergpt.errors import InputError

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

LEVELS = {
    group: level
    for level, groups in {
        4: "11 13 15 17 19 21 23 25 27 29 55-1 ISCO-01 ISCO-1 ISCO-2",
        3: "11-9051 11-9071 11-9081 13-1011 13-102 13-1031 13-2021 13-2072 13-2081 15-115 17-3 "
        "19-4 21-1093 23-2 25-9 27-2 27-4 29-2 33-1 35-1 41-3 41-4 43-1 45-1 47-1 49-1 51-1 53-1 "
        "53-2 53-5021 ISCO-14 ISCO-3",
        2: "25-9041 31 33 35 37-1 39 41 43 45 47 49 51 53 55 ISCO-0 ISCO-4 ISCO-5 ISCO-6 ISCO-7 "
        "ISCO-8",
        1: "35-9021 37 45-2092 45-2093 47-2061 53-7 55-3 ISCO-03 ISCO-9",
    }.items()
    for group in groups.split()
}
"""Skill level of these groups as ISCO-08 has it (ILO, 2012), from short instruction (1) to a degree
(4); groups of the SOC by those of ISCO that they mostly correspond to."""


class Occupation(NamedTuple):
    """What a taxonomy says of one occupation.

    Attributes:
        name: In the singular.
        titles: Other names of it.
        field: Its major group, as `MAJOR_GROUPS` names it.
        next: Occupations that people may change to, as names, the likeliest first.
        job_zone: 1 (little preparation) to 5 (extensive), as a text; "" where it is not said.
        education: What most of those who do the work say that it takes; "" where it is not said.
        skill_level: As `LEVELS` has it, as a text.
        optional: Skills that some who do the work have.
    """

    name: str
    description: str
    titles: tuple[str, ...]
    skills: tuple[str, ...]
    field: str
    next: tuple[str, ...] = ()
    job_zone: str = ""
    education: str = ""
    skill_level: str = ""
    optional: tuple[str, ...] = ()


def level_of(code: str) -> int:
    """The skill level of a code such as "29-2061.00" or "ISCO-2221"; 0 of one of no known group."""
    groups = (code[:length] for length in range(len(code), 0, -1))
    return next((LEVELS[group] for group in groups if group in LEVELS), 0)


def files_in(folder: str) -> dict[str, str]:
    """The tables of a folder or archive by their names, without case, spaces and language."""
    places = find_tables(folder)[0]
    stems = (PurePath(place).name.partition(".")[0] for place in places)
    return {
        bare(re.sub(r"_en$", "", stem)): place for stem, place in zip(stems, places, strict=True)
    }


def rows_in(files: Mapping[str, str], name: str, *columns: str) -> Iterator[tuple[str, ...]]:
    """The cells of these columns, of rows that have the first two.

    Raises:
        InputError: There is no such file, it has no such column, or a row cannot be read.
    """
    place = files.get(bare(name))
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


def lists_by(pairs: Iterable[tuple[str, ...]]) -> defaultdict[str, list[str]]:
    """The second cells by the first."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for one, other in pairs:
        found[one].append(other)
    return found


def bare(name: str) -> str:
    """A table's name as names are compared."""
    return re.sub(r"[\W_]+", "", name).casefold()
