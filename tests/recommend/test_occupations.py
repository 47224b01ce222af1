"""Laws of occupations: a title in any spelling leads to its own; a match says how sure it is."""

from pathlib import Path

import pytest

from careergpt.data.taxonomies import rows_of
from careergpt.data.taxonomy_files import Occupation
from careergpt.data.whole_files import write_lines
from careergpt.recommend import embeddings
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.occupations import (
    Match,
    Occupations,
    Preparation,
    levels_of,
    occupations_and_skills,
    read_occupations,
    without_seniority,
)

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
        monkeypatch.setattr(embeddings, "bundled_model", lambda: None)
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
    assert known.match(title) == match


@pytest.mark.parametrize(
    ("title", "occupation"),
    [
        ("Staff Nurse, oncology ward 7 (nights)", "Registered Nurse"),
        ("Lorry driver / glass and steel", "Truck Driver"),
        ("Juggler, fire and knives", None),
        ("(nights)", None),
    ],
)
def test_what_stands_beside_a_title_is_left_out_where_the_whole_is_like_none(
    title: str, occupation: str | None, known: Occupations
) -> None:
    found = known.match(title, 0.95)
    assert (found and found.occupation) == occupation
    assert found is None or found.confidence == 1


def test_a_title_of_two_occupations_is_half_sure(known: Occupations) -> None:
    found = known.match("Coordinator", 0.9)  # Not one of all others, however like it is.
    assert found is not None
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


def test_some_of_the_occupations_match_as_they_would_alone(known: Occupations) -> None:
    some = known.only(["Truck Driver", "Data Analyst"])
    alone = Occupations({name: TITLES[name] for name in some.names})
    assert some.names == ("Truck Driver", "Data Analyst")
    assert some.match("Coordinator") == alone.match("Coordinator") == Match("Truck Driver", 1.0, "")
    for text in ("truck driving", "data analysts"):
        found, expected = some.nearest(text, 2), alone.nearest(text, 2)
        assert [match.occupation for match in found] == [match.occupation for match in expected]


def test_some_are_sought_among_themselves_alone(
    known: Occupations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "SHORTLIST", 1)
    (match,) = known.only(["Truck Driver"]).nearest("staff nurses", 1)
    assert match.occupation == "Truck Driver"


def test_a_text_without_letters_is_like_nothing(known: Occupations) -> None:
    assert max(match.confidence for match in known.nearest("?!", 4)) < 0.01


def test_the_nearest_titles_vote_for_their_occupations() -> None:
    cooks = ["Line cook", "Prep cook", "Fry cook"]
    found = {}
    for number in (1, 3):
        known = Occupations({"Baker": ["Pastry cook"], "Chef": cooks[:number]})
        chef, baker = known.nearest("Grill cook", 2)
        found[number] = chef.confidence
        assert (chef.occupation, baker.occupation) == ("Chef", "Baker")
        assert chef.confidence + baker.confidence < 1
    assert found[3] > found[1]


def test_meaning_finds_what_letters_do_not() -> None:
    assert embeddings.bundled_model() is not None
    found = Occupations(TITLES).match("Haulage chauffeur")
    assert found is not None
    assert found.occupation == "Truck Driver"
    assert Occupations(TITLES).match("Haulage chauffeur", found.confidence + 0.01) is None
    assert Occupations({}).match("Haulage chauffeur") is None


def test_occupations_share_the_vote_of_a_title_that_several_have() -> None:
    alone = Occupations({"Alpha": ["Line cook"], "Beta": []}).match("Grill cook")
    shared = Occupations({"Alpha": ["Line cook"], "Beta": ["Line cook"]}).match("Grill cook")
    assert alone is not None
    assert shared is not None
    assert shared.confidence == pytest.approx(alone.confidence / 2, rel=0.02)


