"""What is printed of texts that others wrote."""

import unicodedata

import pytest

from careergpt import cli
from careergpt.errors import InputError, printable


def test_no_control_character_and_no_half_of_one_is_printed_as_it_is() -> None:
    every = "".join(map(chr, range(0x11000)))
    shown = printable(every)
    assert not {unicodedata.category(sign) for sign in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(sign) for sign in shown} & {"RLO", "LRO", "RLI"}
    assert printable("\x1b[31mred\r\nerror: forged\ud800") == r"\x1b[31mred\r\nerror: forged\ud800"


@pytest.mark.parametrize("text", ["", "Kranführer/in (C++) – “é” 日本 🚑", "می‌خواهم", "a\u00a0b"])
def test_signs_of_every_script_stay(text: str) -> None:
    assert printable(text) == text


def test_an_error_is_one_line_that_no_terminal_obeys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise InputError("no \x1b]0;owned\x07 \u202eshown\n  error: forged \ud800")

    monkeypatch.setattr(cli, "_run", fail)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["audit"])
    expected = r"error: no \x1b]0;owned\x07 \u202eshown error: forged \ud800"
    assert capsys.readouterr().err == f"{expected}\n"
