"""Lines of text files as rows are made of: bounded, numbered, and read again after a broken row."""

from collections import deque
from collections.abc import Iterator
from io import TextIOWrapper

from careergpt.data.encodings import BAD
from careergpt.errors import InputError

MAX_ROW_CHARS = 10_000_000
"""A longer row is a broken one: reading on would hold all of it in memory."""

MAX_BLANK_LINES = 1_000_000
"""More in a row are no table's: going through them all might take hours."""

LINE_ENDS = ("\n", "\r")


class BrokenRowError(Exception):
    """A row that cannot be read; says why."""


class RowLines:
    """A file's lines, which remember where a row began and end one that never ends."""

    def __init__(self, file: TextIOWrapper, name: str) -> None:
        """Starts before the first line of `file`, which errors call `name`."""
        self.file = file
        self.name = name
        self.line = 0
        self._blank = 0
        self._again: deque[str] = deque()
        self.begin_row()

    def begin_row(self) -> None:
        """The next line starts a new row."""
        self.first_line = self.line + 1
        self.is_damaged = False
        self._room = MAX_ROW_CHARS
        self._held: list[str] = []

    def __iter__(self) -> Iterator[str]:
        """These lines, from where they stand."""
        return self

    def __next__(self) -> str:
        """The next line with its end."""
        line = self._again.popleft() if self._again else ""
        if not line.endswith(LINE_ENDS):
            line += self.file.readline(max(self._room + 1 - len(line), 0))
        if not line:
            raise StopIteration
        self.line += 1
        self._room -= len(line)
        self._held.append(line)
        if self._room < 0:
            raise BrokenRowError(
                "a quote that is opened and never closed"
                if self.is_multiline
                else f"a line longer than {MAX_ROW_CHARS:,} characters"
            )
        self.is_damaged = self.is_damaged or BAD in line
        self._blank = self._blank + 1 if line.isspace() else 0
        if self._blank > MAX_BLANK_LINES:
            raise InputError(
                f"{self.name}:{self.line}: {MAX_BLANK_LINES:,} lines without a word. Remove them"
            )
        return line

    @property
    def is_multiline(self) -> bool:
        """Whether the row has gone beyond its first line."""
        return self.line > self.first_line

    def resume_below(self) -> None:
        """Goes on with the line below the broken row's first: that alone is lost."""
        first, *others = self._held
        self.line = self.first_line
        self._again.extendleft(reversed(others))
        while first and not others and not first.endswith(LINE_ENDS):
            first = self.file.readline(MAX_ROW_CHARS)
