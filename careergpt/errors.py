"""What a user did wrong, told apart from what is wrong in the program; and how a run can end."""


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
