"""Job titles as a person would say them: without salary, work mode, job number and shouting."""

import re

from careergpt.data.plain_text import clean_text, settled
from careergpt.data.shouting import lower_shouting
from careergpt.data.title_noise import without_noise

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


def clean_title(title: str) -> str:
    """The title alone, in one line; cleaning it again changes nothing."""
    return settled(title, _clean_once)


def _clean_once(title: str) -> str:
    line = " ".join(clean_text(title).split())
    if len(line) > MAX_TITLE_CHARS:
        return line
    line = without_noise(DASHES.sub(" - ", line))
    line = SHOUTS.sub(" ", without_lone_brackets(line))
    for stray, repaired in STRAY_BLANKS:
        line = stray.sub(repaired, line)
    line = TRAILING.sub("", LEADING.sub("", line))
    return lower_shouting(" ".join(line.split()))


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
    lone.update(opened)
    return "".join(" " if index in lone else char for index, char in enumerate(text))
