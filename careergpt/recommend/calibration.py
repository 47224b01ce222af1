"""Calibration: how scores become probabilities, chosen on validation records by nats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from careergpt.errors import InputError
from careergpt.recommend.evaluation import Targets, places_inside

Logs = Float64[np.ndarray, "N C"]
Neutral = Float64[np.ndarray, "... C"]
"""Of all queries the same candidates' nats, or those of each query's own candidates."""

LOG_TEMPERATURES = (-3.0, 3.0)
"""Bounds of the search: temperatures from 0.05 to 20."""

SEARCH_ERROR = 1e-6
"""Nats a query that the search for a temperature may leave."""

EXPONENTS = (0.0, 2.0)
"""Bounds of the search: from skills that say nothing to skills that count twice."""

SURFACE_WEIGHTS = tuple(np.linspace(0.1, 1, 10).tolist())


class Calibration(NamedTuple):
    """How scores become probabilities.

    Attributes:
        surface: Weight `a` of log P(c | neutral prompt), which is taken from log P(c | prompt):
            names that are common as text are not for that reason the answer (Holtzman et al.,
            2021).
        temperature: What the result is divided by (Guo et al., 2017); above 1 it is less sure.
    """

    surface: float = 0.0
    temperature: float = 1.0

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Calibration:
        """What `_asdict` gave, from a model folder."""
        found = cls(float(content["surface"]), float(content["temperature"]))
        if not (math.isfinite(found.surface) and 0 < found.temperature < math.inf):
            raise InputError(f"no calibration has {found}")
        return found


AS_SCORED = Calibration()
"""Nothing is changed."""


class Blend(NamedTuple):
    """weight * P(model) + (1 - weight) * P(count model of the name `peer`)."""

    peer: str
    weight: float

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Blend:
        """What `_asdict` gave, from a model folder."""
        found = cls(str(content["peer"]), float(content["weight"]))
        if not 0 <= found.weight <= 1:
            raise InputError(f"no blend has a weight of {found.weight}")
        return found


class Choice(NamedTuple):
    """What validation found best for queries of one kind; without a blend the model ranks alone."""

    calibration: Calibration = AS_SCORED
    blend: Blend | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Choice:
        """What `as_json` gave, from a model folder."""
        blend = content.get("blend")
        found = Calibration.from_json(content["calibration"])
        return cls(found, None if blend is None else Blend.from_json(blend))

    def as_json(self) -> dict[str, Any]:
        """As careergpt.json holds it."""
        blend = None if self.blend is None else self.blend._asdict()
        return {"calibration": self.calibration._asdict(), "blend": blend}

    @property
    def shares(self) -> dict[str, float]:
        """The weight of each that ranks: "model", and the count model's name."""
        peer, weight = self.blend or ("", 1.0)
        return {name: w for name, w in (("model", weight), (peer, 1 - weight)) if w}


def calibrated(scores: Logs, neutral: Neutral, calibration: Calibration) -> Logs:
    """Log-probabilities, normalised over the candidates.

    `scores` are log P(candidate | prompt), `neutral` log P(candidate | neutral prompt).
    """
    corrected = scores - calibration.surface * neutral
    normalised = log_softmax(corrected / calibration.temperature, axis=1)
    return np.asarray(normalised, dtype=np.float64)


def fit_calibration(scores: Logs, neutral: Neutral, targets: Sequence[Targets]) -> Calibration:
    """The surface weight and the temperature that cost the fewest nats on validation queries.

    The weight is of a grid up to 1, each with a temperature of its own; it stays 0 unless it saves
    more than one standard error of the saving (Breiman et al., 1984), which a few queries' noise
    would not. The targets of a query share it equally; None, and queries without any other target,
    are passed over.
    """
    tried = {}
    for weight in (0.0, *SURFACE_WEIGHTS):
        temperature = fit_temperature(scores - weight * neutral, targets)
        chosen = Calibration(weight, temperature)
        tried[chosen] = query_nats(calibrated(scores, neutral, chosen), targets)
    plain, best = next(iter(tried)), min(tried, key=lambda chosen: float(tried[chosen].sum()))
    saved = tried[plain] - tried[best]
    if len(saved) < 2:
        return plain
    # The search for a temperature is not exact: what it leaves is the same for every query.
    noise = max(saved.std(ddof=1) / np.sqrt(len(saved)), SEARCH_ERROR)
    return best if saved.mean() > noise else plain


