"""Titles in capitals, lowered as a person would write them."""

import re

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
SMALL = set(
    """
    OF AND FOR TO IN THE OR WITH AT ON A AN BY FROM AS
    """.split()
)
OWN_CASE = {
    word.upper(): word
    for word in """
    JavaScript TypeScript DevOps DevSecOps MLOps iOS SharePoint PowerPoint PeopleSoft MySQL
    NoSQL PostgreSQL GraphQL GitHub LinkedIn YouTube SaaS PaaS IaaS AngularJS NodeJS ReactJS
    ServiceNow VMware PhD FileNet WebSphere WebLogic QuickBooks AutoCAD OpenStack
    """.split()
}

WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|'(?=[^\W\d_]))*")
HAS_VOWEL = re.compile(r"[AEIOUYÀ-ÖØ-Ý]")
PLACE_AT_END = re.compile(r", [A-Z]{2}$")


def lower_shouting(title: str) -> str:
    """A title all in capitals in title case, its acronyms kept; any other as it is."""
    # Three letters alone are an acronym more often than a word: "EMT", "DBA".
    if len(title) <= 3 or not title.isupper():
        return title
    end = PLACE_AT_END.search(title)
    kept_from = end.start() if end else len(title)
    return WORD.sub(lambda word: _lower(word, kept_from), title)


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
