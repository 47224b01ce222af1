"""Texts of postings and models, made fit to stand in a page: they may hold anything."""

from __future__ import annotations

# Control characters become their pictures; what turns the text around, and what UTF-8 cannot
# hold, is named: neither may reach beyond the text that it stands in.
_VISIBLE = (
    {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n\r"}
    | {code: f"[U+{code:04X}]" for code in [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]}
    | dict.fromkeys([*range(0x7F, 0xA0), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], "\ufffd")
)


def visible(text: str) -> str:
    """The text without characters that act; nothing is escaped yet."""
    return text.translate(_VISIBLE)


def short(text: str, length: int = 60) -> str:
    """The text on one line, cut to so many characters with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"
