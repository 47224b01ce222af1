"""What a user did wrong, told apart from what is wrong in the program; and how a run can end."""

import re

# What a terminal obeys, what shows other text than is there, and halves of a character.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class InputError(ValueError):
    """A mistake of the user's: where, what was found, what to do.

    The CLI prints it as one line and exits with 2.
    """


class RunEndedError(Exception):
    """A run that ended before its end and can go on: the CLI prints one line and exits."""

    def __init__(self, message: str, code: int) -> None:
        """Remembers both.

        Args:
            message: What ended it, and the command that goes on.
            code: The exit code: 128 + the signal's number, 1 where something else broke.
        """
        super().__init__(message)
        self.code = code


def printable(text: str) -> str:
    """The text as one line that no terminal obeys: what is no sign is shown by its number."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
