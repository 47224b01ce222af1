"""Names of positions and skills: their normalised form, for comparing them; titles, cleaned."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from unicodedata import category, normalize

from careergpt.data.cleaning import clean_text, settled, without_lone_brackets

# Vowel signs and accents that are characters of their own: \w has none of them.
_SIGNS = "".join(sign for sign in map(chr, range(0x300, 0x3100)) if category(sign)[0] == "M")

# Marks at a word's edge make a name: C++ and C# are not C, .NET is not net, an A+ is not an a.
# Within a word they are punctuation (Node.js, U.S., driver's), but for a number's point.
_WITHIN = re.compile(r"(?<=[^\W\d])[.'’](?=\w)")
_WORD = re.compile(rf"(?:(?<![\w.])\.(?=[^\W\d]))?[\w{_SIGNS}]+(?:\.[\w{_SIGNS}]+)*[+#♯]*")


SPELLED_OUT = {"sr": "senior", "snr": "senior", "jr": "junior", "jnr": "junior"}
"""Of a title's words; what they say is kept: a senior and a junior are two."""


def key_words(text: str) -> tuple[str, ...]:
    """The text's words, without case and punctuation but for what belongs to names such as C++."""
    folded = normalize("NFC", text.casefold()).replace("_", " ")
    return tuple(_WORD.findall(_WITHIN.sub("", folded)))


def plain_key(name: str) -> str:
    """The name's words, or, without any, its characters: splits are drawn by it, for ever."""
    return " ".join(key_words(name)) or "".join(name.casefold().split())


def title_key(name: str) -> str:
    """Normalised form of a title or skill: its `plain_key`, seniority spelled in one way.

    Example:
        title_key("Sr. C++  developer!") == title_key("SENIOR C++ Developer")
    """
    return " ".join(SPELLED_OUT.get(word, word) for word in plain_key(name).split(" "))


def distinct_names(names: Iterable[str]) -> tuple[str, ...]:
    """The first spelling of each name, in their order."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(title_key(name), name)
    return tuple(first.values())


def spellings(records: Iterable[Iterable[str]]) -> dict[str, Counter[str]]:
    """For each name's form the spellings of it, and in how many of the records each is."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for names in records:
        for key, name in {title_key(name): name for name in names}.items():
            found[key][name] += 1
    return found


MAX_TITLE_CHARS = 300
"""Longer text is a description in the wrong column; rules for titles would maul it."""

DASHES = re.compile(
    r"\s*[\u2013\u2014]\s+|\s+[\u2013\u2014]\s*|\s*-{2,}\s*"
    # "Engineer- Data", but not "Front- and Backend" nor "Front- End"
    r"|(?<=[\w).])-\s+(?!and\b|or\b|end\b|&)|\s+-(?=\w)"
)
SHOUTS = re.compile(r"!{2,}|!$|\*+")
STRAY_BLANKS = ((re.compile(r"\s+([,;:)\]])"), r"\1"), (re.compile(r"([(\[])\s+"), r"\1"))
LEADING = re.compile(r"^(?:[\s\-\u2013\u2014•·*|,;:/\\&@+!?\"'`~]|\.{2,}|\.(?!\w)|#(?=\s))+")
TRAILING = re.compile(r"(?:[\s\-\u2013\u2014•·*|,;:/\\&@!?\"'`~]|(?<=[a-z]{4})\.|(?<=\s)\+)+$")

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


# Acronyms that hold a vowel; words without one are acronyms unless they are in SHORTENED.
ACRONYMS = set(
    """
    ABAP ADA ADF AEM AI AJAX AP API AR ASP AWS BA BI BIM CAD CAE CAM CAO CATIA CDO CEO CFA
    CFO CIA CICD CICS CIO CISO CISSP CMO CNA COBOL COO COTA CPA CPO CRA CTO DBA DOD EBS EDI
    EDW EEO EHR EMR EMT EOC ERP ESL ETL FAA FEA FICO FPGA GIS HANA HCA HRIS HVAC I IAM IBM
    ICT ICU ID II III IIS IOT IP IS ISO IT ITIL ITS ITSM IV IVR IX JEE LAN LEA LTE MEP MIS
    MRI MS NET NOC OAF OBIEE ODI ODM OEM OMS OOP ORM OSHA OTR PA PACS PE PEGA PLC PMO PTA QA
    QC RCA RPA SAN SAP SAS SEM SEO SIEM SOA SOC SOX SRE SSIS UAT UI UK UML US USA UX VA VB
    VI VII VIII VOIP VP WAN XML
    """.split()
)
SHORTENED = set(
    """
    SR JR DR MR MRS ST MGR ASST SPVSR SUPV DEPT ENGR TECH MGMT MKTG BLDG ASSOC ASSN WKR CLK
    MY BY TRY WHY SPY SKY FLY DRY SHY
    """.split()
)
SMALL = set("OF AND FOR TO IN THE OR WITH AT ON A AN BY FROM AS".split())
OWN_CASE = {
    word.upper(): word
    for word in """
    JavaScript TypeScript DevOps DevSecOps MLOps iOS SharePoint PowerPoint PeopleSoft MySQL
    NoSQL PostgreSQL GraphQL GitHub LinkedIn YouTube SaaS PaaS IaaS AngularJS NodeJS ReactJS
    ServiceNow VMware PhD FileNet WebSphere WebLogic QuickBooks AutoCAD OpenStack
    """.split()
}

