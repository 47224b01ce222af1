"""Laws of what skills mean: embeddings beside the words of the count model `profiles`."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax

from careergpt.data.tasks import Fields
from careergpt.errors import InputError
from careergpt.recommend import position_models
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.embeddings import bundled_encoder, bundled_model, sentence_encoder
from careergpt.recommend.position_models import NAME, WIDTH, Neighbours, Profiles

TITLES = Candidates(("Nursing aide", "Forklift operator", "Sales agent"), (9, 9, 9))
SKILLS = Candidates(("give care", "wash patients", "load pallets", "sell by phone"), (9,) * 4)
KINDS = {"titles": TITLES, "skills": SKILLS}
POSTINGS: list[Fields] = [
    {"position_title": title, "skills": skills}
    for title, skills in (
        ("Nursing aide", ("give care", "wash patients")),
        ("Forklift operator", ("load pallets",)),
        ("Forklift operator", ("load pallets", "rare knack")),
        ("Sales agent", ("sell by phone",)),
    )
]


@pytest.fixture(scope="module")
def words_alone() -> None:
    """Meaning is what these tests are about."""


@pytest.fixture
def profiles() -> Profiles:
    return Profiles.fit("position", KINDS, POSTINGS)


def test_the_encoder_gives_the_vectors_of_sentence_transformers() -> None:
    texts = ["Registered nurse", "", "C++", "forklift, inventory and packing " * 80, "!!", "a"]
    by_library = sentence_encoder(str(bundled_model()))(texts)
    assert bundled_encoder()(texts) == pytest.approx(by_library, abs=1e-6)
    assert bundled_encoder()([]).shape == (0, by_library.shape[1])


@pytest.mark.parametrize(
    ("skill", "title"),
    [
        ("bathing the sick", "Nursing aide"),
        ("driving a stacker truck", "Forklift operator"),
        ("cold calling", "Sales agent"),
    ],
)
def test_skills_in_words_that_no_list_has_are_known_by_their_meaning(
    profiles: Profiles, skill: str, title: str
) -> None:
    assert TITLES.names[profiles.distribution((skill,)).argmax()] == title
    profiles.vectors = None
    assert len({*profiles.distribution((skill,)).round(9)}) == 2  # Words: but popularity.


def test_it_is_what_words_say_times_the_meaning(profiles: Profiles) -> None:
    encode = sentence_encoder(str(bundled_model()))
    asked = ("give care", "cold calling", "")
    person = encode(["give care", "cold calling"]).mean(axis=0)
    means = [
        np.mean(encode(of), axis=0)
        for of in (["give care", "wash patients"], ["load pallets"], ["sell by phone"])
    ]
    titles = [one / np.linalg.norm(one) for one in means] + NAME * encode(TITLES.names)
    said = profiles.distribution(asked)
    profiles.vectors = None
    words = profiles.distribution(asked)
    like = titles @ person / np.linalg.norm(person)
    # Vectors are kept in half precision.
    assert said == pytest.approx(log_softmax(words + like / WIDTH), abs=2e-2)


def test_known_skills_need_no_encoder_and_others_count_by_their_words_without_it(
    profiles: Profiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, unknown = profiles.distribution(("give care",)), profiles.distribution(("cold calls",))
    monkeypatch.setattr(position_models, "bundled_model", lambda: None)
    assert (profiles.distribution(("give care",)) == known).all()
    by_words = profiles.distribution(("cold calls",))
    assert (by_words != unknown).any()
    of_words = Profiles.fit("position", KINDS, POSTINGS)
    assert of_words.vectors is None
    assert (of_words.distribution(("cold calls",)) == by_words).all()


def test_skills_beyond_the_embedded_ones_are_embedded_when_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(position_models, "EMBEDDED", 1)
    few = Profiles.fit("position", KINDS, POSTINGS)
    assert few.vectors is not None
    assert len(few.vectors["skills"]) == 1
    assert few.vectors["titles"].any(axis=1).tolist() == [True, False, False]
    asked = ("wash patients",)
    said = few.distribution(asked)
    like = few.vectors["titles"] @ bundled_encoder()(asked)[0]
    few.vectors = None
    assert said == pytest.approx(log_softmax(few.distribution(asked) + like / WIDTH), abs=1e-5)
    assert said[0] > few.distribution(asked)[0] + 0.1


def test_a_loaded_one_is_equal(profiles: Profiles, tmp_path: Path) -> None:
    Neighbours.fit("position", KINDS, POSTINGS).save(tmp_path, "neighbours")
    profiles.save(tmp_path, "profiles")
    loaded = Profiles.load("position", KINDS, tmp_path, "profiles")
    for asked in (("give care",), ("cold calling", "give care"), ()):
        assert (loaded.distribution(asked) == profiles.distribution(asked)).all()


def test_a_folder_without_vectors_goes_by_words(profiles: Profiles, tmp_path: Path) -> None:
    counted = Neighbours.fit("position", KINDS, POSTINGS)
    counted.save(tmp_path, "neighbours")
    profiles.save(tmp_path, "profiles")
    (tmp_path / "profiles.npz").unlink()
    loaded = Profiles.load("position", KINDS, tmp_path, "profiles")
    profiles.vectors = None
    assert (loaded.distribution(("give care",)) == profiles.distribution(("give care",))).all()


WHOLE = {"titles": np.ones((3, 384), "f2"), "skills": np.ones((4, 384), "f2")}


@pytest.mark.parametrize(
    "other",
    [
        {"titles": np.ones((2, 384), "f2")},
        {"titles": np.full((3, 384), np.nan, "f2")},
        {"skills": np.ones((5, 384), "f2")},
        {"skills": np.ones((4, 383), "f2")},
        {"skills": np.ones((4, 384), "i2")},
        {"skills": None},
    ],
)
def test_vectors_of_other_candidates_are_refused(
    other: dict[str, np.ndarray | None], tmp_path: Path
) -> None:
    Neighbours.fit("position", KINDS, POSTINGS).save(tmp_path, "neighbours")
    for arrays in (WHOLE, WHOLE | other):
        there = {kind: array for kind, array in arrays.items() if array is not None}
        np.savez(tmp_path / "profiles.npz", **there)
        if arrays is WHOLE:
            assert Profiles.load("position", KINDS, tmp_path, "profiles").vectors is not None
    with pytest.raises(InputError, match=r"profiles.npz is not of the candidates"):
        Profiles.load("position", KINDS, tmp_path, "profiles")
