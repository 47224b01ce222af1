"""O*NET: the occupations of its text files, https://www.onetcenter.org/database.html."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from careergpt.data.taxonomy_files import (
    MAJOR_GROUPS,
    Occupation,
    bare,
    files_in,
    level_of,
    lists_by,
    rows_in,
)

_CODE = ("O*NET-SOC Code",)
_TITLES = (*_CODE, "Alternate Title", "Short Title")
_EDUCATION = "Education, Training, and Experience"


def read_onet(folder: str) -> list[Occupation]:
    """The occupations of O*NET's text files, `db_24_2_text` and later ones.

    Without those of "all others": of what they do it says that it is not said elsewhere.
    """
    files = files_in(folder)
    found = rows_in(files, "Occupation Data", "O*NET-SOC Code", "Title", "Description")
    occupations = [row for row in found if "All Other" not in row[1]]
    titles: defaultdict[str, list[str]] = defaultdict(list)
    for code, title, short in rows_in(files, "Alternate Titles", *_TITLES):
        # "Registered Nurse (RN)" is called RN, too.
        titles[code] += [title] if short in ("", "n/a") else [title, short]
    skills = lists_by(rows_in(files, "Technology Skills", "O*NET-SOC Code", "Example"))
    # Since release 25 the related occupations have taken the matrix's place.
    moves = "Career Changers Matrix" if "careerchangersmatrix" in files else "Related Occupations"
    after = lists_by(rows_in(files, moves, "O*NET-SOC Code", "Related O*NET-SOC Code"))
    names = {code: singular(title) for code, title, _ in occupations}
    zones: dict[str, str] = {}
    if "jobzones" in files:
        zones |= {code: zone for code, zone in rows_in(files, "Job Zones", *_CODE, "Job Zone")}
    education = _education(files) if bare(_EDUCATION) in files else {}
    return [
        Occupation(
            name=names[code],
            description=description,
            titles=(title, *titles[code]),
            # "Adobe Systems Adobe Acrobat": the product's name has the vendor's in it.
            skills=tuple(re.sub(r"^(\w+) .*\b(?=\1\b)", "", skill) for skill in skills[code]),
            field=MAJOR_GROUPS.get(code[:2], code[:2]),
            next=tuple(names[other] for other in _lower_last(code, after[code]) if other in names),
            job_zone=zones.get(code, ""),
            education=education.get(code, ""),
            skill_level=str(level_of(code) or ""),
        )
        for code, title, description in occupations
    ]


def _lower_last(code: str, after: Iterable[str]) -> list[str]:
    """What people change to in its order, what takes less skill last.

    The matrix names what people are able to do, a nurse what practical nurses do: few ask for it.
    """
    return sorted(after, key=lambda other: level_of(other) < level_of(code))


def _education(files: Mapping[str, str]) -> dict[str, str]:
    """By occupation the level of education that most name as required (scale RL)."""
    levels = {
        category: text
        for scale, category, text in rows_in(
            files, f"{_EDUCATION} Categories", "Scale ID", "Category", "Category Description"
        )
        if scale == "RL"
    }
    most: dict[str, tuple[float, str]] = {}
    columns = (*_CODE, "Scale ID", "Category", "Data Value")
    for code, scale, category, share in rows_in(files, _EDUCATION, *columns):
        if scale == "RL":
            most[code] = max(most.get(code, (0.0, "")), (float(share), levels.get(category, "")))
    return {code: text for code, (_, text) in most.items()}


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
