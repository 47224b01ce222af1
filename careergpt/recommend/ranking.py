"""One task's ranking: how the scores of its candidates become probabilities, and what chose so."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import log_softmax, logsumexp

from careergpt.data.tasks import Fields, Task
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.calibration import (
    AS_SCORED,
    Blend,
    Calibration,
    Choice,
    blended,
    calibrated,
    fit_blend,
    fit_calibration,
    query_nats,
)
from careergpt.recommend.candidates import GIVEN, Candidates, items_in
from careergpt.recommend.count_tables import CountModel
from careergpt.recommend.evaluation import Query, Targets
from careergpt.recommend.language_model import LanguageModel, Logs, Reading
from careergpt.recommend.lent import Lent

FEW = (1, 2, 3)
"""Skills that people tell of; training lists are longer, and lists cut to so many are calibrated
by themselves."""

MANY, LIKELY = 500, 100
"""Of more candidates than `MANY` the model ranks, for each query, the `LIKELY` that counts name
first: 10,000 skills of ten titles take a model of 2.5 M parameters 40 CPU seconds. Of 150 unseen
queries of each ranking over 4,054 titles, 300 cost within two standard errors as many nats, and two
to three times the time; 30 cost 0.2 nats more for positions. Over 817 titles 100 cost 0.11 nats
more than all for positions, 0.04 for careers and 0.02 for skills (48 to 60 queries; standard errors
of 0.11, 0.04 and 0.02), and a fifth, a seventh and a fifteenth of the time."""


class _Peer(NamedTuple):
    """The model's weight beside a count model, and what this says."""

    weight: float
    logs: Float64[np.ndarray, " C"]

    def at(self, places: Sequence[int]) -> _Peer:
        """The same of these candidates alone."""
        return _Peer(self.weight, np.asarray(log_softmax(self.logs[list(places)])))


