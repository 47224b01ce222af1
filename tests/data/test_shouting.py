"""Laws of shouting: titles in capitals are written as a person would, their acronyms kept."""

import pytest

from careergpt.data.names import clean_title


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("AUTOMATION TEST ENGINEER", "Automation Test Engineer"),
        ("SENIOR SQL DEVELOPER", "Senior SQL Developer"),
        ("SR J2EE CONSULTANT", "Sr J2EE Consultant"),
        ("IT MANAGER, SAP AND QA", "IT Manager, SAP and QA"),
        ("VP OF SALES, NY", "VP of Sales, NY"),
        ("BOATSWAIN'S MATE (RN)", "Boatswain's Mate (RN)"),
    ],
)
def test_a_title_in_capitals_is_lowered_but_for_its_acronyms(raw: str, clean: str) -> None:
    assert clean_title(raw) == clean


@pytest.mark.parametrize("title", ["RN", "CEO", "EMT", "3D Artist", "Analyst II", "NURSE iOS"])
def test_what_is_short_or_not_all_in_capitals_stays(title: str) -> None:
    assert clean_title(title) == title
