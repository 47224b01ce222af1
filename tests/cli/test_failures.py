"""Laws of failures: what broke first is what is told."""

from careergpt.cli.faults import explained
from careergpt.errors import InputError


def test_an_error_is_not_hidden_by_what_breaks_after_it() -> None:
    first, second = InputError("too little room"), RuntimeError("a library, in its teardown")
    second.__context__ = first
    assert explained(second) is first
