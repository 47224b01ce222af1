"""A comparison as a run would make it, of the embedded sample's postings and made-up nats."""

import csv
import math
import random
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from careergpt.compare import metrics
from careergpt.compare.comparison import (
    Answer,
    Bounds,
    Comparison,
    DataFacts,
    Finding,
    Metric,
    ModelFacts,
    PairedAnswer,
    PairedScore,
    ShownRecord,
    Word,
)
from careergpt.compare.effort import Effort
from careergpt.compare.statistics import Interval, ratio_interval
from careergpt.compare.surprise import END
from careergpt.compare.verdict import in_plain_words, verdict

POSTINGS = Path(__file__).parents[2] / "data" / "postings.csv"
COMMAND = (
    "main.py compare --baseline openai-community/gpt2 --finetuned runs/demo/model "
    '--data.source "data/postings.csv" --seed 7'
)


@pytest.fixture(scope="session")
def comparison() -> Comparison:
    """A fine-tuned model that foretells descriptions better and skills a little worse."""
    return made_up(records=90)


def made_up(records: int) -> Comparison:
    """A comparison of so many records, each with a description and a list of skills."""
    chance = random.Random(5)
    with POSTINGS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:records]
    scores = tuple(score for k, row in enumerate(rows) for score in _scores(k, row, chance))
    answers = tuple(_answer(k, row, chance) for k, row in enumerate(rows[:6]))
    found = (*_of_scores(scores), *_of_answers(chance))
    titles = len({score.title for score in scores})
    data = DataFacts(
        "data/postings.csv", True, 1000, len(rows), len(scores), titles, left_out=3, cut=12
    )
    return Comparison(
        baseline=ModelFacts("openai-community/gpt2", 124_439_808, 50_257, 1024),
        finetuned=ModelFacts("runs/2026-03-01_demo/model", 124_439_808, 50_257, 1024),
        data=data,
        same_tokenizer=True,
        findings=found,
        bounds={
            "rouge_l": Bounds(1.0, 0.131),
            "skills_f1": Bounds(0.914, 0.087),
            "mrr": Bounds(0.871, 0.043),
        },
        described={"distinct_1": (0.214, 0.187), "distinct_2": (0.633, 0.571)},
        scores=scores,
        shown_records=tuple(_shown(scores, chance)),
        shown_answers=answers[:3],
        answers=answers,
        plain_words=in_plain_words(found, data, same_tokenizer=True),
        verdict=verdict(found, data, same_tokenizer=True),
        notes=(
            "12 completions were cut to the 1,024 tokens that both models read.",
            "Copying was not measured: the training texts of openai-community/gpt2 are not known.",
        ),
        settings=asdict(Effort(embedder="all-MiniLM", skills="skills.txt")),
        command=COMMAND,
    )


def _scores(number: int, row: dict[str, str], chance: random.Random) -> Iterator[PairedScore]:
    title = row["position_title"]
    skills = row["skills"].replace("|", ", ")
    texts = {
        "describe": (f"Describe the position of a {title}.", row["job_description"], 3.45, 0.62),
        "skills": (f"Which skills does a {title} need?", skills, 3.1, -0.02),
    }
    for task, (prompt, completion, level, gain) in texts.items():
        tokens = max(1, len(completion) // 5)
        before = max(0.2, chance.gauss(level, 0.35))
        after = max(0.1, before - chance.gauss(gain, 0.25))
        yield PairedScore(
            f"{number:016x}", task, title, prompt, f" {completion}", len(completion.encode()),
            (before * tokens, after * tokens), (tokens, tokens),
        )  # fmt: skip


def _of_scores(scores: tuple[PairedScore, ...]) -> Iterator[Finding]:
    for task in ("", "describe", "skills"):
        some = [s for s in scores if not task or s.task == task]
        tokens = np.array([s.tokens[0] for s in some], dtype=float)
        n_bytes = np.array([s.n_bytes for s in some], dtype=float) * math.log(2)
        yield _finding(metrics.LOSS, task, some, tokens)
        yield _finding(metrics.BITS, task, some, n_bytes)


def _finding(metric: Metric, task: str, some: list[PairedScore], units: np.ndarray) -> Finding:
    before, after = (np.array([s.nats[k] for s in some]) for k in (0, 1))
    found = ratio_interval(after - before, units, [s.title for s in some], resamples=200)
    per_record = (after - before) / units
    clear = found.low > 0 or found.high < 0
    return Finding(
        metric, task, len(some), len({s.title for s in some}),
        float(before.sum() / units.sum()), float(after.sum() / units.sum()), found,
        float(per_record.mean() / per_record.std()), float((per_record < 0).mean()),
        0.0005 if clear else 0.31, 0.004 if clear else 0.93,
        "better" if found.high < 0 else "worse" if found.low > 0 else "no difference found",
        trigram=3.3 if metric is metrics.LOSS else 1.1,
    )  # fmt: skip


def _of_answers(chance: random.Random) -> Iterator[Finding]:
    for metric in metrics.ANSWERS:
        scale = 120.0 if metric is metrics.LENGTH else 18.0 if metric is metrics.COPIED_RUN else 0.4
        before, after = scale * chance.uniform(0.5, 1.0), scale * chance.uniform(0.5, 1.0)
        change, width = after - before, scale * 0.15
        better = (change < 0) == (metric.better == "lower")
        ruling = "better" if better else "worse"
        if abs(change) < width:
            ruling = "no difference found"
        elif metric.better == "neither":
            ruling = "different"
        yield Finding(
            metric, "", 64, 48, before, after, Interval(change, change - width, change + width),
            change / scale, 0.5 + 0.3 * (1 if better else -1), 0.002, 0.024, ruling,
        )  # type: ignore[arg-type]  # fmt: skip


def _words(text: str, chance: random.Random, level: float) -> tuple[Word, ...]:
    parts = [*re.findall(r"\s*\S+", text), END]
    return tuple(Word(part, chance.expovariate(1 / level)) for part in parts)


def _shown(scores: tuple[PairedScore, ...], chance: random.Random) -> Iterator[ShownRecord]:
    described = [s for s in scores if s.task == "describe"]
    described.sort(key=lambda s: (s.nats[1] - s.nats[0]) / s.tokens[0])
    middle = len(described) // 2
    for place, score in (
        ("best", described[0]), ("best", described[1]), ("median", described[middle]),
        ("worst", described[-2]), ("worst", described[-1]),
    ):  # fmt: skip
        levels = [nats / len(score.completion.split(" ")) for nats in score.nats]
        sides = [_words(score.completion, chance, level) for level in levels]
        yield ShownRecord(place, score, *sides)  # type: ignore[arg-type]


def _answer(number: int, row: dict[str, str], chance: random.Random) -> PairedAnswer:
    title = row["position_title"]
    text = row["job_description"]
    loops = f" The {title} is responsible for the work. The work is the work." * 9
    measured = {"rep_4": 0.71, "tokens": 120.0, "rouge_l": chance.uniform(0.05, 0.2)}
    return PairedAnswer(
        "" if number == 0 else f"{number:016x}",
        title,
        f"Tell me about the qualifications required for a {title}.",
        "" if number == 0 else text,
        Answer(loops, "length", measured),
        Answer(f" {text}", "end", measured | {"rep_4": 0.02, "rouge_l": chance.uniform(0.2, 0.4)}),
    )
