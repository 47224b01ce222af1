"""Laws of the strong peers: distributions of the same tables, which add what meaning tells."""

import numpy as np
import pytest

from careergpt.data.tasks import Fields
from careergpt.recommend import peers
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.count_models import KneserNey
from careergpt.recommend.count_tables import CountModel
from careergpt.recommend.peers import strong_peers
from careergpt.recommend.position_models import Neighbours

TITLES = Candidates(("Nurse", "Nurse manager", "Welder", "Pipe fitter"), (9, 9, 9, 9))
SKILLS = Candidates(("patient care", "triage", "steel", "arc welding"), (9, 9, 9, 9))
KINDS = {"titles": TITLES, "skills": SKILLS}
CAREERS: list[Fields] = [
    *[{"titles": ("Nurse", "Nurse manager")}] * 4,
    *[{"titles": ("Welder", "Pipe fitter")}] * 4,
]
POSTINGS: list[Fields] = [
    *[{"position_title": "Nurse", "skills": ("patient care", "triage")}] * 4,
    *[{"position_title": "Welder", "skills": ("steel", "arc welding")}] * 4,
]


@pytest.fixture(scope="module")
def moves() -> dict[str, CountModel]:
    return strong_peers({"markov": KneserNey.fit("path", KINDS, CAREERS)})


def best(logs: np.ndarray) -> str:
    assert np.exp(logs).sum() == pytest.approx(1)
    return TITLES.names[int(logs.argmax())]


def test_a_title_that_was_never_held_moves_as_those_of_its_meaning(moves) -> None:
    assert best(moves["smoothed"].distribution(("Registered nurse",))) == "Nurse manager"
    assert best(moves["smoothed"].distribution(("Metal welding worker",))) == "Pipe fitter"


def test_likeness_knows_no_moves(moves) -> None:
    assert best(moves["cosine"].distribution(("Registered nurse",))) == "Nurse"


def test_skills_that_were_seen_lead_to_their_title() -> None:
    logistic = strong_peers({"n": Neighbours.fit("position", KINDS, POSTINGS)})["logistic"]
    assert best(logistic.distribution(("triage",))) == "Nurse"
    assert best(logistic.distribution(("arc welding", "steel"))) == "Welder"
    best(logistic.distribution(("juggling",)))


def test_there_are_none_without_the_extra_and_none_of_one_title(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = {"n": Neighbours.fit("position", KINDS, POSTINGS[:4])}
    assert strong_peers(one) == {}
    monkeypatch.setattr(peers, "bundled_model", lambda: None)
    assert strong_peers({"markov": KneserNey.fit("path", KINDS, CAREERS)}) == {}
