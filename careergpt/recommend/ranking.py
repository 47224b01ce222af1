"""One ranking: its candidates, the count models beside it, how its scores become probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from careergpt.data.tasks import Fields
from careergpt.errors import InputError
from careergpt.recommend.calibration import (
    AS_SCORED,
    Calibration,
    blended,
    calibrated,
    fit_blend,
    fit_calibration,
    query_nats,
)
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.cases import RankingCase
from careergpt.recommend.language_model import LanguageModel
from careergpt.recommend.peers import Peers, Ranker, ranker_of
from careergpt.recommend.ranks import Targets

Logs = Float64[np.ndarray, "N C"]


class Blend(NamedTuple):
    """weight * P(model) + (1 - weight) * P(peer)."""

    peer: str
    weight: float

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Blend:
        """What `_asdict` gave, from a model folder."""
        found = cls(str(content["peer"]), float(content["weight"]))
        if not 0 <= found.weight <= 1:
            raise InputError(f"no blend has a weight of {found.weight}")
        return found


@dataclass(frozen=True)
class Ranking:
    """What a model folder knows of one ranking beside the language model.

    Args:
        name: path, position or skills.
        candidates: What is ranked.
        peers: The count models, by name.
        calibration: How the language model's scores become probabilities.
        blend: The model with its strongest peer; None before validation chose one.
    """

    name: str
    candidates: Candidates
    peers: Peers
    calibration: Calibration = AS_SCORED
    blend: Blend | None = None

    def rank(self, model: LanguageModel, queries: Sequence[Fields]) -> dict[str, Logs]:
        """Log-probabilities by all that rank: model, blend where there is one, and the peers."""
        own = {"model": self.ranker(model)(queries)}
        others = {name: ranker_of(self.name, p)(queries) for name, p in self.peers.items()}
        if self.blend is not None:
            own["blend"] = blended(own["model"], others[self.blend.peer], self.blend.weight)
        return own | others

    def ranker(self, model: LanguageModel) -> Ranker:
        """The language model, calibrated."""
        return _ranker(model, self.calibration)

    def can_answer(self, case: RankingCase) -> bool:
        """Whether a target is among the candidates."""
        return any(self.candidates.place(target) is not None for target in case.targets)

    def targets(self, cases: Sequence[RankingCase]) -> list[Targets]:
        """The places of each case's targets."""
        return [[self.candidates.place(target) for target in case.targets] for case in cases]

    def fit(self, model: LanguageModel, cases: Sequence[RankingCase]) -> Ranking:
        """The ranking with what validation chooses: the calibration, the peer and its weight.

        The strongest peer is the one that costs the fewest nats. Without a case that has a target
        among the candidates nothing can be chosen, and nothing is changed.
        """
        cases = [case for case in cases if self.can_answer(case)]
        if not cases:
            return self
        targets, queries = self.targets(cases), [case.known for case in cases]
        scores = model.scores(queries)
        calibration = fit_calibration(scores, model.neutral, targets)
        own = calibrated(scores, model.neutral, calibration)
        others = {name: ranker_of(self.name, p)(queries) for name, p in self.peers.items()}
        peer = min(others, key=lambda name: float(query_nats(others[name], targets).mean()))
        blend = Blend(peer, fit_blend(own, others[peer], targets))
        return replace(self, calibration=calibration, blend=blend)


def untouched(model: LanguageModel) -> Ranker:
    """A language model as it is, only normalised over the candidates."""
    return _ranker(model, AS_SCORED)


def _ranker(model: LanguageModel, calibration: Calibration) -> Ranker:
    def rank(queries: Sequence[Fields]) -> Logs:
        scores = model.scores(queries)
        neutral = model.neutral if calibration.surface else np.zeros(scores.shape[1])
        return calibrated(scores, neutral, calibration)

    return rank
