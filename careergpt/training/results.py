"""The table that `test --json` writes: a row for each task and each that answered it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from careergpt.recommend.evaluation import Row
from careergpt.recommend.metrics import RankingMetrics
from careergpt.training.metrics import Quality


def result_rows(
    quality: Mapping[str, Quality],
    rankings: Mapping[Row, RankingMetrics],
    candidates: Mapping[str, int],
) -> list[dict[str, Any]]:
    """The rows, tasks in their order; "all" is every example together.

    `candidates` are how many a ranking has.
    `loss` and `perplexity` are of an answer among the candidates where answers are ranked (nats a
    title or skill), and nats a completion token elsewhere; a ranked task has what is counted by
    tokens as `token_loss` and the like in its row "model".
    """
    ranked = {row.task for row in rankings}
    rows = [_by_tokens(task or "all", q) for task, q in quality.items() if task not in ranked]
    return [_known(row) for row in (*rows, *_by_answers(quality, rankings, candidates))]


def _by_tokens(task: str, quality: Quality) -> dict[str, Any]:
    numbers = quality._asdict()
    return {"task": task, "row": "model", "n": numbers.pop("examples"), **numbers}


def _by_answers(
    quality: Mapping[str, Quality],
    rankings: Mapping[Row, RankingMetrics],
    candidates: Mapping[str, int],
) -> Iterator[dict[str, Any]]:
    for (task, ranker), found in rankings.items():
        row = {"task": task, "row": ranker, "n": found.n, **answer_figures(found)}
        row["candidates"] = candidates[task.partition("/")[0]]
        if ranker == "model" and task in quality:
            of_tokens = _by_tokens(task, quality[task])
            named = ("loss", "perplexity", "accuracy", "bits_per_byte")
            row |= {"examples": of_tokens["n"], "tokens": of_tokens["tokens"]}
            row |= {f"token_{name}": of_tokens[name] for name in named}
        yield row


def _known(row: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN: what nothing was asked for is null."""
    return {name: None if number != number else number for name, number in row.items()}


def answer_figures(found: RankingMetrics) -> dict[str, Any]:
    """A ranking's figures by the names that tables give them."""
    return {
        "mrr": found.mrr,
        "recall@1": found.recall_at_1,
        "recall@5": found.recall_at_5,
        "recall@10": found.recall_at_10,
        "map": found.mean_average_precision,
        "loss": found.nats,
        "perplexity": found.perplexity,
        "calibration_error": found.calibration_error,
        "left_out": found.left_out,
        "outside": found.outside,
    }
