"""Laws of failures: what broke first is what is told."""

from careergpt.cli.failures import explained
from careergpt.errors import InputError


def test_an_error_is_not_hidden_by_what_breaks_after_it() -> None:
    first = InputError("too little room")
    try:
        try:
            raise first
        finally:
            raise RuntimeError("a library, in its teardown")
    except RuntimeError as error:
        assert explained(error) is first
    assert explained(RuntimeError("a library's own")) is None
