"""Laws of noise in titles: salary, work mode, gender marks and job numbers go, and nothing else."""

import pytest

from careergpt.data.names import clean_title


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Data Engineer - Remote", "Data Engineer"),
        ("Data Engineer (Remote)", "Data Engineer"),
        ("Data Engineer | Remote | US", "Data Engineer"),
        ("(Remote) Data Engineer", "Data Engineer"),
        ("Data Engineer (Full-time/Part-time)", "Data Engineer"),
        ("Data Engineer, Contract to hire", "Data Engineer"),
        ("Koch (m/w/d)", "Koch"),
        ("Koch m/w/x", "Koch"),
        ("Engineer (all genders)", "Engineer"),
        ("Driver $50k - $60k/yr", "Driver"),
        ("Driver - $25.50 per hour", "Driver"),
        ("Driver ($150-200k)", "Driver"),
        ("Clerk up to £45,000", "Clerk"),
        ("Fahrer 50.000 EUR", "Fahrer"),
        ("Clerk (#12345)", "Clerk"),
        ("Clerk Job ID 1234", "Clerk"),
        ("Clerk - Req ID: 1555", "Clerk"),
        ("Clerk - 12185", "Clerk"),
        ("Clerk-1017", "Clerk"),
        ("12185 - Clerk", "Clerk"),
        ("Teacher 2025-2026", "Teacher"),
        ("URGENT!!! Nurse", "Nurse"),
        ("Nurse - HIRING NOW", "Nurse"),
        ("Nurse with Sign-on bonus!", "Nurse"),
        ("Nurse, ann@example.com", "Nurse"),
    ],
)
def test_a_title_loses_what_is_not_the_title(raw: str, clean: str) -> None:
    assert clean_title(raw) == clean


@pytest.mark.parametrize(
    "title",
    [
        "C++ Developer",
        "C# / .NET developer",
        "Nurse (RN)",
        "Java Developer - Spring",
        "RN",
        "CEO",
        "Salary analyst",
        "Remote sensing scientist",
        "Remote",
        "Contract Manager",
        "Temp",
        "EMT",
        "Hiring Manager",
        "Urgent Care Nurse",
        "401k Administrator",
        "ISO 27001 Lead Auditor",
        "Auditor ISO 27001",
        "Auditor ISO-27001",
        "Engineer (H/W)",
        "Windows Server 2012 Admin",
        "Hybrid Cloud Architect",
        ".NET Developer",
        "Front- and Backend Developer",
        "Job Coach",
        "Number Theory Lecturer",
        "SAP S/4 Consultant",
        "Developer (J2EE)",
        "Engineer (No H1-B)",
        "Mechanic F-150",
        "Level 2 Support",
        "Analyst II",
        "3D Artist",
        "Full Stack Developer",
        "Work Study Assistant",
        "Position Analyst",
    ],
)
def test_a_title_that_only_looks_noisy_stays(title: str) -> None:
    assert clean_title(title) == title
