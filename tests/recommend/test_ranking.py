"""Laws of one ranking: what is chosen on validation, and how it is applied."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend import ranking as module
from careergpt.recommend.calibration import AS_SCORED, Blend, Calibration, blended, query_nats
from careergpt.recommend.evaluation import Query
from careergpt.recommend.language_model import LanguageModel
from careergpt.recommend.rankings import Rankings

NAMES = ["path", "position", "skills"]
PEERS = {
    "path": ["popularity", "markov", "alike"],
    "position": ["popularity", "neighbours", "profiles"],
    "skills": ["popularity", "by_title", "alike"],
}
ASKED = {
    "path": [{"titles": ("Welder",)}, {"titles": ("Data clerk", "Data analyst")}],
    "position": [{"skills": ("SQL", "unheard of")}, {"skills": ("triage",)}],
    "skills": [{"position_title": "Welder"}, {"position_title": "Nobody's title"}],
}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def queries_in(rankings: Rankings, name: str, records: list[dict[str, Any]]) -> list[Query]:
    return list(rankings.queries(name, records))


def logs_of(model: LanguageModel, queries: list[dict[str, Any]]) -> Any:
    return model.log_probabilities(list(map(model.read, queries)))


def shares_of(model: LanguageModel, queries: list[dict[str, Any]]) -> Any:
    return np.exp(model.scores(list(map(model.read, queries))))


def test_the_model_is_calibrated_as_defined(
    rankings: Rankings, tiny: LoadedModel, name: str
) -> None:
    ranking, model = rankings.by_task[name], rankings.by_task[name].by(tiny)
    surface, temperature = ranking.calibration
    powers = (shares_of(model, ASKED[name]) / np.exp(surface * model.neutral)) ** (1 / temperature)
    found = ranking.log_probabilities(model, ASKED[name])["model"]
    assert (logs_of(model, ASKED[name]) == found).all()
    assert np.exp(found) == pytest.approx(powers / powers.sum(axis=1, keepdims=True))
    assert found != pytest.approx(logs_of(ranking.by(tiny, AS_SCORED), ASKED[name]), abs=0.1)


def test_the_untouched_model_is_only_normalised(
    rankings: Rankings, tiny: LoadedModel, name: str
) -> None:
    model = rankings.by_task[name].by(tiny, AS_SCORED)
    shares = shares_of(model, ASKED[name])
    found = np.exp(logs_of(model, ASKED[name]))
    assert found == pytest.approx(shares / shares.sum(axis=1, keepdims=True))


def test_the_blend_is_the_weighted_sum_of_model_and_peer(
    rankings: Rankings, tiny: LoadedModel, name: str
) -> None:
    ranking = rankings.by_task[name]
    assert ranking.blend is not None
    peer, weight = ranking.blend
    ranked = ranking.log_probabilities(ranking.by(tiny), ASKED[name])
    found = {ranker: np.exp(logs) for ranker, logs in ranked.items()}
    expected = weight * found["model"] + (1 - weight) * found[peer]
    assert found["blend"] == pytest.approx(expected)
    assert found["blend"] != pytest.approx(found["model"], abs=1e-3)


def test_all_that_rank_are_named_and_a_blend_only_where_one_was_chosen(
    rankings: Rankings, tiny: LoadedModel, name: str
) -> None:
    ranking, model = rankings.by_task[name], rankings.by_task[name].by(tiny)
    found = ranking.log_probabilities(model, ASKED[name])
    assert list(found) == ["model", "blend", *PEERS[name]]
    plain = replace(ranking, blend=None).log_probabilities(model, ASKED[name])
    assert list(plain) == ["model", *PEERS[name]]


def test_every_ranker_s_probabilities_sum_to_one(
    rankings: Rankings, tiny: LoadedModel, name: str
) -> None:
    ranking = rankings.by_task[name]
    ranked = ranking.log_probabilities(ranking.by(tiny), ASKED[name])
    for logs in ranked.values():
        assert logs.shape == (2, len(rankings.by_task[name].candidates))
        assert np.exp(logs).sum(axis=1) == pytest.approx(1)


@settings(max_examples=12, deadline=None)
@given(name=st.sampled_from(NAMES), data=st.data())
def test_what_validation_chooses_is_never_worse_on_its_own_cases(
    counted: Rankings,
    tiny: LoadedModel,
    unseen: list[dict[str, Any]],
    name: str,
    data: st.DataObject,
) -> None:
    ranking, model = counted.by_task[name], counted.by_task[name].by(tiny)
    every = queries_in(counted, name, unseen)
    cases = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=12))
    chosen, queries = ranking.fit(model, cases), [case.known for case in cases]
    ranked = chosen.log_probabilities(chosen.by(tiny), queries)
    ranked["as scored"] = logs_of(model, queries)
    nats = {
        ranker: query_nats(logs, ranking.targets(cases)).mean() for ranker, logs in ranked.items()
    }
    # The temperature counts one more query, whose answer could be any candidate.
    cost = {
        ranker: nats[ranker] * len(cases) - ranked[ranker].mean()
        for ranker in ("model", "as scored")
    }
    assert cost["model"] <= cost["as scored"] + 1e-5
    assert nats["blend"] <= min(nats["model"], *(nats[peer] for peer in PEERS[name])) + 1e-5


def test_the_peer_blended_with_is_the_one_of_the_fewest_nats(
    fitted: Rankings, tiny: LoadedModel, unseen: list[dict[str, Any]], name: str
) -> None:
    ranking, cases = fitted.by_task[name], queries_in(fitted, name, unseen)
    targets, queries = ranking.targets(cases), [case.known for case in cases]
    nats = {
        peer: query_nats(counts.log_probabilities(queries), targets).mean()
        for peer, counts in ranking.count_models.items()
    }
    assert ranking.blend is not None
    assert ranking.blend.peer == min(nats, key=lambda peer: float(nats[peer]))
    assert len(set(nats.values())) > 1


def test_of_many_candidates_it_is_chosen_among_those_that_counts_name_first(
    fitted: Rankings,
    tiny: LoadedModel,
    unseen: list[dict[str, Any]],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ranking, queries = fitted.by_task[name], queries_in(fitted, name, unseen)
    monkeypatch.setattr(module, "FEW", ())
    monkeypatch.setattr(module, "MANY", 3)
    monkeypatch.setattr(module, "LIKELY", len(ranking.candidates))
    every = ranking.fit(ranking.by(tiny, AS_SCORED), queries)
    assert every.blend == pytest.approx(ranking.blend, abs=1e-3)
    assert every.calibration == pytest.approx(ranking.calibration, abs=1e-3)
    monkeypatch.setattr(module, "LIKELY", 4)
    some = ranking.fit(ranking.by(tiny, AS_SCORED), queries)
    readings = [some.by(tiny).read(query.known) for query in queries]
    nats = [
        query_nats(chosen.answers(chosen.by(tiny), readings), some.targets(queries)).mean()
        for chosen in (some, every)
    ]
    assert nats[0] <= nats[1] + 1e-3


def test_the_weight_is_the_best_of_a_grid(
    fitted: Rankings, tiny: LoadedModel, unseen: list[dict[str, Any]], name: str
) -> None:
    ranking, cases = fitted.by_task[name], queries_in(fitted, name, unseen)
    targets, queries = ranking.targets(cases), [case.known for case in cases]
    ranked = ranking.log_probabilities(ranking.by(tiny), queries)
    assert ranking.blend is not None
    model, peer = ranked["model"], ranked[ranking.blend.peer]
    grid = [query_nats(blended(model, peer, w), targets).mean() for w in np.linspace(0, 1, 21)]
    assert query_nats(ranked["blend"], targets).mean() <= min(grid) + 1e-5


def test_where_no_target_is_a_candidate_nothing_is_chosen(
    counted: Rankings, tiny: LoadedModel, name: str
) -> None:
    ranking, model = counted.by_task[name], counted.by_task[name].by(tiny)
    case = Query(ASKED[name][0], ("nobody's",), None)
    for cases in ([], [case]):
        assert ranking.fit(model, cases) is ranking
    assert ranking.calibration == AS_SCORED
    assert ranking.blend is None


def test_cases_whose_targets_are_no_candidates_choose_nothing(
    counted: Rankings, tiny: LoadedModel, unseen: list[dict[str, Any]], name: str
) -> None:
    ranking, model = counted.by_task[name], counted.by_task[name].by(tiny)
    cases = queries_in(counted, name, unseen)[:6]
    lost = [case._replace(targets=("nobody's",)) for case in cases]
    alone, among = ranking.fit(model, cases), ranking.fit(model, [*lost, *cases, *lost])
    assert (among.calibration, among.blend) == (alone.calibration, alone.blend)


def test_targets_are_found_by_any_spelling(rankings: Rankings) -> None:
    ranking = rankings.by_task["skills"]
    cases = [Query({}, (" sql ", "Arc-Welding", "C", "c++"), None)]
    places = [ranking.candidates.names.index(name) for name in ("SQL", "arc welding", "C++")]
    assert ranking.targets(cases) == [[places[0], places[1], None, places[2]]]
    assert ranking.can_answer(cases[0])
    assert ranking.can_answer(cases[0]._replace(targets=("C", "sql")))
    assert not ranking.can_answer(cases[0]._replace(targets=("C",)))


@pytest.mark.parametrize("told", [{"peer": "x", "weight": 1.5}, {"peer": "x", "weight": "nan"}])
def test_a_blend_beyond_its_range_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no blend has a weight"):
        Blend.from_json(told)
    assert Blend.from_json({"peer": "x", "weight": 1}) == Blend("x", 1.0)


@pytest.mark.parametrize(("surface", "temperature"), [(0, 0), (0, -1), ("inf", 1), (0, "nan")])
def test_a_calibration_beyond_its_range_is_refused(surface: Any, temperature: Any) -> None:
    with pytest.raises(ValueError, match="no calibration has"):
        Calibration.from_json({"surface": surface, "temperature": temperature})
