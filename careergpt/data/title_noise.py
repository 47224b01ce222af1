"""What stands in a title and is no part of it: salary, work mode, gender marks, job numbers."""

import re

# Words that say how one works, not what one does. A bracket or a segment between separators goes
# when it holds nothing but these and fillers: "(Remote)" and "- Contract to hire" do,
# "Remote sensing scientist" and "Contract Manager" do not.
TERMS = set(
    """
    remote remotely hybrid onsite on-site wfh telecommute telework fulltime full-time
    parttime part-time fte permanent perm temporary temp contract c2c w2 corp-to-corp
    contract-to-hire urgent urgently immediate immediately asap hiring opening openings
    """.split()
)
FILLERS = set(
    """
    full part time work working home from fully 100 100% or and us usa uk eu u.s canada only
    worldwide anywhere basis based position positions role job opportunity opportunities
    hire to term long short month months year week 1 2 3 4 6 9 12 18 24 now needed available
    within in flexible a option possible
    """.split()
)
TERMS_AND_FILLERS = TERMS | FILLERS

WORD_ENDS = re.compile(r"[\s,;/|&]+|-(?= )|(?<= )-")
WORKING_TIMES = (["full", "time"], ["part", "time"])
BRACKETED = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
SEGMENT_END = re.compile(r"\s+-\s+|\s*[|,:]\s+|\s+/\s+|(?<=[\w)])-(?=\w+$)")

_NUMBER = r"(?:\d[\d.,]*\d|\d)"
_CODE = r"(?:EUR|USD|GBP|CHF|CAD|AUD|INR|euros?|dollars|€|£)"
_SUM = (
    rf"(?:[$£€₹]\s?{_NUMBER}\s?[km]?\b\+?"
    rf"|\b{_NUMBER}\s?k?\s?{_CODE}(?!\w)"
    r"|\b\d{2,3}k?\s?(?:-|to)\s?\d{2,3}k\b)"
)
SALARY = re.compile(
    r"(?:\b(?:up to|from|starting at|salary(?: range)?:?|paying|earn|to)\s+|@\s*)?"
    rf"{_SUM}(?:\s?(?:-|to|/)\s?(?:{_SUM}|{_NUMBER}\s?k?\b))?\s?{_CODE}?"
    r"(?:\s?(?:/|\bper\b|\ban?\b|\bp\.?(?=[ah]))"
    r"\s?(?:yr|year|annum|hour|hr|day|month|week|[ahd])\b\.?)?"
    r"(?:\s?\b(?:annually|yearly|hourly|base|doe)\b)?"
    r"(?:\s?(?:\+|plus\b|and\b)\s?(?:bonus|benefits)\b)?",
    re.IGNORECASE,
)

# Two letters are a gender mark only in these pairs: "(H/W)" is hardware.
_PAIR = r"(?:[mh]/f|f/[mh]|m/w|w/m)"
_SEX = r"(?:[mwfdxhigun]|div(?:ers)?|gn)"
GENDERS = re.compile(
    rf"[(\[]\s*(?:{_PAIR}|{_SEX}(?:\s*[/|,*]\s*{_SEX}){{2,4}})\s*[)\]]"
    rf"|(?<![\w/]){_SEX}(?:/{_SEX}){{2,4}}(?![\w/])"
    r"|[(\[]?\ball genders?\b(?: welcome)?[)\]]?|\((?:gn|gender[- ]neutral)\)",
    re.IGNORECASE,
)

CALLS = re.compile(
    r"\burgent(?:ly)?\s*"
    r"(?:hiring|requirements?|required?|need(?:ed)?|openings?|role|position)\b(?: for)?"
    r"|\burgent(?:ly)?\b(?=\s*(?:[!:|*-]|$))"
    r"|\b(?:now hiring|(?:we(?:'re| are) )?hiring now|apply (?:now|today)"
    r"|immediate(?:ly)? (?:hire|hiring|start|opening|need|joiner|interview|opportunity)s?"
    r"|(?:great|amazing|excellent|exciting) opportunity)\b"
    r"|(?:(?:\bwith|\bw/|\+|&)\s*(?:an?\s)?)?\b(?:sign(?:ing)?[- ]on|signing) bonus\b"
    # What a screen reader says beside LinkedIn's badge, scraped with the title.
    r"| with verification$|\[(?:email|phone)\]",
    re.IGNORECASE,
)

_ID_WORD = r"(?:job|requisition|req|reference|ref|posting|vacancy|position|jo|jr|id|no|number)"
JOB_NUMBERS = re.compile(
    # (#12345), (JO#4754), (16-00129)
    rf"[(\[]\s*(?:{_ID_WORD}\b[\s.#:-]*)*(?:#\s*)?(?:\d[\d_ -]*\d[a-z]?|(?<=#)\d)\s*[)\]]"
    # Job ID 1234, Req: S1621
    rf"|[(\[]?\b{_ID_WORD}\b[\s.]*(?:(?:id|no|number|code)\b[\s.]*)?[#:]*\s*"
    r"[a-z]{0,4}-?\d{3,}[\w-]*[)\]]?"
    r"|(?<!\w)#\s?\d{3,}\b"
    # At the end: " - 12185", "-1017", " 95304", " 2025-26"; but ISO 27001 is a subject.
    r"|(?<!\d)(?<!iso)(?<!iec)(?:\s*[-|:,]\s*|\s+#)(?:[a-z]+\d+_)?\d[\d-]{2,}\d[a-z]?$"
    r"|(?<!iso)(?<!iec)\s\d{5,}$|\s20\d\d\s?-\s?(?:20)?\d\d$"
    # At the start: "12185 - ", "ABC-007-"
    r"|^\d[\d-]{2,}\d\s*[-:|]\s+|^[a-z]{2,5}-\d{3}-",
    re.IGNORECASE,
)


def without_noise(title: str) -> str:
    """The title without all this; a title that is nothing else ("Remote") stays as it is."""
    for noise in (GENDERS, CALLS, SALARY, JOB_NUMBERS):
        title = _unless_all(noise.sub(" ", title), title)
    title = _unless_all(BRACKETED.sub(_drop_terms, title), title)
    return _without_terms_at_the_ends(title)


def _unless_all(shorter: str, title: str) -> str:
    return shorter if re.search(r"\w", shorter) else title


def _is_terms(text: str) -> bool:
    """Whether it says how one works and nothing else; an empty bracket says nothing."""
    words = [word.strip(".!*()[]") for word in WORD_ENDS.split(text.casefold())]
    words = [word for word in words if word]
    if not TERMS_AND_FILLERS.issuperset(words):
        return False
    return not words or not TERMS.isdisjoint(words) or words[:2] in WORKING_TIMES


def _drop_terms(bracket: re.Match[str]) -> str:
    return " " if _is_terms(bracket[1]) else bracket[0]


def _without_terms_at_the_ends(line: str) -> str:
    """Drops what stands after or before a separator where it only says how one works."""
    ends = list(SEGMENT_END.finditer(line))
    for end in ends:
        if _is_terms(line[end.end() :]):
            return line[: end.start()]
    for end in ends:
        if _is_terms(line[: end.start()]):
            return line[end.end() :]
    return line
