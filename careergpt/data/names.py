"""What titles and skills are compared by: one form, the words without case and punctuation."""

from __future__ import annotations

import re
from unicodedata import category, normalize

# Vowel signs and accents that are characters of their own: \w has none of them.
_SIGNS = "".join(sign for sign in map(chr, range(0x300, 0x3100)) if category(sign)[0] == "M")

# Marks at a word's edge make a name: C++ and C# are not C, .NET is not net, an A+ is not an a.
# Within a word they are punctuation (Node.js, U.S., driver's), but for a number's point.
_WITHIN = re.compile(r"(?<=[^\W\d])[.'’](?=\w)")
_WORD = re.compile(rf"(?:(?<![\w.])\.(?=[^\W\d]))?[\w{_SIGNS}]+(?:\.[\w{_SIGNS}]+)*[+#♯]*")


def key_words(text: str) -> tuple[str, ...]:
    """The text's words, without case and punctuation but for what belongs to names such as C++."""
    folded = normalize("NFC", text.casefold()).replace("_", " ")
    return tuple(_WORD.findall(_WITHIN.sub("", folded)))


def title_key(name: str) -> str:
    """What titles and skills are compared by: the words, or, without any, the characters."""
    return " ".join(key_words(name)) or "".join(name.casefold().split())