def fit_temperature(scores: Logs, targets: Sequence[Targets]) -> float:
    """The temperature that costs the fewest nats; 1 where no query has a target.

    One more query is counted whose answer could be any candidate (Laplace's rule of succession):
    a few that are all answered right would otherwise make the model certain of everything. Nats are
    convex in 1 / temperature: the one minimum within the bounds is found.
    """
    scored = [row for row, some in enumerate(targets) if places_inside(some)]
    if not scored:
        return 1.0
    kept, found = scores[scored], [targets[row] for row in scored]

    def cost(log_temperature: float) -> float:
        divided = log_softmax(kept / np.exp(log_temperature), axis=1)
        return float(query_nats(divided, found).sum() - divided.mean())

    best = minimize_scalar(cost, bounds=LOG_TEMPERATURES, method="bounded")
    return float(np.exp(best.x))


def blended(model: Logs, peer: Logs, weight: float) -> Logs:
    """Log of weight * P(model) + (1 - weight) * P(peer) (Jelinek & Mercer, 1980)."""
    with np.errstate(divide="ignore"):  # Of a weight of 0 or 1, one part is nothing: log 0.
        parts = np.log(weight) + model, np.log1p(-weight) + peer
    return np.asarray(np.logaddexp(*parts), dtype=np.float64)


def fit_blend(model: Logs, peer: Logs, targets: Sequence[Targets]) -> float:
    """The model's weight in [0, 1] that costs the fewest nats; 1 where no query has a target.

    Nats are convex in the weight. Both ends are tried: there, one of the two has nothing to add.
    """

    def cost(weight: float) -> float:
        return float(query_nats(blended(model, peer, weight), targets).sum())

    inner = minimize_scalar(cost, bounds=(0.0, 1.0), method="bounded").x
    return min((1.0, 0.0, float(inner)), key=cost)


def skill_likelihoods(
    skilled: Float64[np.ndarray, " C"], held: Sequence[int]
) -> Float64[np.ndarray, " C"]:
    """Log-likelihood of a person's skills under each next title, up to a constant.

    They may be the next title's or those of a title that is held, and then they say nothing of the
    next: P(skills | next, held) is in proportion to the sum of P(skills | title) over these titles,
    and this by Bayes' rule to P(title | skills), all titles being alike before. `skilled` is
    log P(title | skills), and `held` the places of the titles held.
    """
    places = np.array(sorted(set(held)), dtype=np.int64)
    others = skilled.copy()
    others[places] = -np.inf  # They count once, whichever title is next.
    return np.asarray(np.logaddexp(others, np.logaddexp.reduce(skilled[places])), dtype=np.float64)


def fit_exponent(careers: Logs, skills: Logs, targets: Sequence[Targets]) -> float:
    """The power of `skill_likelihoods` that costs the fewest nats beside log P(title | career).

    Nats are convex in it.
    """

    def cost(exponent: float) -> float:
        logs = np.asarray(log_softmax(careers + exponent * skills, axis=1), dtype=np.float64)
        return float(query_nats(logs, targets).sum())

    return float(minimize_scalar(cost, bounds=EXPONENTS, method="bounded").x)


def query_nats(log_probabilities: Logs, targets: Sequence[Targets]) -> Float64[np.ndarray, " M"]:
    """Mean -log P of each query's targets, of those queries that have any among the candidates."""
    inside = [places_inside(some) for some in targets]
    counts = np.array([len(some) for some in inside], dtype=np.int64)
    rows = np.repeat(np.arange(len(inside)), counts)
    places = np.array([place for some in inside for place in some], dtype=np.int64)
    sums = np.bincount(rows, weights=-log_probabilities[rows, places], minlength=len(inside))
    return np.asarray(sums[counts > 0] / counts[counts > 0], dtype=np.float64)


def log_odds(logs: Float64[np.ndarray, "N C"], places: Sequence[int]) -> Float64[np.ndarray, "N P"]:
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