@dataclass(frozen=True)
class Ranking:
    """How one task's candidates are ranked, but for the language model.

    The count models are those that it is measured against, by name. The calibration is of the
    language model's scores, the blend with its strongest count model; before validation chose one
    there is none. `few` has the choices for queries that tell of so few items; `neutral` what
    `LanguageModel.neutral` gives, where it was kept. With `lent` other titles are ranked, by what
    is found of the candidates. `exact` has the model rank all of them, however `MANY` they are.
    """

    name: str
    task: Task
    candidates: Candidates
    count_models: Mapping[str, CountModel]
    calibration: Calibration = AS_SCORED
    blend: Blend | None = None
    few: Mapping[int, Choice] = field(default_factory=dict)
    neutral: np.ndarray | None = field(default=None, compare=False)
    lent: Lent | None = None
    exact: bool = False

    def alone(self) -> Ranking:
        """The same by the language model alone."""
        few = {number: choice._replace(blend=None) for number, choice in self.few.items()}
        return replace(self, count_models={}, blend=None, few=few)

    @property
    def ranked(self) -> Candidates:
        """What is ranked."""
        return self.lent.titles if self.lent else self.candidates

    def by(self, model: LoadedModel, calibration: Calibration | None = None) -> LanguageModel:
        """The ranking by a language model; `AS_SCORED` leaves its scores as they are."""
        calibration = calibration or self.calibration
        neutral = self.neutral if calibration == self.calibration else None
        return LanguageModel(self.name, self.task, self.candidates, model, calibration, neutral)

    def choice(self, query: Fields) -> Choice:
        """What validation found best for queries that tell of as many items."""
        number = len(items_in(query, GIVEN[self.name]))
        return self.few.get(number, Choice(self.calibration, self.blend))

    def answers(
        self, model: LanguageModel, readings: Sequence[Reading], among: Sequence[int] | None = None
    ) -> Logs:
        """Log-probabilities of what is ranked, by what validation found best.

        `among` are the only ones, where given, in this order.
        """
        if self.lent is None:
            return self._of_candidates(model, readings, among)
        lent = self.lent if among is None else self.lent.at(among)
        return lent.evidence(self._of_candidates(model, readings, lent.lenders))

    @property
    def shortens(self) -> bool:
        """Whether the model ranks but the candidates that counts name first, of each query."""
        return not self.exact and len(self.candidates) > MANY

    @property
    def share(self) -> float:
        """How many of the candidates the model ranks; all where no counts name the likely ones."""
        return LIKELY / len(self.candidates) if self.shortens and self.blend else 1.0

    def _of_candidates(
        self, model: LanguageModel, readings: Sequence[Reading], among: Sequence[int] | None
    ) -> Logs:
        peers = list(map(self._peer, readings))
        if among is not None:
            peers = [peer and peer.at(among) for peer in peers]
            return self._mixed(model.among(among), readings, peers)
        if self.shortens:
            pairs = zip(readings, peers, strict=True)
            return np.stack([self._likely(model, reading, peer) for reading, peer in pairs])
        return self._mixed(model, readings, peers)

    def _mixed(
        self, model: LanguageModel, readings: Sequence[Reading], peers: Sequence[_Peer | None]
    ) -> Logs:
        """What the model says of its candidates, blended with what their peers say."""
        logs = self._by_model(model, readings)
        for row, peer in enumerate(peers):
            if peer is not None:
                logs[[row]] = blended(logs[[row]], peer.logs[None], peer.weight)
        return logs

    def _likely(
        self, model: LanguageModel, reading: Reading, peer: _Peer | None
    ) -> Float64[np.ndarray, " C"]:
        """Those that counts name first share what counts give them; the others keep theirs."""
        if peer is None:
            return np.asarray(self._mixed(model, [reading], [None])[0])
        logs = peer.logs.copy()
        places = np.argsort(-logs, kind="stable")[:LIKELY].tolist()
        (some,) = self._mixed(model.among(places), [reading], [peer.at(places)])
        logs[places] = some + logsumexp(logs[places])
        return logs

    def _peer(self, reading: Reading) -> _Peer | None:
        """The count model that the model is blended with, if it is."""
        blend = self.choice(reading.known).blend
        if blend is None or blend.peer not in self.count_models:
            return None
        return _Peer(blend.weight, self._counted(blend.peer, reading.known))

    def _by_model(self, model: LanguageModel, readings: Sequence[Reading]) -> Logs:
        scores = model.scores(readings)
        rows = [
            model.calibrate(scores[[row]], self.choice(reading.known).calibration)
            for row, reading in enumerate(readings)
        ]
        return np.concatenate(rows)

    def log_probabilities(self, model: LanguageModel, queries: Sequence[Fields]) -> dict[str, Logs]:
        """Log-probabilities by all that rank: model, blend where there is one, count models."""
        readings = [model.read(query) for query in queries]
        found = {"model": self._by_model(model, readings)}
        if self.blend is not None:
            found["blend"] = self.answers(model, readings)
        return found | self._all_counted(queries)

    def can_answer(self, query: Query) -> bool:
        """Whether a target is among the candidates."""
        return any(self.candidates.place(target) is not None for target in query.targets)

    def targets(self, queries: Sequence[Query]) -> list[Targets]:
        """The places of each query's targets."""
        return [[self.candidates.place(target) for target in query.targets] for query in queries]

    def fit(self, model: LanguageModel, queries: Sequence[Query]) -> Ranking:
        """The same with what validation chooses: calibration, strongest count model, its weight.

        The strongest costs the fewest nats. Without a query that has a target among the candidates
        nothing can be chosen, and nothing is changed.
        """
        queries = [query for query in queries if self.can_answer(query)]
        if not queries:
            return self
        calibration, blend = self._choose(model, queries)
        few = {}
        for number in FEW if self.name == "position" else ():
            if some := list(_cut(queries, GIVEN[self.name], number)):
                few[number] = self._choose(model, some)
        return replace(self, calibration=calibration, blend=blend, few=few, neutral=model.neutral)

    def _choose(self, model: LanguageModel, queries: Sequence[Query]) -> Choice:
        targets, readings = self.targets(queries), [model.read(query.known) for query in queries]
        counted = self._all_counted([query.known for query in queries])
        peer = min(counted, key=lambda name: float(query_nats(counted[name], targets).mean()))
        said = counted[peer]
        if self.shortens:  # Chosen where it is used: among those that counts name first.
            first = np.argsort(-said, axis=1, kind="stable")[:, :LIKELY]
            asked = zip(first.tolist(), readings, strict=True)
            scores = np.concatenate([model.among(row).scores([one]) for row, one in asked])
            neutral = model.neutral[first]
            said = np.asarray(log_softmax(np.take_along_axis(said, first, axis=1), axis=1))
            targets = list(map(_columns, first.tolist(), targets))
        else:
            scores, neutral = model.scores(readings), model.neutral
        calibration = fit_calibration(scores, neutral, targets)
        logs = calibrated(scores, neutral, calibration)
        return Choice(calibration, Blend(peer, fit_blend(logs, said, targets)))

    def _counted(self, peer: str, query: Fields) -> Float64[np.ndarray, " C"]:
        given, counts = items_in(query, GIVEN[self.name]), self.count_models[peer]
        if self.lent is None or self.name != "path":
            return counts.distribution(given)
        # A title that training never saw stands for the nearest ones.
        parts = [(w, counts.distribution((*given[:-1], t))) for t, w in self.lent.near(given[-1])]
        shares = sum(weight * np.exp(logs) for weight, logs in parts)
        return np.asarray(np.log(shares), dtype=np.float64)

    def _all_counted(self, queries: Sequence[Fields]) -> dict[str, Logs]:
        return {p: np.stack([self._counted(p, q) for q in queries]) for p in self.count_models}


def _columns(places: Sequence[int], targets: Targets) -> Targets:
    """Where the targets are among these places; None for those that are not."""
    column = {place: at for at, place in enumerate(places)}
    return [None if target is None else column.get(target) for target in targets]


def _cut(queries: Iterable[Query], field: str, number: int) -> Iterator[Query]:
    """Those that tell of so many items or more, drawn to so many; the same draw every time."""
    chance = random.Random(number)
    for query in queries:
        items = items_in(query.known, field)
        if len(items) >= number:
            kept = tuple(chance.sample(items, number))
            yield query._replace(known={**query.known, field: kept})
