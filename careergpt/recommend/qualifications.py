"""Qualifications: the part of a job description that says what is asked of an applicant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile

LONGEST_HEADING = 60
"""Characters; where more stand before a colon, the heading begins amid the line."""

LONGEST_SENTENCE = 400
"""Characters; a longer one has no full stops, and is taken from where it names something."""

# What headings are made of. The last of such words that is no filler says what it heads.
_ASKED = (
    r"qualifications?|requirements?|skill ?sets?|skills?|experiences?|education(?:al)?|knowledge"
    r"|abilit(?:y|ies)|competenc(?:y|ies)|certifications?|licens(?:es?|ure)|credentials"
    r"|background|profile|prerequisites?|attributes|required|desired|needed|about you"
    r"|who you are|looking for|must[ -]haves?|nice[ -]to[ -]haves?|ask for|require|ideal"
    r"|right|successful|you(?:['’ ]?ll| will| should| must|['’]ve)? ?(?:need|bring|have|possess)"
    r"|(?:candidates?|applicants?|person)(?: will| should| must)? (?:has|have|is)|to qualify"
)
_OTHER = (
    r"responsibilit(?:y|ies)|duties|tasks?|functions?|accountabilities|benefits|perks|overview"
    r"|summary|descriptions?|compensation|salary|location|duration|contact|rate|pay|schedule"
    r"|hours|conditions|types?|remotely|physical (?:requirements|demands|abilities)|mission"
    r"|vision|values|culture|tools|disclaimer|closing|eeo|opportunity|employer|company|purpose"
    r"|to apply|how|why|involves|offer|will do|will|do|to do|get|you to|about (?:us|the \w+|\w+)"
    r"|the (?:job|work|team)"
)
_FILLER = (
    r"minimum|basic|essential|additional|mandatory|key|core|critical|main|major|primary|technical"
    r"|professional|personal|soft|general|specific|other|special|preferred|relevant|training|plus"
    r"|job|work|position|role|your|you|candidates?|applicants?|person|what|who|we|are|our|the|an?"
    r"|and|or|of|for|in|to|this|equal|employment|includ(?:e|es|ing)|succeed|should|must|re"
)
_CORE = re.compile(rf"\b(?:(?P<asks>{_ASKED})|{_OTHER})\b", re.IGNORECASE)
# Nothing follows the repetition: it never goes back, and time grows with the text's length only.
_RUN = re.compile(
    rf"\b(?:(?:{_ASKED}|{_OTHER}|{_FILLER})\b['’]?[ \t,/&()-]{{0,3}}){{1,12}}", re.IGNORECASE
)
_COLON = re.compile(r"(?:[\w/]{1,20})?\s{0,3}:")
_SMALL = re.compile(r"(?:and|or|of|for|the|to|in|&|/)", re.IGNORECASE)
# Text without any punctuation has headings amid its words; these are seldom anything else.
_PLAIN = re.compile(
    r"qualifications|requirements|must have|(?:required|preferred) (?:skills|experience)"
    r"|responsibilities|duties|benefits|about us|equal (?:employment )?opportunity|to apply",
    re.IGNORECASE,
)
_BULLET = re.compile(r"\s*(?:[-•*·\u2013]|\d{1,2}[.)])")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n|\s(?=[•*·])")
# Company talk that follows a list with no heading of its own.
_FAREWELL = re.compile(
    r"\bequal (?:employment )?opportunity|\bwe(?: are|'re) an equal|\ball qualified applicants"
    r"|\b(?:please|to|and) apply\b|\bapply (?:now|today|with)\b|\bplease (?:send|respond|email)"
    r"|\bwe offer\b|\bpowered by\b",
    re.IGNORECASE,
)
_NAMES = re.compile(
    r"\bmust (?:have|be able|possess|hold|show)|\byou(?: will|'ll)? need\b(?! to)|\bour minimum\b"
    r"|\byou (?:already have|have|should have|bring|come to us)\b|\brequired?\b(?! to)(?! you)"
    r"|\brequirements (?:are|inc)|\b(?:degree|diploma)\b|\byears?'? (?:of )?(?:\w+ )?experience"
    r"|\bexperienced? (?:with|in|as|using|working)\b|\bcertif|\bability to\b|\bproficien"
    r"|\b(?:an?|or|valid|current|driver'?s) (?:\w+ ){0,3}licen[cs]e|\bposition (?:demands|calls)\b"
    r"|\b(?:knowledge|understanding) of\b|\bfamiliar(?:ity)? with\b|\bwe ask for\b|\bto qualify\b"
    r"|\b(?:right|ideal|good) (?:person|candidate)\b|\bessential for\b|\bwant to see\b"
    r"|\b(?:candidates?|applicants?|someone)(?: must| should)? (?:with|have|show)\b"
    r"|\byour preparation|\byour (?:application|file) should"
    r"|\b(?:strong|excellent|good|solid|proven) [^.\n]{0,60}\b(?:skills|background|experience)\b",
    re.IGNORECASE,
)


def qualifications_in(text: str) -> str | None:
    """The part of a job description that names what is asked for; None where no part says so.

    Sections under a heading of that kind, up to the next of another; without any, the sentences
    that name something asked for. Each line of it stands in the text, in this order.
    """
    return "\n".join(list(_sections(text)) or list(_sentences(text))) or None


def _sections(text: str) -> Iterator[str]:
    """The sections that a heading of qualifications opens and that say something."""
    headings = list(_headings(text))
    ends = [*(start for start, _, _ in headings), len(text)][1:]
    for (start, head_end, asks), end in zip(headings, ends, strict=True):
        body = _until_its_end(text[head_end:end])
        if asks and any(map(str.isalnum, body)):
            yield (text[start:head_end] + body).strip()


def _headings(text: str) -> Iterator[tuple[int, int, bool]]:
    """Where each section starts, where its heading ends, and whether it names qualifications."""
    plain = not any(mark in text.strip() for mark in ".:\n")
    offset = 0
    for line in text.splitlines(keepends=True):
        free = 0  # No heading reaches back into the one before it.
        for run in _RUN.finditer(line):
            cores = list(_CORE.finditer(run[0]))
            start = _heading_start(line, run, plain) if cores else None
            if start is not None:
                start, free = max(start, free), run.end()
                yield offset + start, offset + free, cores[-1]["asks"] is not None
        offset += len(line)


def _heading_start(line: str, run: re.Match[str], plain: bool) -> int | None:
    """Where the heading starts that ends in these words; None where they are no heading."""
    words = [word for word in re.findall(r"\w+", run[0]) if not _SMALL.fullmatch(word)]
    capitals = all(word[0].isupper() for word in words)
    if _COLON.match(line, run.end()):
        # "Before you apply, make sure you have:" is one heading from the line's start on.
        alone = run.end() <= LONGEST_HEADING and not set(".:•*").intersection(line[: run.start()])
        return 0 if alone else run.start()
    if run.start() <= 3 and not any(map(str.isalnum, line[: run.start()] + line[run.end() :])):
        return 0
    if (capitals and len(words) > 1) or (run[0].isupper() and len(run[0].strip()) > 4):
        return run.start()
    return run.start() if plain and _PLAIN.search(run[0]) else None


def _until_its_end(body: str) -> str:
    """The section without what follows its list, or the line of its heading."""
    farewell = _FAREWELL.search(body)
    if farewell:
        ends = [0, *(end.end() for end in _SENTENCE_END.finditer(body, 0, farewell.start()))]
        body = body[: ends[-1]]
    first, *lines = body.split("\n")
    filled = next((line for line in lines if line.strip()), "")
    if not (_BULLET.match(filled) or first.rstrip().endswith(".")):
        return body
    listed = takewhile(lambda line: not line.strip() or _BULLET.match(line), lines)
    return "\n".join([first, *listed])


def _sentences(text: str) -> Iterator[str]:
    """The sentences, or items of a list, that name something asked for."""
    for sentence in _SENTENCE_END.split(text):
        cue = _NAMES.search(sentence)
        if cue:
            yield sentence[cue.start() if len(sentence) > LONGEST_SENTENCE else 0 :].strip()