LETTERS = re.compile(r"[^\W\d_](?:[^\W\d_]|'(?=[^\W\d_]))*")
HAS_VOWEL = re.compile(r"[AEIOUYÀ-ÖØ-Ý]")
PLACE_AT_END = re.compile(r", [A-Z]{2}$")


def clean_title(title: str) -> str:
    """The title as a person would say it, in one line; cleaning it again changes nothing.

    Example:
        clean_title("SENIOR SQL DEVELOPER - Remote, $50/hr (#12345)") == "Senior SQL Developer"
    """
    return settled(title, _clean_once)


def _clean_once(title: str) -> str:
    line = " ".join(clean_text(title).split())
    if len(line) > MAX_TITLE_CHARS:
        return line
    line = _without_noise(DASHES.sub(" - ", line))
    line = SHOUTS.sub(" ", without_lone_brackets(line))
    for stray, repaired in STRAY_BLANKS:
        line = stray.sub(repaired, line)
    line = TRAILING.sub("", LEADING.sub("", line))
    return _lower_shouting(" ".join(line.split()))


def _without_noise(title: str) -> str:
    """The title without salary, work mode, gender marks, job number; "Remote" alone stays."""
    for noise in (GENDERS, CALLS, SALARY, JOB_NUMBERS, BRACKETED):
        # A bracket may hold a part of the title.
        shorter = noise.sub(lambda found: " " if _is_noise(found) else found[0], title)
        title = shorter if re.search(r"\w", shorter) else title
    return _without_terms_at_the_ends(title)


def _is_noise(found: re.Match[str]) -> bool:
    return found.re is not BRACKETED or _is_terms(found[1])


def _is_terms(text: str) -> bool:
    """Whether it says how one works and nothing else; an empty bracket says nothing."""
    words = [word.strip(".!*()[]") for word in WORD_ENDS.split(text.casefold())]
    words = [word for word in words if word]
    if not all(word in TERMS or word in FILLERS for word in words):
        return False
    return not words or not TERMS.isdisjoint(words) or words[:2] in WORKING_TIMES


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


def _lower_shouting(title: str) -> str:
    """A title all in capitals in title case, its acronyms kept; any other as it is."""
    # Three letters alone are an acronym more often than a word: "EMT", "DBA".
    if len(title) <= 3 or not title.isupper():
        return title
    end = PLACE_AT_END.search(title)
    kept_from = end.start() if end else len(title)
    return LETTERS.sub(lambda word: _lower(word, kept_from), title)


def _lower(found: re.Match[str], kept_from: int) -> str:
    word = found[0]
    if found.start() >= kept_from or _is_code(found):
        return word
    if word in OWN_CASE:
        return OWN_CASE[word]
    if word in SMALL and _around(found) in ("  ", " "):
        return word.lower()
    return word if _is_acronym(word) else word.capitalize()


def _around(found: re.Match[str]) -> str:
    """The characters before and after a word."""
    text, start, end = found.string, found.start(), found.end()
    return text[max(0, start - 1) : start] + text[end : end + 1]


def _is_code(found: re.Match[str]) -> bool:
    """Part of a name with digits (J2EE, DB2), or an abbreviation in brackets."""
    around = _around(found)
    return any(map(str.isdigit, around)) or (around == "()" and len(found[0]) <= 4)


def _is_acronym(word: str) -> bool:
    if word in SHORTENED:
        return False
    return word in ACRONYMS or len(word) == 1 or (len(word) <= 5 and not HAS_VOWEL.search(word))
