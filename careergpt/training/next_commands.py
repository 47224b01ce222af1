"""The commands to type after a fit."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from careergpt.recommend.evaluation import ranking_tasks
from careergpt.recommend.rankings import Rankings

PROMPTS = Path("data/prompts.txt")
"""Prompts to begin with, where the commands are typed in a checkout."""


def next_commands(
    config: Path, model: Path, start: str, rankings: Rankings, min_count: int, tests: bool
) -> Iterator[str]:
    """What to type after a fit; only what works with this model and this table.

    Args:
        config: The run's configuration.
        model: The model folder.
        start: Where the starting model is.
        rankings: What the folder knows.
        min_count: Training records that a title or skill had to be in to be known.
        tests: Whether any example is in the test split.
    """
    own, configured = (shlex.quote(str(path)) for path in (model, config))
    program = "  python main.py"
    if person := _example_person(rankings):
        yield f"{program} recommend --model.pretrained {own} {person}"
    if PROMPTS.exists():
        yield f"{program} predict --model.pretrained {own} --data.prompts {PROMPTS}"
    if tests:
        yield f"{program} test --config {configured} --model.pretrained {own}"
        pair = f"--baseline {shlex.quote(start)} --finetuned {own}"
        yield f"{program} compare --config {configured} {pair}"
    if ranking_tasks(rankings.tasks) and not person:
        yield (
            f"Nothing to recommend: no title or skill is in {min_count} training records or more. "
            "Lower --data.min_count, or list titles: recommend --candidates FILE"
        )
    if not tests:
        yield "Nothing to test on: raise --data.test_fraction, or name another table"


def _example_person(rankings: Rankings) -> str:
    """The options of a person whom the model can answer; empty where there is none."""
    titles, skills = (rankings.candidates[kind] for kind in ("titles", "skills"))
    if len(titles) and "path" in rankings.by_task:
        return f"--position {shlex.quote(titles.names[0])}"
    if len(skills) and "position" in rankings.by_task:
        return f"--skills {shlex.quote(skills.names[0])}"
    if len(titles) and "skills" in rankings.by_task:
        return f"--position {shlex.quote(titles.names[0])}"
    return ""
