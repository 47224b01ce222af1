"""Why a position is recommended: skills taken away and added, and all candidates scored anew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from scipy.special import logsumexp

from careergpt.recommend.forecast import Forecast
from careergpt.recommend.people import Person
from careergpt.recommend.recommendation import Effect

Logs = Float64[np.ndarray, " C"]


def leave_one_out(
    forecast: Forecast, person: Person, logs: Logs, places: Sequence[int]
) -> list[tuple[Effect, ...]]:
    """For each position what each of the person's skills does to it, the most helpful first.

    The effect is the position's log-odds less its log-odds for the person without the skill. Skills
    that the model has no room to read have none; neither has an only skill, without which it would
    be another question.

    Args:
        forecast: The distributions.
        person: Who asks.
        logs: The person's own distribution.
        places: The positions.
    """
    read = forecast.read(person)
    skills = read["position"].known["skills"] if "position" in read else ()
    if not places or len(skills) < 2:
        return [()] * len(places)
    others = [person._replace(skills=tuple(s for s in skills if s != skill)) for skill in skills]
    without = _log_odds(forecast.positions(others), places)
    gains = _log_odds(logs[None], places) - without
    return [
        tuple(sorted(map(Effect, skills, gains[:, column].tolist()), key=lambda e: -e.log_odds))
        for column in range(len(places))
    ]


def add_one_in(
    forecast: Forecast,
    person: Person,
    logs: Logs,
    places: Sequence[int],
    lacks: Sequence[Sequence[str]],
) -> list[Effect | None]:
    """For each position the lacking skill that would raise its log-odds most; None: none would.

    Nothing is compared for a person without skills: one skill would bring in a whole new question.

    Args:
        forecast: The distributions.
        person: Who asks.
        logs: The person's own distribution.
        places: The positions.
        lacks: For each position its skills that the person lacks.
    """
    wanted = list(dict.fromkeys(skill for some in lacks[: len(places)] for skill in some))
    if not places or not wanted or "position" not in forecast.read(person):
        return [None] * len(places)
    # First of all skills: where not all can be read, the last are left out.
    others = [person._replace(skills=(skill, *person.skills)) for skill in wanted]
    gains = _log_odds(forecast.positions(others), places) - _log_odds(logs[None], places)
    found: list[Effect | None] = []
    for column, own in zip(range(len(places)), lacks, strict=False):
        effects = [Effect(skill, float(gains[wanted.index(skill), column])) for skill in own]
        best = max(effects, key=lambda effect: effect.log_odds, default=None)
        found.append(best if best and best.log_odds > 0 else None)
    return found


def _log_odds(
    logs: Float64[np.ndarray, "N C"], places: Sequence[int]
) -> Float64[np.ndarray, "N P"]:
    """Log P / (1 - P) of the places; 0 where no other candidate is left, for nothing changes that.

    The odds are against the sum of the others: 1 - P would be 0 for what is all but certain.
    """
    odds = np.zeros((len(logs), len(places)))
    for column, place in enumerate(places):
        others = logs.copy()
        others[:, place] = -np.inf
        if np.isfinite(others).any():
            odds[:, column] = logs[:, place] - logsumexp(others, axis=1)
    return odds
