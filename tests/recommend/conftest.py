"""A language model that is small and has opinions, and what it may know of careers and skills."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from careergpt.data.tasks import DEFAULT_TASKS
from careergpt.modeling.loaded import LoadedModel, find_model
from careergpt.recommend import position_models
from careergpt.recommend.calibration import Blend, Calibration
from careergpt.recommend.rankings import Rankings


@pytest.fixture(scope="module", autouse=True)
def words_alone() -> Iterator[None]:
    """What skills mean has its own tests; hundreds of examples would take minutes of embedding."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(position_models, "bundled_model", lambda: None)
        yield


@pytest.fixture(scope="session")
def tiny(tiny_gpt2: Path) -> LoadedModel:
    """The tiny GPT-2 with wide weights: no two texts are about as likely. It reads 128 tokens."""
    loaded = find_model(str(tiny_gpt2)).load(torch.device("cpu"))
    with torch.no_grad():
        for weight in loaded.model.parameters():
            if weight.ndim == 2:
                weight.mul_(6)
    return loaded


MOVES = {
    "Nursing assistant": ["Registered nurse"],
    "Registered nurse": ["Nurse manager", "Triage nurse"],
    "Apprentice welder": ["Welder"],
    "Welder": ["Master welder", "Welding inspector"],
    "Data clerk": ["Data analyst"],
    "Data analyst": ["Analytics manager", "Data scientist", "Data analyst"],
}
SKILLS = {
    "Registered nurse": ["wound care", "triage", "charting", "empathy"],
    "Welder": ["arc welding", "grinding", "rigging", "blueprint reading"],
    "Data analyst": ["SQL", "statistics", "reporting", "C++", "dashboards"],
}


def careers(chance: random.Random, number: int) -> list[dict[str, Any]]:
    """Careers along the moves, each of two titles or more."""
    found = []
    for _ in range(number):
        titles = [chance.choice(["Nursing assistant", "Apprentice welder", "Data clerk"])]
        while titles[-1] in MOVES and len(titles) < 6:
            titles.append(chance.choice(MOVES[titles[-1]]))
        found.append({"titles": tuple(titles)})
    return found


def postings(chance: random.Random, number: int) -> list[dict[str, Any]]:
    """Positions with three of their skills."""
    return [
        {"position_title": title, "skills": tuple(chance.sample(SKILLS[title], 3))}
        for title in chance.choices(list(SKILLS), k=number)
    ]


@pytest.fixture(scope="session")
def training() -> list[dict[str, Any]]:
    """Names of 60 careers and 60 postings."""
    chance = random.Random(0)
    return careers(chance, 60) + postings(chance, 60)


@pytest.fixture(scope="session")
def unseen() -> list[dict[str, Any]]:
    """As many others; one career has a skill beside it, too few for an exponent."""
    chance = random.Random(1)
    few = {"titles": ("Data clerk", "Data analyst"), "skills": ("SQL",)}
    return [*careers(chance, 60), *postings(chance, 60), few]


@pytest.fixture(scope="session")
def both() -> list[dict[str, Any]]:
    """Careers with the skills of their field."""
    chance = random.Random(2)
    found = careers(chance, 60)
    kinds = {"Nurs": "Registered nurse", "Appr": "Welder", "Data": "Data analyst"}
    return [{**one, "skills": tuple(SKILLS[kinds[one["titles"][0][:4]]])} for one in found]


@pytest.fixture(scope="session")
def counted(training: list[dict[str, Any]]) -> Rankings:
    """Candidates and count models, before validation."""
    return Rankings.of(DEFAULT_TASKS, training, 2)


@pytest.fixture(scope="session")
def fitted(counted: Rankings, tiny: LoadedModel, unseen: list[dict[str, Any]]) -> Rankings:
    """The same with what validation chose."""
    return counted.fit(tiny, unseen, 500)


@pytest.fixture(scope="session")
def rankings(fitted: Rankings) -> Rankings:
    """The same with choices that all show: none of them leaves anything as it is."""
    peers = {"path": "markov", "position": "neighbours", "skills": "popularity"}
    chosen = {
        name: replace(
            ranking,
            calibration=Calibration(0.3 + 0.1 * place, 2.0 + place),
            blend=Blend(peers[name], 0.3 + 0.2 * place),
            few={},
        )
        for place, (name, ranking) in enumerate(fitted.by_task.items())
    }
    return replace(fitted, by_task=chosen, exponent=0.7)
