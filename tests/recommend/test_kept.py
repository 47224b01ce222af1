"""Laws of what is kept from a fit, and of choices by how much is told."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from careergpt.data.tasks import DEFAULT_TASKS
from careergpt.errors import InputError
from careergpt.generation.candidates import score_candidates
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend import explanation, language_model
from careergpt.recommend.calibration import Blend, Calibration, Choice
from careergpt.recommend.explanation import Explanation
from careergpt.recommend.kept import KEPT
from careergpt.recommend.people import Person
from careergpt.recommend.rankings import Rankings
from careergpt.recommend.recommender import Recommender


@pytest.fixture(scope="module")
def kept(rankings: Rankings, tiny: LoadedModel, tmp_path_factory: Any) -> tuple[Path, Rankings]:
    folder = tmp_path_factory.mktemp("kept")
    rankings.with_title_skills(tiny).save_tables(folder)
    settings = json.loads(json.dumps(rankings.settings()))
    return folder, Rankings.load(DEFAULT_TASKS, settings, folder, count_models=True)


def test_skills_that_were_kept_are_those_that_would_be_worked_out(
    kept: tuple[Path, Rankings], rankings: Rankings, tiny: LoadedModel
) -> None:
    titles = ["Welder", "Data analyst", "Lion tamer"]  # The last has no row.
    expected = Recommender(rankings, tiny).predictor.skills_of(titles)
    found = Recommender(kept[1], tiny).predictor.skills_of(titles)
    assert found == pytest.approx(expected, abs=0.01)
    assert (found[2] == expected[2]).all()
    assert np.exp(found).sum(axis=1) == pytest.approx(1)


def test_with_what_was_kept_only_unknown_titles_ask_the_model(
    kept: tuple[Path, Rankings], tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommender = Recommender(kept[1], tiny)
    monkeypatch.setattr(recommender.predictor, "_said", pytest.fail)
    assert recommender.predictor.skills_of(["Welder"]).shape == (
        1,
        len(recommender.predictor.skills),
    )


def test_neutral_scores_are_those_that_the_model_gives(
    kept: tuple[Path, Rankings], rankings: Rankings, tiny: LoadedModel
) -> None:
    for name, ranking in kept[1].by_task.items():
        fresh = replace(rankings.by_task[name], neutral=None).by(tiny).neutral
        assert ranking.neutral == pytest.approx(fresh)


@pytest.mark.parametrize("how", ["cut", "of others", "words"])
def test_damage_is_said_in_one_line(
    how: str, kept: tuple[Path, Rankings], rankings: Rankings, tmp_path: Path
) -> None:
    rankings.save_tables(tmp_path)
    path = tmp_path / KEPT
    if how == "cut":
        path.write_bytes((kept[0] / KEPT).read_bytes()[:200])
    else:
        other = np.zeros(3) if how == "of others" else np.array(["a"] * len(rankings.candidates))
        np.savez(path, path=other)
    with pytest.raises(InputError, match=r"one model|copy it anew") as caught:
        Rankings.load(DEFAULT_TASKS, rankings.settings(), tmp_path, count_models=True)
    assert "\n" not in str(caught.value)


def test_a_folder_of_before_is_worked_out_anew(
    kept: tuple[Path, Rankings], rankings: Rankings, tiny: LoadedModel
) -> None:
    old = Recommender(replace(kept[1], skills_of=None), tiny)
    assert (
        old.predictor.skills_of(["Welder"])
        == Recommender(rankings, tiny).predictor.skills_of(["Welder"])
    ).all()


def test_few_skills_are_answered_by_what_was_chosen_for_as_many(
    rankings: Rankings, tiny: LoadedModel
) -> None:
    plain = rankings.by_task["position"]
    one = Choice(Calibration(0.0, 9.0), Blend("popularity", 0.1))
    few, model = replace(plain, few={1: one}), plain.by(tiny)
    alone, two = ({"skills": some} for some in (("SQL",), ("SQL", "triage")))
    alike = replace(plain, calibration=one.calibration, blend=one.blend)
    asked = [model.read(alone), model.read(two)]
    found = few.answers(model, asked)
    assert found[0] == pytest.approx(alike.answers(alike.by(tiny), asked[:1])[0])
    assert found[1] == pytest.approx(plain.answers(model, asked[1:])[0])
    assert few.log_probabilities(model, [alone, two])["blend"] == pytest.approx(found)


def test_validation_chooses_for_few_skills_too(fitted: Rankings) -> None:
    assert set(fitted.by_task["position"].few) == {1, 2, 3}
    assert fitted.by_task["path"].few == fitted.by_task["skills"].few == {}


def test_answers_among_some_are_those_of_the_model_of_some(
    rankings: Rankings, tiny: LoadedModel
) -> None:
    ranking = replace(rankings.by_task["position"], blend=None)
    model, places = ranking.by(tiny), [3, 0, 5]
    asked = [model.read({"skills": ("SQL", "triage", "charting", "C++")})]
    whole = ranking.answers(model, asked)[0]
    for some in (places, [1, 2], places[::-1]):  # Each time of others than before.
        expected = np.exp(whole[some]) / np.exp(whole[some]).sum()
        assert np.exp(ranking.answers(model, asked, some)[0]) == pytest.approx(expected, abs=1e-5)


def test_of_the_same_candidates_a_question_is_scored_once(
    rankings: Rankings, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[int] = []

    def counted(model: Any, prompts: Sequence[Sequence[int]], *rest: Any) -> Any:
        scored.append(len(prompts))
        return score_candidates(model, prompts, *rest)

    monkeypatch.setattr(language_model, "score_candidates", counted)
    model = replace(rankings.by_task["position"], blend=None).by(tiny)
    asked = [model.read({"skills": skills}) for skills in (("SQL",), ("triage",), ("C++",))]
    first = model.among([3, 0, 5]).scores(asked[:2])
    again = model.among([3, 0, 5]).scores(asked)
    assert scored == [2, 1]
    assert (again[:2] == first).all()


def test_why_over_the_first_is_near_to_why_over_all(
    rankings: Rankings, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Person("Welder", ("SQL", "triage", "C++"), ())
    recommender = Recommender(rankings, tiny)
    predictor, query = recommender.predictor, recommender.read(person)
    (logs,) = predictor.log_probabilities(query)
    places = np.argsort(-logs)[:2].tolist()
    monkeypatch.setattr(explanation, "FIRST", len(logs) - 3)
    exact, near = (Explanation(predictor, query, logs, places, e) for e in (True, False))
    pairs = zip(exact.leave_one_out(), near.leave_one_out(), strict=True)
    for all_, first in pairs:
        assert dict(first) == pytest.approx(dict(all_), abs=0.5)
        assert dict(first) != pytest.approx(dict(all_), abs=1e-9)
