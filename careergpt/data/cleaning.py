"""What every value goes through before it may become part of a record: pure functions of text."""

import re

from careergpt.data.plain_text import clean_text, mask_contacts, settled
from careergpt.data.titles import clean_title, without_lone_brackets

__all__ = ["clean_item", "clean_text", "clean_title", "is_missing", "mask_contacts", "split_list"]

SEPARATORS = "|,;"

AROUND = " -\u2013\u2014•·*●▪◦○|,;:/\\\"'`[]{}!?=~"
LEADING = re.compile(
    rf"^(?:[{re.escape(AROUND)}>]|\.{{2,}}|\.(?!\w)|(?:\d{{1,2}}[.)]|and|or|&)\s+)+", re.IGNORECASE
)
WRAPPED = re.compile(r"^\(([^()]*)\)$")

# "NA" and "None" are words: a company, a surname, an honest answer.
PLACEHOLDERS = {
    *("n a", "null", "nan", "nil", "not specified", "not available", "not applicable", "not given"),
    *("not provided", "not mentioned", "not disclosed", "unspecified", "undefined", "unknown"),
    *("tbd", "tba", "to be determined", "to be announced", "to be defined", "no data", "missing"),
    *("xxx", "no description"),
}
SHEET_ERRORS = {"-1", "#name?", "#n/a", "#value!", "#ref!", "#null!", "#div/0!", "#num!"}
_SEEN = r"description|desc|jd|details?|overview|posting|post|ad|advert|requirements?|skills|spec\w*"
POINTER = re.compile(
    r"(?:please )?"
    r"(?:see|refer to|refer|read|check|view|as per|as|same as|described|listed|mentioned) "
    r"(?:(?:the|full|complete|attached|detailed|job|required|role|position|in|to|for) )*"
    rf"(?:(?:{_SEEN})s?(?: (?:below|above|attached|for (?:the )?(?:details|requirements)))?"
    rf"|below|above|attached)"
)
LONGEST_PLACEHOLDER = 300
"""Characters; longer text says something, and searching all of it would take long."""

HAS_WORD = re.compile(r"[^\W_]")
NOT_WORDS = re.compile(r"[\W_]+")
# A separator within brackets or quotes separates nothing; an apostrophe is no quote.
WHOLE = r"""\([^()]*\)|(?<!\w)"[^"]*"(?!\w)|(?<!\w)'[^']*'(?!\w)"""


def clean_item(item: str) -> str:
    """One item of a list in one line, without bullet, number or punctuation around it."""
    return settled(item, _clean_item_once)


def _clean_item_once(item: str) -> str:
    line = without_lone_brackets(" ".join(clean_text(item).split()))
    return WRAPPED.sub(r"\1", LEADING.sub("", line).rstrip(AROUND + "."))


def is_missing(text: str) -> bool:
    """Whether a cell says that there is nothing in it; case and punctuation do not matter."""
    bare = text.strip().casefold()
    if bare in SHEET_ERRORS:
        return True
    if len(bare) > LONGEST_PLACEHOLDER:
        return HAS_WORD.search(bare) is None
    words = NOT_WORDS.sub(" ", bare).strip()
    return not words or words in PLACEHOLDERS or POINTER.fullmatch(words) is not None


def split_list(text: str, separator: str | None) -> list[str]:
    """The items of a list in one cell; with no separator given, by the one it holds most."""
    if separator is None:
        separator = max(SEPARATORS, key=text.count)
    pieces, start = [], 0
    for found in re.finditer(f"{WHOLE}|({re.escape(separator)})", text):
        if found[1]:
            pieces.append(text[start : found.start()])
            start = found.end()
    return [piece.strip() for piece in [*pieces, text[start:]] if piece.strip()]
