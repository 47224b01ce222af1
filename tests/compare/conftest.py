"""A comparison as a run would make it, of the embedded sample's postings and made-up nats."""

import csv
import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from careergpt.compare import metrics
from careergpt.compare.answers import COLUMNS
from careergpt.compare.compare import Options
from careergpt.compare.comparison import (
    BASELINE,
    FINETUNED,
    Comparison,
    DataFacts,
    Finding,
    Metric,
    ModelFacts,
    WordScores,
)
from careergpt.compare.scores import TABLE, rows_of
from careergpt.compare.statistics import Interval, ratio_interval
from careergpt.compare.wording import in_plain_words, verdict
from careergpt.compare.words import END
from careergpt.data.names import title_key

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
    scores = table_of(score for k, row in enumerate(rows) for score in _scores(k, row, chance))
    written = [one for k, row in enumerate(rows[:6]) for one in _answers(k, row, chance)]
    answers = pa.Table.from_pylist(written, schema=COLUMNS)
    found = (*_of_scores(scores), *_of_answers(chance))
    titles = len(set(scores["title"].to_pylist()))
    data = DataFacts(
        "data/postings.csv", True, 1000, len(rows), 2 * len(rows), titles, left_out=3, cut=12
    )
    return Comparison(
        models={
            BASELINE: ModelFacts("openai-community/gpt2", 124_439_808, 50_257, 1024),
            FINETUNED: ModelFacts("runs/2026-03-01_demo/model", 124_439_808, 50_257, 1024),
        },
        data=data,
        same_tokenizer=True,
        findings=found,
        ranks={},
        bounds={
            "rouge_l": {"ceiling": 1.0, "floor": 0.131},
            "skills_f1": {"ceiling": 0.914, "floor": 0.087},
            "mrr": {"ceiling": 0.871, "floor": 0.043},
        },
        diversity={
            "distinct_1": {BASELINE: 0.214, FINETUNED: 0.187},
            "distinct_2": {BASELINE: 0.633, FINETUNED: 0.571},
        },
        scores=scores,
        word_scores=tuple(_word_scores(scores, chance)),
        answers=answers,
        plain_words=in_plain_words(found, data, same_tokenizer=True),
        verdict=verdict(found, data, same_tokenizer=True),
        notes=(
            "12 completions were cut to the 1,024 tokens that both models read.",
            "Copying was not measured: the training texts of openai-community/gpt2 are not known.",
        ),
        settings=asdict(Options(embedder="all-MiniLM", skills="skills.txt")),
        command=COMMAND,
    )


@pytest.fixture(name="table_of", scope="session")
def table_of_fixture() -> Callable[[Iterable[dict[str, Any]]], pa.Table]:
    """Makes a table of scores."""
    return table_of


def table_of(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Rows of the table of scores, asked by their own titles; what is not given is empty."""
    default = {name: None for name in TABLE.names} | {"task": "describe", "prompt": "A job?"}
    default |= {"completion": "", "n_prompt": 1, "token_ids": [1]}
    named = ({"asked_title": r["title"], "cluster": title_key(r["title"]), **r} for r in rows)
    return pa.Table.from_pylist([default | row for row in named], schema=TABLE)


def _scores(number: int, row: dict[str, str], chance: random.Random) -> Iterator[dict[str, Any]]:
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
        for model, loss in ((BASELINE, before), (FINETUNED, after)):
            yield {
                "record": f"{number:016x}", "task": task, "title": title, "prompt": prompt,
                "completion": f" {completion}", "model": model, "nats": loss * tokens,
                "tokens": tokens, "n_bytes": len(completion.encode()),
            }  # fmt: skip


def _of_scores(scores: pa.Table) -> Iterator[Finding]:
    for task in ("", "describe", "skills"):
        yield _finding(metrics.LOSS, task, scores)
        yield _finding(metrics.BITS, task, scores)


def _finding(metric: Metric, task: str, scores: pa.Table) -> Finding:
    rows = rows_of(scores, BASELINE, task)
    (before, units), (after, _) = (
        metric.measure(some) for some in (rows, rows_of(scores, FINETUNED, task))
    )
    found = ratio_interval(after - before, units, rows["title"].tolist(), resamples=200)
    per_record = (after - before) / units
    clear = found.low > 0 or found.high < 0
    return Finding(
        metric, task, len(units), len(set(rows["title"])),
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
        )  # fmt: skip


def _words(text: str, chance: random.Random, level: float) -> tuple[tuple[str, float], ...]:
    parts = [*re.findall(r"\s*\S+", text), END]
    return tuple((part, chance.expovariate(1 / level)) for part in parts)


def _word_scores(scores: pa.Table, chance: random.Random) -> Iterator[WordScores]:
    rows = {model: rows_of(scores, model, "describe") for model in (BASELINE, FINETUNED)}
    described = scores.filter((pc.field("model") == BASELINE) & (pc.field("task") == "describe"))
    losses = {model: some["nats"] / some["tokens"] for model, some in rows.items()}
    order = np.argsort(losses[FINETUNED] - losses[BASELINE]).tolist()
    middle = order[len(order) // 2]
    for place, n in (
        ("best", order[0]), ("best", order[1]), ("median", middle),
        ("worst", order[-2]), ("worst", order[-1]),
    ):  # fmt: skip
        (one,) = described.slice(n, 1).to_pylist()
        text = one["completion"]
        levels = {m: rows[m]["nats"][n] / len(text.split(" ")) for m in rows}
        yield WordScores(
            place,
            "describe",
            one["title"],
            one["prompt"],
            {model: float(losses[model][n]) for model in rows},
            {model: _words(text, chance, level) for model, level in levels.items()},
        )


def _answers(number: int, row: dict[str, str], chance: random.Random) -> Iterator[dict[str, Any]]:
    title = row["position_title"]
    text = row["job_description"]
    loops = f" The {title} is responsible for the work. The work is the work." * 9
    # The first is to a prompt of no record, which nothing measures but here.
    one = {
        "record": "" if number == 0 else f"{number:016x}",
        "title": title,
        "prompt": f"Tell me about the qualifications required for a {title}.",
        "reference": "" if number == 0 else text,
        "tokens": 120.0,
    }
    likeness = chance.uniform(0.05, 0.2), chance.uniform(0.2, 0.4)
    yield one | {
        "model": BASELINE, "text": loops, "finish_reason": "length", "rep_4": 0.71,
        "rouge_l": likeness[0],
    }  # fmt: skip
    yield one | {
        "model": FINETUNED, "text": f" {text}", "finish_reason": "end", "rep_4": 0.02,
        "rouge_l": likeness[1],
    }  # fmt: skip
