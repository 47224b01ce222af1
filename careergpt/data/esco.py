"""ESCO: the occupations of its CSV files in English, https://esco.ec.europa.eu."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from careergpt.data.taxonomy_files import (
    MAJOR_GROUPS,
    Occupation,
    files_in,
    level_of,
    lists_by,
    rows_in,
)

MOST = 10
"""Occupations that one may change to."""

LEAST = 0.1
"""Likeness of two occupations from which on they have something in common."""

LOWER, HIGHER = 0.5, 0.7
"""What likeness counts where the other takes less skill, or more: a chef becomes a pastry chef
sooner than a cook, and a bank teller a cashier of foreign exchange sooner than a trader."""


def read_esco(folder: str) -> list[Occupation]:
    """The occupations of ESCO's CSV files, with their essential skills.

    Of moves it says nothing. The occupations that are most alike stand in for them.
    """
    files = files_in(folder)
    columns = ("conceptUri", "preferredLabel", "altLabels", "description", "iscoGroup")
    occupations = list(rows_in(files, "occupations", *columns))
    names = {code: name for code, name in rows_in(files, "skills", "conceptUri", "preferredLabel")}
    related = rows_in(
        files, "occupationSkillRelations", "occupationUri", "skillUri", "relationType"
    )
    known = [(one, names[skill], how) for one, skill, how in related if skill in names]
    skills, optional = (
        lists_by((one, skill) for one, skill, how in known if (how == "essential") == essential)
        for essential in (True, False)
    )
    near = alike(
        [skills[code] for code, *_ in occupations],
        [skills[code] + optional[code] for code, *_ in occupations],
        [" ".join(said) for _, *said, _ in occupations],
        [level_of(f"ISCO-{group}") for *_, group in occupations],
    )
    return [
        Occupation(
            name=name,
            description=description,
            titles=tuple(titles.splitlines()),
            skills=tuple(skills[code]),
            field=MAJOR_GROUPS.get(f"ISCO-{group[:1]}", group[:1]),
            next=tuple(occupations[other][1] for other in others),
            skill_level=str(level_of(f"ISCO-{group}") or ""),
            optional=tuple(optional[code]),
        )
        for (code, name, titles, description, group), others in zip(occupations, near, strict=True)
    ]


def alike(
    essential: Sequence[Sequence[str]],
    every: Sequence[Sequence[str]],
    texts: Sequence[str],
    levels: Sequence[int],
) -> list[list[int]]:
    """For each occupation the `MOST` others that are most alike, the likest first.

    Those that share skills, the rarer the more, are what people change to at little cost (Kanders
    et al., Mapping Career Causeways, Nesta, 2020). Skills alone took a leather measuring operator
    for the next of a forklift operator: what is said of them counts, too.

    Args:
        essential: The skills that each must have.
        every: These and the optional ones.
        texts: The names and the description of each. Likeness is the mean of the three cosines of
            TF-IDF.
        levels: The skill level of each; where it differs, likeness counts `LOWER` or `HIGHER`.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = list(map(TfidfVectorizer(stop_words="english").build_analyzer(), texts))
    tf_idf = TfidfVectorizer(analyzer=list, sublinear_tf=True)
    vectors = [tf_idf.fit_transform(some) for some in (essential, every, words) if any(some)]
    level, found = np.array(levels), []
    for place in range(len(levels)):
        like = np.zeros(len(levels))
        for some in vectors:
            like += (some[[place]] @ some.T).toarray()[0] / 3
        like *= np.select([level < level[place], level > level[place]], [LOWER, HIGHER], 1)
        like[place] = 0
        order = (-like).argsort(kind="stable")[:MOST]
        found.append([int(other) for other in order if like[other] >= LEAST])
    return found
