"""Errors: a user's mistakes, told apart from those of the program; and how a run can end."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_REMEDIES = {
    **dict.fromkeys(_SPACE, "make room and give the same command again"),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS), "change its permissions, or name another place"
    ),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "a folder is needed there"),
    errno.EISDIR: "a file is needed there",
    errno.ENAMETOOLONG: "shorten it",
    errno.ENOENT: "name what is there",
    errno.ELOOP: "its links lead nowhere",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.EIO: "look at the disk",
}

# Libraries in Rust tell of the system's errors in words alone.
_IN_WORDS = re.compile(r"\(os error (\d+)\)")

# What a terminal obeys, what shows other text than is there, and halves of a character.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class InputError(ValueError):
    """A mistake of the user's: where, what was found, what to do.

    The CLI prints it as one line and exits with 2.
    """


class RunEndedError(Exception):
    """What ends a command otherwise than it was to end: the CLI prints one line and exits.

    A run that stopped and can go on; a comparison whose gate is shut.
    """

    def __init__(self, message: str, code: int) -> None:
        """Remembers both.

        Args:
            message: What ended it, and the command that goes on.
            code: The exit code: 128 + the signal's number, 1 where it was something else.
        """
        super().__init__(message)
        self.code = code


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Imports in its block come with an extra: without it, what needs them is refused in a line."""
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"{what} needs {error.name}, which is not installed: pip install 'careergpt[{name}]'"
        ) from None


def printable(text: str) -> str:
    """The text as one line that no terminal obeys: what is no sign is shown by its number."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def system_fault(error: Exception, path: object = None) -> str | None:
    """Which path the system refuses, why, and what to do; None: the error is of another kind.

    Args:
        error: Its notes are told, too.
        path: What was asked for, where that is not the file that the error names.
    """
    in_words = _IN_WORDS.search(str(error))
    number = getattr(error, "errno", None) or (int(in_words[1]) if in_words else None)
    path = path or getattr(error, "filename", None)
    if number not in _REMEDIES or path is None:
        return None
    known = list(getattr(error, "__notes__", ()))
    if number in _SPACE:
        folder = next(parent for parent in Path(str(path)).absolute().parents if parent.is_dir())
        known.append(f"{shutil.disk_usage(folder).free / 1e6:,.1f} MB are free")
    told = f" ({', '.join(known)})" if known else ""
    return f"{path}: {os.strerror(number)}{told}: {_REMEDIES[number]}"
