"""Explanations of a position: what each skill does to its log-odds, the others scored anew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from careergpt.recommend.calibration import log_odds
from careergpt.recommend.predictor import Logs, PersonQuery, Predictor, first
from careergpt.recommend.recommendation import Effect

FIRST = 20
"""Candidates over which an answer is explained: the others hardly change it, and cost the most. Of
817 candidates the log-odds of eight people were 0.16 nats off, over 30 of them 0.14 in 1.3 times
and over 100 of them 0.08 in three times the time; of the demo's candidates less than 0.01."""

NEAR = f"What raises a position is worked out beside the {FIRST} likeliest positions alone."


class Explanation:
    """Why one person gets these positions.

    `logs` is their distribution over the candidates; of these, the first `FIRST` alone are compared
    unless `exact` asks for all. `places` are those of the positions that are explained.
    """

    def __init__(
        self,
        predictor: Predictor,
        query: PersonQuery,
        logs: Logs,
        places: Sequence[int],
        exact: bool = False,
    ) -> None:
        """Works out nothing yet."""
        self._predictor, self._query, self._logs, self._places = predictor, query, logs, places
        self._among = None
        if not exact and len(logs) > FIRST:
            held = predictor.titles.places_of(query.person.career)
            self._among = list(dict.fromkeys([*first(logs, FIRST), *held]))

    def leave_one_out(self) -> list[tuple[Effect, ...]]:
        """For each position what each of the person's skills does to it, the most helpful first.

        The effect is the position's log-odds less its log-odds for the person without the skill.
        Skills that the model has no room to read have none; neither has an only skill, without
        which it would be another question.
        """
        read = self._query.readings.get("position")
        skills = read.known["skills"] if read else ()
        asks = len(skills) > 1 and self._predictor.can_ask("position", {"skills": skills[1:]})
        if not self._places or not asks:
            return [()] * len(self._places)
        own, others = self._log_odds([tuple(o for o in skills if o != s) for s in skills])
        return [
            tuple(sorted(map(Effect, skills, column.tolist()), key=lambda e: -e.log_odds))
            for column in (own - others).T
        ]

    def add_one_in(self, lacks: Sequence[Sequence[str]]) -> list[Effect | None]:
        """For each position the lacking skill that would raise it most; None: none would.

        `lacks` has for each position its skills that the person lacks. Nothing is compared for a
        person without skills: one skill would bring in a whole new question.
        """
        wanted = list(dict.fromkeys(skill for skills in lacks for skill in skills))
        if not self._places or not wanted or "position" not in self._query.readings:
            return [None] * len(self._places)
        # First of all skills: where not all can be read, the last are left out.
        own, others = self._log_odds([(skill, *self._query.person.skills) for skill in wanted])
        found: list[Effect | None] = []
        for column, skills in zip((others - own).T, lacks, strict=True):
            effects = [Effect(skill, float(column[wanted.index(skill)])) for skill in skills]
            best = max(effects, key=lambda effect: effect.log_odds, default=None)
            found.append(best if best and best.log_odds > 0 else None)
        return found

    def _log_odds(
        self, lists: Sequence[tuple[str, ...]]
    ) -> tuple[Float64[np.ndarray, "1 P"], Float64[np.ndarray, "N P"]]:
        """Log-odds of the positions for the person, and with each of these skills instead."""
        readings = [self._predictor.read("position", {"skills": skills}) for skills in lists]
        said, places = self._predictor.log_probabilities, self._places
        if self._among is None:
            others = said(self._query, *readings)
            return log_odds(self._logs[None], places), log_odds(others, places)
        both = [self._query.readings["position"], *readings]
        logs = said(self._query, *both, among=self._among)
        found = log_odds(logs, list(map(self._among.index, places)))
        return found[:1], found[1:]
