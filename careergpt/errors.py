"""What a user did wrong, told apart from what is wrong in the program."""


class InputError(ValueError):
    """A mistake of the user's: where, what was found, what to do.

    The CLI prints it as one line and exits with 2.
    """
