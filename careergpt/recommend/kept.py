"""Results that depend on no query, stored at the end of a fit: neutral scores, skills of titles."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float16
from scipy.special import log_softmax

from careergpt.data.names import title_key
from careergpt.errors import InputError
from careergpt.recommend.arrays import of_shape, write_arrays
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.language_model import LanguageModel
from careergpt.recommend.ranking import Ranking

KEPT = "rankings.npz"
"""Its file in the model folder."""

_AFFORDABLE = 5e12
"""Products of a parameter and a token that the skills of titles may take: two minutes or three;
where the model ranks the likely alone, up to ten of one core: 4,054 titles took eight."""

_MOST = 50_000_000
"""Numbers of that table: 100 MB."""

_AT_ONCE = 64


class TitleSkills(NamedTuple):
    """Log-probabilities of skills for the titles most in training, in half precision."""

    rows: Mapping[str, int]
    logs: Float16[np.ndarray, "T S"]

    def of(self, title: str) -> np.ndarray | None:
        """Log-probability of each skill; None where the title has no row."""
        row = self.rows.get(title_key(title))
        if row is None:
            return None
        return np.asarray(log_softmax(self.logs[row].astype(np.float64)))

    @classmethod
    def of_tables(cls, tables: Mapping[str, np.ndarray], skills: int) -> TitleSkills | None:
        """Those of a model folder; None where it has none.

        Raises:
            InputError: They are of another number of skills.
        """
        if "skills_of" not in tables:
            return None
        titles = tables.get("titles", np.empty(0)).tolist()
        logs = of_shape(KEPT, tables["skills_of"], (len(titles), skills))
        return cls({title_key(str(title)): row for row, title in enumerate(titles)}, logs)


def title_skills(ranking: Ranking, skills: LanguageModel, titles: Candidates) -> TitleSkills | None:
    """Those of as many titles as can be afforded; None where the question needs more than one."""
    if not skills.can_ask({"position_title": "title"}):
        return None
    readings = []
    cost = skills.cost * ranking.share
    for name in titles.names[: int(min(_AFFORDABLE / cost, _MOST / len(ranking.candidates)))]:
        with suppress(InputError):  # What leaves a model no room is not asked.
            readings.append(skills.read({"position_title": name}))
    parts = [
        ranking.answers(skills, readings[at : at + _AT_ONCE]).astype(np.float16)
        for at in range(0, len(readings), _AT_ONCE)
    ]
    rows = {title_key(str(r.known["position_title"])): n for n, r in enumerate(readings)}
    return TitleSkills(rows, np.concatenate(parts)) if parts else None


def write_kept(
    path: Path, neutral: Mapping[str, np.ndarray], skills_of: TitleSkills | None
) -> None:
    """Writes them; `neutral` are the scores by task."""
    tables = dict(neutral)
    if skills_of is not None:
        tables |= {"titles": np.array(list(skills_of.rows)), "skills_of": skills_of.logs}
    write_arrays(path, tables)
