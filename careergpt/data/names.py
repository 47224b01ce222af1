"""What titles and skills are compared by: case, white space and punctuation never matter."""

from __future__ import annotations

import re

# Marks that make a name are part of it: C++ and C# are not C, nor is the A+ certificate an a.
_WORD = re.compile(r"[^\W_]+[+#]*")


def key_words(name: str) -> list[str]:
    """The name's words, without case and punctuation but for what tells C++ and C# from C."""
    return _WORD.findall(name.casefold())


def title_key(name: str) -> str:
    """What titles and skills are compared by: the words, or, without any, the characters."""
    return " ".join(key_words(name)) or "".join(name.casefold().split())
