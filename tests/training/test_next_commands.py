"""The commands that a fit ends with: only those that work with its model and its table."""

from dataclasses import replace
from pathlib import Path

import pytest

from careergpt.data.tasks import DEFAULT_TASKS
from careergpt.recommend.rankings import Rankings
from careergpt.training.next_commands import next_commands

RECORDS = [
    {"titles": ("Clerk", "Head clerk"), "position_title": "Clerk", "skills": ("filing", "typing")}
] * 2


@pytest.fixture(scope="module")
def known() -> Rankings:
    """Of records that have all that the default tasks ask for."""
    return Rankings.of(DEFAULT_TASKS, RECORDS, 2)


def told(known: Rankings, tests: bool = True) -> list[str]:
    config, model = Path("a run/config.yaml"), Path("a run/model")
    return list(next_commands(config, model, "gpt2", known, 2, tests))


def of(known: Rankings, *names: str) -> Rankings:
    return replace(known, by_task={name: known.by_task[name] for name in names})


@pytest.mark.parametrize(
    ("rankings", "option"),
    [
        (("path",), "--position Clerk"),
        (("skills",), "--position Clerk"),
        (("position",), "--skills filing"),
        (("position", "skills"), "--skills filing"),
        (("path", "position", "skills"), "--position Clerk"),
    ],
)
def test_someone_is_asked_for_whom_the_model_can_answer(
    known: Rankings, rankings: tuple[str, ...], option: str
) -> None:
    line = f"  python main.py recommend --model.pretrained 'a run/model' {option}"
    assert line in told(of(known, *rankings))


def test_where_nothing_is_known_what_to_set_is_said() -> None:
    lines = told(Rankings.of(DEFAULT_TASKS, RECORDS, 3))
    assert not any("main.py recommend" in line for line in lines)
    assert any("no title or skill is in 2 training records" in line for line in lines)
    plain = told(Rankings.of({"describe": DEFAULT_TASKS["describe"]}, RECORDS, 1))
    assert not any("recommend" in line for line in plain)


def test_without_a_test_split_nothing_is_tested(known: Rankings) -> None:
    tested, untested = told(known), told(known, tests=False)
    verbs = [line.split()[2] for line in tested if "python" in line]
    assert verbs in (["recommend", "predict", "test", "compare"], ["recommend", "test", "compare"])
    assert not any("main.py test" in line or "main.py compare" in line for line in untested)
    assert any("--data.test_fraction" in line for line in untested)
