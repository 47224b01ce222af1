"""Laws of what was typed: it wins over a model folder, part by part, and nothing of it is lost."""

from typing import Any

import pytest

from careergpt.cli.parsing import typed_columns, typed_options, unless_typed

TOLD = {"a": {"weight": 1, "prompt": "A"}, "b": {"weight": 1, "prompt": "B"}}


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (["fit", "--model.lr", "1"], {"model": {"lr": "1"}}),
        (["--model.lr=1", "--model.d.x=2"], {"model": {"lr": "1", "d": {"x": "2"}}}),
        (["--model", '{"d": {"x": 2}}'], {"model": {"d": ""}}),
        (['--data.tasks={"a": {}}'], {"data": {"tasks": '{"a": {}}'}}),
        (["--data=1", "--data.pack=2"], {"data": "1"}),
        (["--model", "{"], {"model": "{"}),
    ],
)
def test_options_are_nested_by_their_names(words: list[str], typed: dict[str, Any]) -> None:
    assert typed_options(words) == typed


def test_nothing_typed_is_all_told() -> None:
    assert unless_typed(TOLD, {"c": {"weight": 3}}, {}) == TOLD


def test_a_typed_part_is_configured_and_the_rest_told() -> None:
    found = unless_typed(TOLD, {"a": {"weight": 0, "prompt": "X"}}, {"a": {"weight": "0"}})
    assert found == {"a": {"weight": 0, "prompt": "A"}, "b": TOLD["b"]}


def test_a_typed_part_that_the_folder_lacks_is_kept() -> None:
    new = {"weight": 2, "prompt": "N"}
    assert unless_typed(TOLD, {"n": new}, {"n": "{…}"}) == {**TOLD, "n": new}


def test_what_is_typed_whole_is_configured_whole() -> None:
    assert unless_typed(TOLD, {"n": 1}, "{…}") == {"n": 1}


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (["--data.columns.skills=a", "--data.columns.titles", "b"], ("skills", "titles")),
        (['--data.columns={"skills": "a"}'], ("skills",)),
        (["--data.source=a.csv"], ()),
    ],
)
def test_columns_that_are_typed_are_known_by_their_fields(
    words: list[str], fields: tuple[str, ...]
) -> None:
    assert typed_columns(words) == fields
