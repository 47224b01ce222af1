"""Cleaning: plain text and lists from cells; no mojibake, HTML, control characters, contacts."""

import html
import re
from collections.abc import Callable

import ftfy

MOST_PASSES = 12
"""What is nested deeper is hostile: to unfold it level by level would take its length squared."""

# Our own unescaping knows about tags; ftfy's would bring new ones in after they were stripped.
FTFY = ftfy.TextFixerConfig(unescape_html=False, explain=False)

# Text with no character beyond these holds no mojibake: in Windows-1252 and Latin-1 the lead bytes
# of UTF-8 are none of them. So 96 postings in 100 need not visit ftfy, the slow part.
SUSPECT = re.compile("[^\x00-\x7f\xa0\u2018\u2019\u201c\u201d•\u2013\u2014®©·…€™]")
# What a second cleaning might change: all but tidy ASCII without & and <, and harmless signs.
UNSETTLED = re.compile("[^\t\n -%'-;=-~•\u2013\u2014®©·…€™]")
QUOTES = (("\u2019", "'"), ("\u2018", "'"), ("\u201c", '"'), ("\u201d", '"'))
BULLETS = str.maketrans(dict.fromkeys("\uf0b7\uf0a7\uf0d8●▪", "•"))

# However often its ampersand was escaped: "&amp;amp;lt;".
ENTITY = re.compile(
    r"&(?:(?i:amp|#0{0,5}38|#x0{0,4}26);)*"
    r"(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
)
# Without them, nothing is hidden any more.
OPENERS = re.compile("[&<]")
BLOCK_TAGS = """
    address article aside blockquote br dd div dl dt fieldset footer form h1 h2 h3 h4 h5 h6
    header hr main nav ol p pre section table tbody tfoot thead tr ul
""".split()
INLINE_TAGS = """
    abbr b big body center cite code em font head html i iframe img input ins label link meta
    mark small span strike strong sub sup svg s title tt u
""".split()

_REST_OF_TAG = r"(?:\s[^<>]*)?/?>"
# Only names that HTML knows: "vector<int>", "a < b" and "<5 years" are text.
TAG = re.compile(
    rf"<(?:(?P<item>li)|/?(?:(?P<block>{'|'.join(BLOCK_TAGS)}|li)|(?P<cell>td|th)"
    rf"|{'|'.join(INLINE_TAGS)})){_REST_OF_TAG}|<a\s[^<>]*>|</a\s*>",
    re.IGNORECASE,
)
UNSEEN = re.compile(
    r"<!--(?:(?!<!--).)*?-->|<(script|style)\b[^<>]*>(?:(?!<\1\b).)*?</\1\s*>",
    re.IGNORECASE | re.DOTALL,
)

LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069"
    "\ufe00-\ufe0f\ufeff\ud800-\udfff\ufff9-\ufffb]"
)
GAPS = re.compile(r"\n{3,}")

EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
PHONE = re.compile(
    r"""(?=[+(\d])(?<![\w$£€#.,+/-])(?:
        \+\d{1,3}(?:[ .\-/]?\(?\d{1,5}\)?){2,6}                      # +44 (0)20 7946 0018
      | (?:1[ .-])?\(\d{3}\)[ .-]{0,2}\d{3}[ .-]\d{4}                # (555) 010-0199
      | (?:1[ .-])?\d{3}([.-])\d{3}\1\d{4}                           # 555-010-0199
      | (?:1[ ])?[2-9]\d\d[ -][2-9]\d\d[ -]\d{4}                     # 555 234 0199
      | 0\d{2,4}[ -]\d{3,4}[ -]?\d{3,4}                              # 020 7946 0018
    )(?![\w%]|[.,/-]\d)""",
    re.VERBOSE,
)
# Six digits are found in half the time that it takes to look for the words before them.
SIX_DIGITS = re.compile(r"\d{3}[ )-]{0,2}\d{3}")
ANNOUNCED_PHONE = re.compile(
    r"(?i)(\b(?:phone|tel|telephone|call|mobile|cell|fax|whatsapp|text)\b[ .:#(]{1,4})"
    r"(\(?\d{3}[ )-]{0,2}\d{3,4}[ -]?\d{4}|\d{3}[ -]\d{4})(?![\w-])"
)

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


def clean_text(text: str, *, mask_contacts: bool = True) -> str:
    """The text as a reader would see it; cleaning it again changes nothing.

    Example:
        clean_text("<b>R&amp;D</b>, call 555-010-0199") == "R&D, call [phone]"
    """
    for _ in range(MOST_PASSES):
        shown = _tidy(_without_markup(_readable(text)))
        seen = _masked(shown) if mask_contacts else shown
        # What was hidden may have hidden more: "&amp;lt;p&amp;gt;", "&#8203;", "&Atilde;&copy;".
        if seen == text or (seen == shown and not UNSETTLED.search(seen)):
            return seen
        text = seen
    return _tidy(OPENERS.sub("", text))


def _readable(text: str) -> str:
    """Characters as they were meant: mojibake undone, quotes straight, the invisible ones gone."""
    if not text.isascii():
        if SUSPECT.search(text):
            text = "\n".join(map(_fix_line, text.split("\n"))).translate(BULLETS)
        for curly, straight in QUOTES:
            text = text.replace(curly, straight)
    return INVISIBLE.sub("", LINE_ENDS.sub("\n", text))


def _fix_line(line: str) -> str:
    return ftfy.fix_text(line, FTFY) if SUSPECT.search(line) else line


def _without_markup(text: str) -> str:
    if "&" in text:
        text = ENTITY.sub(lambda entity: html.unescape(f"&{entity[1]};"), text)
    if "<" in text:
        text = TAG.sub(_replace_tag, UNSEEN.sub(" ", text))
    return text


def _replace_tag(tag: re.Match[str]) -> str:
    if tag["item"]:
        return "\n- "
    if tag["block"]:
        return "\n"
    return " " if tag["cell"] else ""


def _tidy(text: str) -> str:
    """One blank between words, at most one empty line between paragraphs."""
    lines = [" ".join(line.split()) for line in text.split("\n")]
    return GAPS.sub("\n\n", "\n".join(lines)).strip()


def _masked(text: str) -> str:
    """The text with its e-mail addresses as "[email]" and its phone numbers as "[phone]"."""
    masked = EMAIL.sub("[email]", text) if "@" in text else text
    masked = PHONE.sub(_mask_phone, masked)
    return ANNOUNCED_PHONE.sub(r"\1[phone]", masked) if SIX_DIGITS.search(masked) else masked


def _mask_phone(found: re.Match[str]) -> str:
    """Ten digits make a number, with a country's code nine; no country has more than fifteen."""
    digits = sum(map(str.isdigit, found[0]))
    return "[phone]" if 9 <= digits <= 15 else found[0]


def settled(text: str, step: Callable[[str], str]) -> str:
    """The text when the step changes it no more, or after MOST_PASSES steps."""
    for _ in range(MOST_PASSES):
        before, text = text, step(text)
        if text == before:
            break
    return text


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


def without_lone_brackets(text: str) -> str:
    """Brackets that open or close nothing are left over from a cut: "Administrator ("."""
    if "(" not in text and ")" not in text:
        return text
    opened: list[int] = []
    lone: set[int] = set()
    for index, char in enumerate(text):
        if char == "(":
            opened.append(index)
        elif char == ")" and opened:
            opened.pop()
        elif char == ")":
            lone.add(index)
    lone |= {*opened}
    return "".join(" " if index in lone else char for index, char in enumerate(text))