def test_a_table_of_a_taxonomy_has_all_titles(tmp_path: Path) -> None:
    others = tuple(f"Nurse of ward {n}" for n in range(20))
    nurse = Occupation("Registered Nurse", "Assess patients.", others, (), "29")
    write_lines(tmp_path / "onet.jsonl", rows_of(nurse))
    found = read_occupations(str(tmp_path / "onet.jsonl"))
    assert found is not None
    for title in (*others, "Registered nurse"):
        assert found.match(title) == Match("Registered Nurse", 1.0)


def test_names_that_differ_in_case_alone_are_one_occupation() -> None:
    rows = [
        {"occupation": "Audiologist", "changes_to": ["Nurse"], "job_zone": "5", "skill_level": ""},
        {
            "occupation": "audiologist",
            "changes_to": "optician",
            "job_zone": "2",
            "skill_level": "4",
        },
        {"occupation": "AUDIOLOGIST", "other_titles": "Hearing expert", "changes_to": ""},
    ]
    found = Occupations.of(rows)
    assert found.names == ("Audiologist",)
    assert found.listed("changes_to", "audiologist") == ["Nurse", "optician"]
    assert found.preparation("hearing expert") == Preparation("5", "", "4")
    assert found.match("hearing expert") == Match("Audiologist", 1.0)
    assert [row["other_titles"] for row in found.rows()] == [["Hearing expert"]]


def test_a_level_of_another_scale_makes_no_occupation() -> None:
    rows = [
        {"position_title": "Cook", "skill_level": "Intermediate"},
        {"occupation": "Baker", "skill_level": "4.0", "job_zone": "2"},
    ]
    found = Occupations.of(rows)
    assert found.names == ("Baker",)
    assert str(found.preparation("Baker")) == "job zone 2"


@pytest.mark.parametrize(
    ("title", "rest"),
    [
        ("Entry-level welder", ("welder", "Junior")),
        ("Senior Lead Cook II", ("cook", "Senior")),
        ("Manager", ("manager", "")),
        ("Project Manager", ("project", "Manager")),
        ("School Principal", ("school principal", "")),
        ("Staff Nurse", ("nurse", "Lead")),
    ],
)
def test_seniority_stands_at_the_ends_and_never_is_all(title: str, rest: tuple[str, str]) -> None:
    assert without_seniority(title) == rest


def test_levels_are_of_one_occupation_and_managers_of_another() -> None:
    nurses = levels_of(["Nurse", "Senior nurse", "Sr. Nurse II", "Nurse intern", "Staff nurse"])
    assert set(nurses) == {"nurse"}
    assert levels_of(["Nurse manager", "Senior nurse manager"]) == ["nurse manager"] * 2


BEFORE = ["Tier", "General", "Java"]
WORKS = ["Technician", "Manager", "Developer"]
EVERY = [f"{part} {area} {who}" for part in BEFORE for who in WORKS for area in ("", "Web", "Lab")]


def test_parts_of_titles_are_no_occupations() -> None:
    titles = Candidates.from_lines([*BEFORE, *WORKS, "Paralegal", "General manager"])
    found = occupations_and_skills(titles, Candidates(), EVERY)["titles"]
    assert found.names == (*WORKS, "Paralegal", "General manager")
    # Of a few titles nobody knows.
    assert occupations_and_skills(titles, Candidates(), EVERY[:2])["titles"] == titles


def test_titles_of_who_does_the_work_are_no_skills() -> None:
    areas = [f"Project management {who}" for who in ("clerk", "intern", "aide", "tutor", "guide")]
    titles = Candidates.from_lines(["Java developer", "Developer", "Project management"])
    skills = Candidates.from_lines(
        ["Java", "java Developer", "Developer", "Project Management", "Game developer"]
    )
    found = occupations_and_skills(titles, skills, [*EVERY, *areas])
    # A name that is no title of training is a skill, whatever it ends in.
    assert found["skills"].names == ("Java", "Project Management", "Game developer")
