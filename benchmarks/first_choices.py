"""Are a model's first choices for unseen sample careers moves of the graph that made them?

`python benchmarks/first_choices.py RUN/model` asks the model, the count models and chance for the
title after each prefix of each unseen career of `data/careers.jsonl`, the current title left out.
A first choice is right if `data/positions.yaml` has the edge. Then everyone whose title leads on is
asked for with no skill, one, three and all of the title's own: they change nothing about it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from careergpt.data.datamodule import CareerDataModule
from careergpt.data.names import title_key
from careergpt.data.splits import TEST
from careergpt.modeling.folder import read_settings
from careergpt.modeling.loaded import find_model
from careergpt.recommend.evaluation import ranking_fields, without
from careergpt.recommend.people import Person
from careergpt.recommend.rankings import Rankings, tasks_of
from careergpt.recommend.recommender import Recommender

ROOT = Path(__file__).parents[1]


def positions() -> dict[str, dict[str, Any]]:
    """What the sample is made of: title -> its skills and the titles that it leads to."""
    fields = yaml.safe_load((ROOT / "data" / "positions.yaml").read_text(encoding="utf-8"))
    return {
        title: position
        for field in fields.values()
        for title, position in field["positions"].items()
    }


def moves() -> dict[str, set[str]]:
    """The documented graph: title -> the titles that it leads to."""
    return {
        title_key(title): {title_key(after) for after in position["next"]}
        for title, position in positions().items()
    }


def with_own_skills(recommender: Recommender) -> None:
    """Print how many first choices are edges for people who tell skills of their own title."""
    graph, names = moves(), recommender.predictor.titles.names
    known = {title: p["skills"] for title, p in positions().items() if graph[title_key(title)]}
    for number in (0, 1, 3, None):
        people = [Person(title, tuple(own[:number]), ()) for title, own in known.items()]
        found = (
            recommender.predictor.log_probabilities(recommender.read(person)) for person in people
        )
        chosen = [names[int(logs.argmax())] for (logs,) in found]
        right = [title_key(c) in graph[title_key(t)] for t, c in zip(known, chosen, strict=True)]
        told = "all" if number is None else number
        print(f"{told!s:>4} own skills: {sum(right)} of {len(right)} first choices are edges")


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a model folder, fitted on the sample")
    folder = parser.parse_args().model
    settings = read_settings(folder)
    tasks = tasks_of(settings)
    rankings = Rankings.load(tasks, settings, Path(folder), count_models=True)
    model = find_model(folder).load(torch.device("cpu"))
    data = CareerDataModule(
        str(ROOT / "data"), tasks=tasks, tokenizer=folder, context=model.context
    ).open()
    graph, ranking = moves(), rankings.by_task["path"]
    careers = [
        r["titles"]
        for r in data.fields(TEST, ranking_fields(tasks))
        if len(r.get("titles", ())) > 1
    ]
    # A career at its top has no edge left: nothing that could be chosen would be right.
    asked = [
        career[:end]
        for career in careers
        for end in range(1, len(career) + 1)
        if graph.get(title_key(career[end - 1]))
    ]
    names = [title_key(name) for name in ranking.candidates.names]
    print(f"{len(careers)} unseen careers, {len(asked)} times asked, {len(names)} candidates")
    queries = [{"titles": career} for career in asked]
    for name, found in ranking.log_probabilities(ranking.by(model), queries).items():
        right = []
        for logs, career in zip(found, asked, strict=True):
            rest = without(logs, [ranking.candidates.place(career[-1])])
            right.append(names[int(rest.argmax())] in graph[title_key(career[-1])])
        print(f"{name:12}{np.mean(right):7.1%}")
    chance = [len(graph[title_key(career[-1])]) / (len(names) - 1) for career in asked]
    print(f"{'chance':12}{np.mean(chance):7.1%}")
    with_own_skills(Recommender(rankings, model))


if __name__ == "__main__":
    main()
