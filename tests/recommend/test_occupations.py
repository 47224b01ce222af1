"""Laws of occupations: a title in any spelling leads to its own; a match says how sure it is."""

from pathlib import Path

import pytest

from careergpt.data.tables import open_tables
from careergpt.data.taxonomies import Occupation, rows_of
from careergpt.data.whole_files import write_lines
from careergpt.recommend import occupations
from careergpt.recommend.occupations import Match, Occupations, without_seniority

TITLES = {
    "Registered Nurse": ["Staff Nurse", "Charge Nurse", "Coordinator"],
    "Truck Driver": ["Lorry Driver", "Coordinator"],
    "Data Analyst": [],
    "Nurse Manager": [],
}


@pytest.fixture(params=["meaning", "letters"])
def known(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Occupations:
    """By all-MiniLM-L6-v2, and as they are without the extra."""
    if request.param == "letters":
        monkeypatch.setattr(occupations, "bundled_model", lambda: None)
    return Occupations(TITLES)


@pytest.mark.parametrize(
    ("title", "match"),
    [
        ("registered NURSE.", Match("Registered Nurse", 1.0)),
        ("staff nurse", Match("Registered Nurse", 1.0)),
        ("Sr. Data Analyst - Remote", Match("Data Analyst", 1.0, "Senior")),
        ("Junior Lorry Driver", Match("Truck Driver", 1.0, "Junior")),
        ("Nurse Manager", Match("Nurse Manager", 1.0)),
        ("Truck Driver Supervisor", Match("Truck Driver", 1.0, "Manager")),
    ],
)
def test_a_known_title_is_its_occupation_whatever_its_spelling(
    title: str, match: Match, known: Occupations
) -> None:
    assert known.match([title]) == [match]


def test_a_title_of_two_occupations_is_half_sure(known: Occupations) -> None:
    (found,) = known.match(["Coordinator"])
    assert found.occupation in ("Registered Nurse", "Truck Driver")
    assert found.confidence == 0.5


def test_the_nearest_are_distinct_and_ordered_and_never_certain(known: Occupations) -> None:
    found = known.nearest("Critical care nurses", 3)
    assert len({match.occupation for match in found}) == 3
    assert found[0].occupation in ("Registered Nurse", "Nurse Manager")
    confidences = [match.confidence for match in found]
    assert confidences == sorted(confidences, reverse=True)
    assert 0 <= confidences[-1] <= confidences[0] < 1
    assert len(known.nearest("nurse", 99)) == len(TITLES)


def test_a_text_without_letters_is_like_nothing(known: Occupations) -> None:
    assert {match.confidence for match in known.nearest("?!", 4)} == {0.0}


def test_meaning_finds_what_letters_do_not() -> None:
    assert not Occupations(TITLES).by_letters
    assert Occupations(TITLES).match(["Haulage chauffeur"])[0].occupation == "Truck Driver"


def test_a_table_of_a_taxonomy_has_all_titles(tmp_path: Path) -> None:
    others = tuple(f"Nurse of ward {n}" for n in range(20))
    nurse = Occupation("Registered Nurse", "Assess patients.", others, (), "29")
    write_lines(tmp_path / "onet.jsonl", rows_of(nurse))
    found = Occupations.of_table(open_tables(str(tmp_path / "onet.jsonl"))[0])
    assert found.match([*others, "Registered nurse"]) == [Match("Registered Nurse", 1.0)] * 21


@pytest.mark.parametrize(
    ("title", "rest"),
    [
        ("Entry-level welder", ("welder", "Junior")),
        ("Senior Lead Cook II", ("cook", "Senior")),
        ("Manager", ("manager", "")),
        ("Project Manager", ("project", "Manager")),
    ],
)
def test_seniority_stands_at_the_ends_and_never_is_all(title: str, rest: tuple[str, str]) -> None:
    assert without_seniority(title) == rest
