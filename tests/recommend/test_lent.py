"""Laws of lent evidence: a title's own counts stay; what is near lends more than what is not."""

from dataclasses import replace

import numpy as np
import pytest

from careergpt.data.names import title_key
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend import lent
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.lent import Lent
from careergpt.recommend.ranking import Ranking
from careergpt.recommend.rankings import Rankings


@pytest.fixture(params=["meaning", "letters"], autouse=True)
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """By all-MiniLM-L6-v2, and as it is without the extra."""
    if request.param == "letters":
        monkeypatch.setattr(lent, "bundled_model", lambda: None)


def answers(ranking: Ranking, model: LoadedModel, given: str, *among: int) -> np.ndarray:
    """Probabilities of what is ranked, after one title."""
    by = ranking.by(model)
    (logs,) = ranking.answers(by, [by.read({"titles": (given,)})], among or None)
    return np.exp(logs)


def test_titles_of_training_keep_their_own_evidence(rankings: Rankings, tiny: LoadedModel) -> None:
    ranking = rankings.by_task["path"]
    trained = ranking.candidates
    other = replace(ranking, lent=Lent.between(trained.at(range(len(trained))[::-1]), trained))
    expected = answers(ranking, tiny, "Welder")
    assert answers(other, tiny, "Welder")[::-1] == pytest.approx(expected)
    alone = replace(other, blend=None)  # Of some candidates the counts are shared out anew.
    whole, places = answers(alone, tiny, "Welder"), [4, 0, 2]
    few = answers(alone, tiny, "Welder", *places)
    assert few == pytest.approx(whole[places] / whole[places].sum(), abs=1e-5)


def test_an_unseen_title_is_lent_what_the_nearest_has(
    rankings: Rankings, tiny: LoadedModel
) -> None:
    ranking = rankings.by_task["path"]
    names = ["Master welder", "Master welders", "Analytics managers", "Analytics manager"]
    lent = Lent.between(Candidates.from_lines([*names, "?!"]), ranking.candidates)
    trained = answers(ranking, tiny, "Welder")
    found = answers(replace(ranking, lent=lent), tiny, "Welder")
    assert found.sum() == pytest.approx(1)
    order = [trained[ranking.candidates.places[title_key(names[at])]] for at in (0, 3)]
    assert (found[1] > found[2]) == (order[0] > order[1])
    # None is as likely as what it is like, and what is like nothing hardly has a chance.
    assert found[4] < found[1] < found[0]
    assert found[4] < found[2] < found[3]


def test_too_many_titles_are_compared_by_letters(
    rankings: Rankings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lent, "MOST", 0)
    monkeypatch.setattr(lent, "bundled_encoder", pytest.fail)
    titles = Candidates.from_lines(["Analytics managers"])
    assert Lent.between(titles, rankings.by_task["path"].candidates).shares.nnz


def test_an_unseen_title_held_stands_for_the_nearest(rankings: Rankings) -> None:
    ranking = rankings.by_task["path"]
    lent = Lent.between(Candidates.from_lines(["Welders", "Welder"]), ranking.candidates)
    shares = dict(lent.near("Welders"))
    assert max(shares, key=lambda name: shares[name]) == "Welder"
    assert sum(shares.values()) == pytest.approx(1)
    assert lent.near("Welder") == [("Welder", 1.0)]
    assert lent.near("Lion tamer") == [("Lion tamer", 1.0)]
