"""Laws of cleaning: nothing said is lost, nothing is left to clean, nothing real is missing."""

import html
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careergpt.data.cleaning import (
    clean_item,
    clean_text,
    clean_title,
    is_missing,
    mask_contacts,
    split_list,
)
from careergpt.data.duplicates import signature
from careergpt.data.names import key_words

FRAGMENTS = st.sampled_from(
    [
        "<p>",
        "</p>",
        "<li>",
        "<b",
        ">",
        "<",
        "&amp;",
        "&lt;",
        "&",
        "lt;",
        "&#8203;",
        "&nbsp;",
        "\x00",
        "\u200b",
        "\ufeff",
        "\ud800",
        "\xa0",
        "\r\n",
        "\n",
        " ",
        "\u2028",
        "’",
        "é",
        "Ã©",
        "â€™",
        "(Remote)",
        "(m/f/d)",
        " - ",
        "$50k",
        "- 12185",
        "URGENT!!!",
        "SQL",
        "DEVELOPER",
        "(",
        ")",
        "555-010-0199",
        "ann@example.com",
        "@",
        "+",
        "#",
        "C++",
        ".NET",
        "1.",
        "and ",
        "[",
        "]",
        "|",
        "<script>",
        "</script>",
        "<!--",
        "-->",
        "2019-2020",
        "Job ID 1234",
        "Hiring now",
        "&copy;",
    ]
)
MESSY = st.lists(FRAGMENTS | st.text(max_size=8), max_size=12).map("".join)


@given(MESSY)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    for clean in (clean_text, clean_title, clean_item):
        assert clean(clean(text)) == clean(text)


@given(MESSY)
def test_masking_twice_changes_nothing(text: str) -> None:
    assert mask_contacts(mask_contacts(text)) == mask_contacts(text)


@given(MESSY)
def test_clean_text_can_be_written_as_utf_8_and_has_no_invisible_characters(text: str) -> None:
    cleaned = clean_text(text)
    cleaned.encode("utf-8")
    assert cleaned.replace("\n", "").isprintable() or not cleaned.isascii()
    assert "\n\n\n" not in cleaned
    assert "  " not in cleaned
    assert cleaned == cleaned.strip()


@given(MESSY)
def test_titles_and_items_are_one_line(text: str) -> None:
    assert len(clean_title(text).splitlines()) <= 1
    assert len(clean_item(text).splitlines()) <= 1


@given(st.lists(st.sampled_from("You write clean Python code daily".split()), min_size=1))
def test_plain_prose_stays_as_it_is(words: list[str]) -> None:
    assert clean_text(" ".join(words)) == " ".join(words)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("<p>You will:</p><ul><li>plan</li><li>build</li></ul>", "You will:\n\n- plan\n\n- build"),
        ("One<br/>two<BR>three", "One\ntwo\nthree"),
        ('<div class="a">A<span>B</span></div>', "AB"),
        ("<td>Pay</td><td>Hours</td>", "Pay Hours"),
        ("<style>p {}</style>Hello<!-- note -->", "Hello"),
        ("R&amp;D and Q&amp;amp;A", "R&D and Q&A"),
        ("&amp;lt;p&amp;gt;Hello&amp;lt;/p&amp;gt;", "Hello"),
        ("AT&T, R&D and ?a=1&lt=2", "AT&T, R&D and ?a=1&lt=2"),
        ("vector<int>, a < b, <5 years", "vector<int>, a < b, <5 years"),
        ("weâ€™re hiring at a cafÃ©", "we're hiring at a café"),
        ("\u201cBest\u201d team\u2019s caf\u00e9", '"Best" team\'s café'),
        ("a\xa0\xa0b\tc \r\n\r\n\r\n\r\n d\u200b\x07\ufeff", "a b c\n\nd"),
        ("\uf0b7 plan", "• plan"),
    ],
)
def test_text_is_what_a_reader_would_see(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


def test_contacts_stay_when_asked_to() -> None:
    text = "Write to ann@example.com or call 555-010-0199"
    assert clean_text(text, mask_contacts=False) == text
    assert clean_text(text) == "Write to [email] or call [phone]"


@pytest.mark.parametrize(
    "phone",
    [
        "555-010-0199",
        "(555) 010-0199",
        "555.010.0199",
        "+1 555 010 0199",
        "+44 (0)20 7946 0018",
        "1-555-010-0199",
        "+4915112345678",
        "020 7946 0018",
        "+49 30 123456-78",
        "555 234 0199",
    ],
)
def test_a_phone_number_is_masked(phone: str) -> None:
    assert mask_contacts(f"Reach us at {phone}, any day.") == "Reach us at [phone], any day."


def test_an_announced_phone_number_needs_no_pattern() -> None:
    assert mask_contacts("Phone: 5550100199. Call 555-0199") == "Phone: [phone]. Call [phone]"


@pytest.mark.parametrize(
    "number",
    [
        "2019-2020",
        "2019 - 2020",
        "401(k)",
        "$100,000-150,000",
        "$120,000.00 - $150,000.00",
        "15-1252.00",
        "ISO 9001:2015",
        "ISO/IEC 27001",
        "3.11.7",
        "9:00-17:30",
        "50-75%",
        "24/7",
        "192.168.100.1000",
        "10,000,000 users",
        "01-02-2020",
        "2020-01-15",
        "5+ years",
        "+20%",
        "1234567890",
        "C++11 2019 2020",
        "100 000 000 EUR",
        "1.5",
        "F-150",
        "$555 010 0199",
    ],
)
def test_other_numbers_are_not_masked(number: str) -> None:
    assert mask_contacts(f"We have {number} here") == f"We have {number} here"


@pytest.mark.parametrize("email", ["ann@example.com", "ann.lee+jobs@mail.example.co.uk"])
def test_an_e_mail_address_is_masked(email: str) -> None:
    assert mask_contacts(f"<{email}>.") == "<[email]>."


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
        ("Systems Administrator (", "Systems Administrator"),
        ("Systems Engineer)", "Systems Engineer"),
        ("Engineer \u2013 Data", "Engineer - Data"),
        ("Engineer- Data", "Engineer - Data"),
        ("AUTOMATION TEST ENGINEER", "Automation Test Engineer"),
        ("SENIOR SQL DEVELOPER", "Senior SQL Developer"),
        ("SR J2EE CONSULTANT", "Sr J2EE Consultant"),
        ("IT MANAGER, SAP AND QA", "IT Manager, SAP and QA"),
        ("VP OF SALES, NY", "VP of Sales, NY"),
        ("BOATSWAIN'S MATE (RN)", "Boatswain's Mate (RN)"),
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


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  \u2022 Python, ", "Python"),
        ("- C++", "C++"),
        ("C#;", "C#"),
        (".NET", ".NET"),
        ("...teamwork.", "teamwork"),
        ("1. Node.js", "Node.js"),
        ("and SQL", "SQL"),
        ("'Excel'", "Excel"),
        ("['R'", "R"),
        ("(Python)", "Python"),
        ("AWS (EC2)", "AWS (EC2)"),
        ("Azure)", "Azure"),
        ("R&amp;D\nbudgets", "R&D budgets"),
    ],
)
def test_an_item_is_bare(raw: str, clean: str) -> None:
    assert clean_item(raw) == clean


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-",
        "--",
        "-1",
        "n/a",
        "N/A",
        "N.A.",
        "null",
        "NaN",
        "?",
        "see job description",
        "(See Job Description)",
        "please see below",
        "SEE BELOW:",
        "not specified",
        "TBD",
        "#NAME?",
        "*see below",
        "As per detailed job description.",
        "Please refer to job description",
        "see required skills below",
        "see details",
        "Not Available",
        "see attached",
    ],
)
def test_a_placeholder_is_missing(text: str) -> None:
    assert is_missing(text)


