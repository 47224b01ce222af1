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

LEAST, LOWER = 0.1, 0.5
"""Cosine of the skills of two occupations from which on they have something in common, and what it
counts where the other takes less skill: a chef becomes a pastry chef sooner than a cook."""


def read_esco(folder: str) -> list[Occupation]:
    """The occupations of ESCO's CSV files, with their essential skills.

    Of moves it says nothing. Those that share the most skills stand in for them, the rarer a skill
    the more it counts: what people can change to at little cost (Kanders et al., Mapping Career
    Causeways, Nesta, 2020).
    """
    files = files_in(folder)
    columns = ("conceptUri", "preferredLabel", "altLabels", "description", "iscoGroup")
    occupations = list(rows_in(files, "occupations", *columns))
    names = {code: name for code, name in rows_in(files, "skills", "conceptUri", "preferredLabel")}
    relations = rows_in(
        files, "occupationSkillRelations", "occupationUri", "skillUri", "relationType"
    )
    essential = (pair for *pair, how in relations if how == "essential")
    skills = lists_by((one, names[skill]) for one, skill in essential if skill in names)
    levels = [level_of(f"ISCO-{group}") for *_, group in occupations]
    near = sharing([skills[code] for code, *_ in occupations], levels)
    return [
        Occupation(
            name=name,
            description=description,
            titles=tuple(titles.splitlines()),
            skills=tuple(skills[code]),
            field=MAJOR_GROUPS.get(f"ISCO-{group[:1]}", group[:1]),
            next=tuple(occupations[other][1] for other in others),
        )
        for (code, name, titles, description, group), others in zip(occupations, near, strict=True)
    ]


def sharing(lists: Sequence[Sequence[str]], levels: Sequence[int]) -> list[list[int]]:
    """For each occupation the `MOST` others that share most of its skills, the nearest first.

    Args:
        lists: The skills of each; likeness is the cosine of their TF-IDF.
        levels: The skill level of each; what takes less than the occupation counts `LOWER`.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not any(lists):
        return [[] for _ in lists]
    vectors, level = TfidfVectorizer(analyzer=list).fit_transform(lists), np.array(levels)
    found = []
    for place, vector in enumerate(vectors):
        like = (vector @ vectors.T).toarray()[0] * np.where(level < level[place], LOWER, 1)
        like[place] = 0
        order = (-like).argsort(kind="stable")[:MOST]
        found.append([int(other) for other in order if like[other] >= LEAST])
    return found
