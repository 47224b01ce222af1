"""Laws of plain text: nothing said is lost, what a reader would not see goes, contacts go."""

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careergpt.data.cleaning import clean_text


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
    assert clean_text(f"Reach us at {phone}, any day.") == "Reach us at [phone], any day."


def test_an_announced_phone_number_needs_no_pattern() -> None:
    assert clean_text("Phone: 5550100199. Call 555-0199") == "Phone: [phone]. Call [phone]"


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
    assert clean_text(f"We have {number} here") == f"We have {number} here"


@pytest.mark.parametrize("email", ["ann@example.com", "ann.lee+jobs@mail.example.co.uk"])
def test_an_e_mail_address_is_masked(email: str) -> None:
    assert clean_text(f"<{email}>.") == "<[email]>."


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf"]), max_size=30))
def test_escaping_text_does_not_change_what_it_says(text: str) -> None:
    assert clean_text(html.escape(text, quote=False)) == clean_text(text)


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