@pytest.mark.parametrize(
    "text",
    [
        "NA",
        "None",
        "na",
        "none",
        "0",
        "1",
        "R",
        "C#",
        "Description",
        "job description writing",
        "Seeing eye dog trainer",
        "below",
        "Details matter",
        "See Job Description below: Java",
    ],
)
def test_a_word_is_not_missing(text: str) -> None:
    assert not is_missing(text)


def test_long_text_is_missing_only_where_it_holds_no_word() -> None:
    assert is_missing("- _ " * 200)
    assert not is_missing("- _ " * 200 + "welder")


@pytest.mark.parametrize(
    ("text", "separator", "items"),
    [
        ("a|b, c|d", None, ["a", "b, c", "d"]),
        ("a, b; c, d", None, ["a", "b; c", "d"]),
        ("a; b", None, ["a", "b"]),
        ("a|b,c", None, ["a", "b,c"]),
        ("one thing", None, ["one thing"]),
        ("", None, []),
        ("a,, b ,", ",", ["a", "b"]),
        ("AWS (EC2, S3), SQL", ",", ["AWS (EC2, S3)", "SQL"]),
        ("AWS (EC2, S3", ",", ["AWS (EC2", "S3"]),
        ("a > b > c", " > ", ["a", "b", "c"]),
    ],
)
def test_a_list_is_split_where_its_writer_meant(
    text: str, separator: str | None, items: list[str]
) -> None:
    assert split_list(text, separator) == items


@given(st.lists(st.text("abc ", min_size=1).filter(str.strip), min_size=2), st.sampled_from("|,;"))
def test_joined_items_are_found_again(items: list[str], separator: str) -> None:
    assert split_list(separator.join(items), None) == [item.strip() for item in items]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf"]), max_size=30))
def test_escaping_text_does_not_change_what_it_says(text: str) -> None:
    assert clean_text(html.escape(text, quote=False)) == clean_text(text)


UNITS = [
    *("<", "<p ", "<!--", "<script>", "&", "(", ")", "a@", "- ", "555-", "+1 ", "\n ", "$1,"),
    *("1. ", "and ", "- 1. ", "Ã", "a.", "'"),
]
HOSTILE = [
    *(unit * (100_000 // len(unit)) for unit in UNITS),
    "&" + "amp;" * 25_000 + "lt;",
    "&#38;" + "#38;" * 25_000,
    "&" + "ampamp;" * 14_000,
    "<b" * 33_000 + ">" * 33_000,
    "<!-" * 25_000 + "-->" * 8_000,
    "&#38" * 25_000 + ";" * 25_000,
    "(555) 010-0199" * 3_000,
    "x" + "-" * 100_000 + "x",
    "x" + " ." * 50_000 + "x",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: f"{text[:12]}…{text[-4:]}")
def test_hostile_text_takes_linear_time(text: str) -> None:
    start = time.process_time()
    clean_text(text), clean_title(text), clean_item(text), split_list(text, None)
    clean_title(text[:300]), is_missing(text), signature(key_words(text))
    assert time.process_time() - start < 10  # A quadratic step takes minutes.


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("R&" + "amp;" * 20_000 + "D", "R&D"),
        ("a &" + "amp;" * 20_000 + "lt; b", "a < b"),
        ("a &#38;" + "#x26;" * 20_000 + "#x26;AMP;lt;p> b", "a\nb"),
    ],
)
def test_an_ampersand_is_one_however_often_it_was_escaped(text: str, clean: str) -> None:
    assert clean_text(text) == clean


def test_numbers_and_bullets_before_an_item_go_however_many_there_are() -> None:
    assert clean_item("1. - and 2. • " * 5_000 + "SQL" + " -." * 5_000) == "SQL"
